// What people get who do not build with CMake: pkg-config, and the Debian packages.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/client/capi/installed_sdk.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt::e2e {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

class PkgConfigTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(sdk_.ok()); }

  // Builds a C99 file with what pkg-config says of `package`, and runs it without arguments.
  Output BuildAndRun(const std::string& source, const std::string& package) {
    const std::string env = absl::StrCat("PKG_CONFIG_PATH=", sdk_.prefix(), "/lib/pkgconfig");
    const Output flags =
        RunToEnd({.argv = {"/usr/bin/pkg-config", "--cflags", "--libs", package}, .env = {env}},
                 fleet_.scratch());
    EXPECT_EQ(flags.code, 0) << flags.ToString();
    const std::string program = fleet_.File("program");
    std::vector<std::string> argv = {"cc",    "-std=c99", "-D_POSIX_C_SOURCE=200809L",
                                     "-Wall", "-Wextra",  "-Werror",
                                     source,  "-o",       program};
    for (const std::string& flag : Words(InstalledSdk::compiler_flags())) argv.push_back(flag);
    for (const std::string& flag : Words(flags.out)) argv.push_back(flag);
    Output built = RunToEnd({.argv = argv}, fleet_.scratch());
    if (built.code != 0) return built;
    return RunToEnd(
        {.argv = {program}, .env = {absl::StrCat("LD_LIBRARY_PATH=", sdk_.prefix(), "/lib")}},
        fleet_.scratch());
  }

  Deployment fleet_{1};
  InstalledSdk sdk_{fleet_, {"sdk", "sdk_torch"}};
};

TEST_F(PkgConfigTest, BuildsTheExampleInC) {
  const Output ran = BuildAndRun(FEDWATT_SOURCE_DIR "/examples/sdk_c/linear.c", "fedwatt-client");
  EXPECT_EQ(ran.code, 2) << ran.ToString();
  EXPECT_THAT(ran.err, HasSubstr("usage: linear"));
}

TEST_F(PkgConfigTest, BuildsTheExampleWithTheTrainerWithoutLibTorch) {
  const Output ran = BuildAndRun(FEDWATT_SOURCE_DIR "/examples/sdk_any_model/any_model.c",
                                 "fedwatt-trainer-portable");
  EXPECT_EQ(ran.code, 2) << ran.ToString();
  EXPECT_THAT(ran.err, HasSubstr("usage: any_model_c"));
}

TEST_F(PkgConfigTest, BuildsAnAppWithLibTorchInside) {
  const std::string source = fleet_.File("app.c");
  ASSERT_TRUE(WriteFileAtomic(source, R"(
#include <fedwatt/torch_in_process.h>
int main(void) {
  fedwatt_trainer trainer = FEDWATT_INIT(fedwatt_trainer);
  if (fedwatt_torch_in_process_trainer("cpu", &trainer, NULL) != FEDWATT_OK) return 1;
  trainer.destroy(trainer.ctx);
  return 42;
}
)")
                  .ok());
  const Output ran = BuildAndRun(source, "fedwatt-trainer-torch-in-process");
  EXPECT_EQ(ran.code, 42) << ran.ToString();
}

// The packages of this build, made once for all that is asked of them.
class DebianPackages {
 public:
  DebianPackages()
      : made_(RunToEnd({.argv = {"cpack", "--config", DirName(BinDir()) + "/CPackConfig.cmake",
                                 "-B", dir_.path()},
                        .timeout_ms = 200'000},
                       dir_.path())) {
    EXPECT_EQ(made_.code, 0) << made_.ToString();
  }

  // What dpkg-deb answers of the package of that name.
  std::string Ask(const std::string& question, const std::string& package) const {
    const std::vector<std::string> files = ListDir(dir_.path()).value();
    for (const std::string& file : files) {
      if (!file.starts_with(package + "_") || !file.ends_with(".deb")) continue;
      const Output told = RunToEnd({.argv = {"dpkg-deb", question, dir_.File(file)}}, dir_.path());
      EXPECT_EQ(told.code, 0) << told.ToString();
      return told.out;
    }
    ADD_FAILURE() << "no package " << package;
    return "";
  }
  // Its files, below /usr; the folder of libraries without the machine's name.
  std::vector<std::string> FilesOf(const std::string& package) const {
    std::vector<std::string> files;
    std::istringstream lines(Ask("--contents", package));
    for (std::string line; std::getline(lines, line);) {
      const size_t at = line.find(" ./usr/");
      if (at == std::string::npos || line.ends_with("/")) continue;
      std::string file = line.substr(at + 7);
      file = file.substr(0, file.find(" -> "));
      const size_t machine = file.find("-linux-gnu/");
      if (machine != std::string::npos) file = "lib/" + file.substr(machine + 11);
      files.push_back(file);
    }
    return files;
  }

 private:
  const TempDir dir_;
  const Output made_;
};

TEST(Packages, HoldWhatTheyShould) {
  const DebianPackages packages;
  const std::vector<std::string> client = packages.FilesOf("libfedwatt-client-dev");
  EXPECT_THAT(
      client,
      IsSupersetOf(
          {"include/fedwatt/client.h", "include/fedwatt/fedwatt.h", "include/fedwatt/portable.h",
           "include/fedwatt/detail/convert.h", "lib/cmake/fedwatt/fedwatt-config.cmake",
           "lib/cmake/fedwatt/fedwatt-config-version.cmake",
           "lib/cmake/fedwatt/fedwatt-targets.cmake", "lib/libfedwatt_client.so",
           "lib/libfedwatt_client.so.1", "lib/libfedwatt_trainer_portable.so",
           "lib/pkgconfig/fedwatt-client.pc", "lib/pkgconfig/fedwatt-trainer-portable.pc"}));
  EXPECT_THAT(client, Each(Not(AnyOf(HasSubstr("torch_in_process"), HasSubstr("bin/")))));
  EXPECT_THAT(packages.Ask("--field", "libfedwatt-client-dev"), Not(HasSubstr("libtorch")))
      << "a device without LibTorch can have it";

  const std::string torch = "libfedwatt-trainer-torch-in-process-dev";
  EXPECT_THAT(packages.FilesOf(torch),
              IsSupersetOf({"include/fedwatt/torch_in_process.h",
                            "include/fedwatt/torch_in_process_trainer.h",
                            "lib/cmake/fedwatt/fedwatt-torch-targets.cmake",
                            "lib/libfedwatt_trainer_torch_in_process.so",
                            "lib/pkgconfig/fedwatt-trainer-torch-in-process.pc"}));
  EXPECT_THAT(packages.Ask("--field", torch), HasSubstr("libtorch"));

  EXPECT_THAT(packages.FilesOf("fedwatt"),
              UnorderedElementsAre("bin/fedwatt", "bin/fedwatt-client", "bin/fedwatt-coordinator",
                                   "bin/fedwatt-torch"));
}

}  // namespace
}  // namespace fedwatt::e2e
