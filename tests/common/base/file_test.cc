#include "common/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  ~FileTest() override { SetWriteFaultForTest(nullptr); }

  TempDir dir_;
};

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST_F(FileTest, WritesAndReadsBack) {
  const std::string path = dir_.File("a");
  const std::string content("zero\0byte", 9);
  ASSERT_TRUE(WriteFileAtomic(path, content).ok());
  EXPECT_EQ(*ReadFile(path, 100), content);
  EXPECT_EQ(*FileSize(path), 9U);
  EXPECT_TRUE(FileExists(path));
  EXPECT_THAT(*ListDir(dir_.path()), ElementsAre("a"));  // no temporary is left
}

TEST_F(FileTest, ReplacesTheOldContentAndSetsTheMode) {
  const std::string path = dir_.File("key");
  ASSERT_TRUE(WriteFileAtomic(path, "old and longer").ok());
  ASSERT_TRUE(WriteFileAtomic(path, "new", 0600).ok());
  EXPECT_EQ(*ReadFile(path, 100), "new");
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(FileTest, AMissingFileIsNotFoundAndNamed) {
  const auto result = ReadFile(dir_.File("absent"), 10);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(result.status()), HasSubstr(dir_.File("absent")));
}

TEST_F(FileTest, ReadsUpToTheLimitAndRefusesMore) {
  const std::string path = dir_.File("big");
  ASSERT_TRUE(WriteFileAtomic(path, std::string(1000, 'x')).ok());
  EXPECT_EQ(ReadFile(path, 1000)->size(), 1000U);
  EXPECT_EQ(ReadFile(path, UINT64_MAX)->size(), 1000U);
  const auto refused = ReadFile(path, 999);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(refused.status()), HasSubstr("limit of 999 bytes"));
}

TEST_F(FileTest, ReadsFilesWhoseSizeIsReportedAsZero) {
  EXPECT_THAT(*ReadFile("/proc/self/status", 100'000), HasSubstr("Pid:"));
}

TEST_F(FileTest, AFullDiskKeepsTheOldContentAndSaysWhatToDo) {
  const std::string path = dir_.File("a");
  ASSERT_TRUE(WriteFileAtomic(path, "old").ok());
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  const absl::Status status = WriteFileAtomic(path, "new");
  SetWriteFaultForTest(nullptr);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(status), HasSubstr("No space left"));
  EXPECT_THAT(Message(status), HasSubstr(absl::StrCat("file system of ", dir_.path())));
  EXPECT_EQ(*ReadFile(path, 10), "old");
  EXPECT_THAT(*ListDir(dir_.path()), ElementsAre("a"));
}

TEST_F(FileTest, TheFaultSeamSeesPathAndSize) {
  uint64_t bytes = 0;
  SetWriteFaultForTest([&](const std::string& path, uint64_t size) {
    EXPECT_THAT(path, HasSubstr(dir_.File("a")));
    bytes += size;
    return 0;
  });
  ASSERT_TRUE(WriteFileAtomic(dir_.File("a"), "12345").ok());
  EXPECT_EQ(bytes, 5U);
}

TEST_F(FileTest, EnsureDirMakesEveryLevelAndAcceptsWhatIsThere) {
  const std::string deep = dir_.File("a/b/c");
  ASSERT_TRUE(EnsureDir(deep).ok());
  ASSERT_TRUE(EnsureDir(deep).ok());
  EXPECT_TRUE(FsyncDir(deep).ok());
  EXPECT_TRUE(ListDir(deep)->empty());
}

TEST_F(FileTest, EnsureDirRefusesAFileInTheWay) {
  ASSERT_TRUE(WriteFileAtomic(dir_.File("f"), "x").ok());
  EXPECT_EQ(EnsureDir(dir_.File("f")).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(EnsureDir(dir_.File("f/g")).ok());
}

TEST_F(FileTest, RemovesOnceAndToleratesTheSecondTime) {
  ASSERT_TRUE(WriteFileAtomic(dir_.File("f"), "x").ok());
  EXPECT_TRUE(RemoveIfExists(dir_.File("f")).ok());
  EXPECT_FALSE(FileExists(dir_.File("f")));
  EXPECT_TRUE(RemoveIfExists(dir_.File("f")).ok());
}

TEST_F(FileTest, RenameReplacesTheTarget) {
  ASSERT_TRUE(WriteFileAtomic(dir_.File("a"), "a").ok());
  ASSERT_TRUE(WriteFileAtomic(dir_.File("b"), "b").ok());
  ASSERT_TRUE(RenameFile(dir_.File("a"), dir_.File("b")).ok());
  EXPECT_EQ(*ReadFile(dir_.File("b"), 10), "a");
  EXPECT_EQ(RenameFile(dir_.File("a"), dir_.File("b")).code(), absl::StatusCode::kNotFound);
}

TEST_F(FileTest, KnowsTheFreeSpace) {
  EXPECT_GT(*FreeDiskBytes(dir_.path()), 0U);
  EXPECT_FALSE(FreeDiskBytes(dir_.File("absent")).ok());
}

TEST(DirName, IsTheFolderPart) {
  EXPECT_EQ(DirName("a/b"), "a");
  EXPECT_EQ(DirName("b"), ".");
  EXPECT_EQ(DirName("/b"), "/");
}

TEST_F(FileTest, MapsAFile) {
  const std::string path = dir_.File("m");
  ASSERT_TRUE(WriteFileAtomic(path, "mapped").ok());
  auto mapped = MappedFile::Open(path);
  ASSERT_TRUE(mapped.ok());
  const ByteSpan before = mapped->bytes();
  const MappedFile moved = *std::move(mapped);
  EXPECT_EQ(moved.bytes().data(), before.data());
  EXPECT_EQ(AsText(moved.bytes()), "mapped");
}

TEST_F(FileTest, AnEmptyFileMapsToNothing) {
  ASSERT_TRUE(WriteFileAtomic(dir_.File("e"), "").ok());
  EXPECT_TRUE(MappedFile::Open(dir_.File("e"))->bytes().empty());
  EXPECT_EQ(MappedFile::Open(dir_.File("absent")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FileTest, WriterAppendsAndWritesInPlace) {
  const std::string path = dir_.File("w");
  auto writer = FileWriter::Create(path);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Append(AsBytes("hello ")).ok());
  ASSERT_TRUE(writer->Append(AsBytes("world")).ok());
  ASSERT_TRUE(writer->WriteAt(0, AsBytes("J")).ok());
  EXPECT_EQ(writer->size(), 11U);
  ASSERT_TRUE(writer->WriteAt(12, AsBytes("!")).ok());
  EXPECT_EQ(writer->size(), 13U);
  ASSERT_TRUE(writer->Sync().ok());
  ASSERT_TRUE(writer->Close().ok());
  ASSERT_TRUE(writer->Close().ok());
  EXPECT_EQ(*ReadFile(path, 100), std::string("Jello world\0!", 13));
  EXPECT_EQ(writer->Append(AsBytes("x")).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FileTest, WriterGoesOnAfterARestart) {
  const std::string path = dir_.File("w");
  ASSERT_TRUE(WriteFileAtomic(path, "12345678").ok());
  auto writer = FileWriter::Open(path);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(writer->size(), 8U);
  ASSERT_TRUE(writer->Truncate(4).ok());
  ASSERT_TRUE(writer->Append(AsBytes("ab")).ok());
  EXPECT_EQ(*ReadFile(path, 100), "1234ab");
  EXPECT_EQ(FileWriter::Open(dir_.File("absent")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FileTest, WriterReportsAFullDiskAndCanGoOnLater) {
  auto writer = FileWriter::Create(dir_.File("w"));
  ASSERT_TRUE(writer.ok());
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  EXPECT_EQ(writer->Append(AsBytes("x")).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(writer->size(), 0U);
  SetWriteFaultForTest(nullptr);
  EXPECT_TRUE(writer->Append(AsBytes("y")).ok());
  EXPECT_EQ(writer->size(), 1U);
}

TEST_F(FileTest, OnlyOneHolderOfALockAndItIsNamed) {
  const std::string path = dir_.File("lock");
  auto first = FileLock::Acquire(path);
  ASSERT_TRUE(first.ok());
  const auto second = FileLock::Acquire(path);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(second.status()), HasSubstr(absl::StrCat("process ", getpid())));
}

TEST_F(FileTest, ALockIsFreeAgainAfterItsHolder) {
  const std::string path = dir_.File("lock");
  {
    const auto lock = FileLock::Acquire(path);
    ASSERT_TRUE(lock.ok());
  }
  EXPECT_TRUE(FileLock::Acquire(path).ok());
}

TEST(FileError, MapsTheReasonToACode) {
  EXPECT_EQ(FileError(EACCES, "open", "/x").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(FileError(EMFILE, "open", "/x").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(FileError(EIO, "open", "/x").code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Message(FileError(EMFILE, "open", "/x")), HasSubstr("ulimit -n"));
}

}  // namespace
}  // namespace fedwatt
