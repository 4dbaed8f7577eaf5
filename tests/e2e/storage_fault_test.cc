// Ports and folders that somebody else has, files that are damaged, disks that are full.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class StorageFault : public testing::Test {
 protected:
  Output StartOnly(const std::string& listen) {
    return RunToEnd({.argv = fleet_.CoordinatorCommand(listen), .timeout_ms = 30'000},
                    fleet_.scratch());
  }

  Deployment fleet_{2};
};

TEST_F(StorageFault, APortInUseIsNamed) {
  ASSERT_TRUE(fleet_.StartCoordinator());
  std::vector<std::string> argv = fleet_.CoordinatorCommand(fleet_.address());
  std::replace(argv.begin(), argv.end(), fleet_.data_dir(), fleet_.File("other-data"));
  const Output second = RunToEnd({.argv = argv, .timeout_ms = 30'000}, fleet_.scratch());
  EXPECT_GT(second.code, 0) << second.ToString();
  EXPECT_THAT(second.err, AllOf(HasSubstr(absl::StrCat(fleet_.port())), HasSubstr("in use")));
  EXPECT_GE(fleet_.WaitingClients(), 0) << "the first one was harmed";
}

TEST_F(StorageFault, ADataFolderServesOneCoordinator) {
  ASSERT_TRUE(fleet_.StartCoordinator());
  const Output second = StartOnly("127.0.0.1:0");
  EXPECT_GT(second.code, 0) << second.ToString();
  EXPECT_THAT(second.err, AllOf(HasSubstr(fleet_.data_dir()),
                                HasSubstr(absl::StrCat(fleet_.coordinator().pid()))));
  EXPECT_GE(fleet_.WaitingClients(), 0) << "the first one was harmed";
}

TEST_F(StorageFault, ACorruptModelIsNamedAndNotServed) {
  fleet_.WriteBundle();
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.StartClients(0, 2);
  const std::string job = fleet_.Submit({.rounds = 100'000, .goal = 2});
  ASSERT_TRUE(
      fleet_.WaitForJob(job, "a commit", [](const v1::Job& j) { return j.rounds_done() >= 2; }));
  ASSERT_EQ(fleet_.Cli({"stop", job}).code, 0);
  const std::string hash = ModelHash(fleet_.Job(job));
  fleet_.KillCoordinator();

  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(fleet_.data_dir())) {
    if (entry.path().filename() == hash) found.push_back(entry.path());
  }
  ASSERT_EQ(found.size(), 1u);
  std::string bytes = ReadFile(found[0], 1 << 20).value();
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(found[0], bytes).ok());
  const Output start = StartOnly("127.0.0.1:0");
  EXPECT_GT(start.code, 0) << start.ToString();
  EXPECT_THAT(start.err, AllOf(HasSubstr(hash), HasSubstr(job)));

  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(found[0], bytes).ok());
  EXPECT_TRUE(fleet_.StartCoordinator()) << "it was repaired";
}

// A small file system of its own; needs root.
class SmallDisk {
 public:
  SmallDisk(std::string path, uint64_t bytes) : path_(std::move(path)) {
    EXPECT_TRUE(EnsureDir(path_).ok());
    const std::string options = absl::StrCat("size=", bytes, ",mode=0700");
    mounted_ = mount("tmpfs", path_.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  void Grow(uint64_t bytes) {
    const std::string options = absl::StrCat("size=", bytes);
    EXPECT_EQ(mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, options.c_str()), 0);
  }

 private:
  const std::string path_;
  bool mounted_ = false;
};

TEST_F(StorageFault, AFullDiskAbandonsTheRoundAndTheJobGoesOnWithSpace) {
  constexpr uint64_t kParameters = 1'000'000;
  constexpr uint64_t kModelBytes = kParameters * sizeof(float);
  // Room for the first model and two updates, not for the model that they make.
  SmallDisk disk(fleet_.data_dir(), 3 * kModelBytes + kModelBytes / 2);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs needs root";
  fleet_.WriteBundle({.parameters = kParameters});
  ASSERT_TRUE(fleet_.StartCoordinator());
  fleet_.StartClients(0, 2);
  const std::string job = fleet_.Submit(
      {.rounds = 3,
       .goal = 2,
       .set = {"round.max_attempts=1000", "round.backoff_max_s=0.5", "retention.keep_last=1"}});
  ASSERT_TRUE(WaitUntil("the first attempt's end", [&] {
    return fleet_.coordinator().Log().find("attempt abandoned") != std::string::npos;
  }));
  EXPECT_THAT(fleet_.coordinator().Log(), HasSubstr("free space on the file system of"));
  EXPECT_EQ(fleet_.Job(job).rounds_done(), 0u);
  EXPECT_TRUE(fleet_.coordinator().running());
  disk.Grow(64 * kModelBytes);
  ASSERT_TRUE(fleet_.WaitForEnd(job));
  EXPECT_EQ(fleet_.Job(job).state(), v1::JOB_STATE_COMPLETED) << fleet_.Job(job).reason();
}

}  // namespace
}  // namespace fedwatt::e2e
