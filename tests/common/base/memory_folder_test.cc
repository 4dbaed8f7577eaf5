#include "common/base/memory_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Text(ByteSpan bytes) { return std::string(AsText(bytes)); }

// What callers of file.h rely on, of the disk and of the memory alike.
class EitherPlaceTest : public testing::TestWithParam<bool> {
 protected:
  EitherPlaceTest() {
    if (GetParam()) memory_.emplace();
  }
  ~EitherPlaceTest() override { SetWriteFaultForTest(nullptr); }

  std::string File(const std::string& name) const {
    return absl::StrCat(memory_.has_value() ? memory_->path() : dir_.path(), "/", name);
  }

  TempDir dir_;
  std::optional<MemoryFolder> memory_;
};

INSTANTIATE_TEST_SUITE_P(, EitherPlaceTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Memory" : "Disk"; });

TEST_P(EitherPlaceTest, AFileIsReplacedReadAndRemoved) {
  const std::string path = File("a");
  EXPECT_FALSE(FileExists(path));
  ASSERT_TRUE(WriteFileAtomic(path, "old and longer").ok());
  ASSERT_TRUE(WriteFileAtomic(path, "new").ok());
  EXPECT_TRUE(FileExists(path));
  EXPECT_EQ(*ReadFile(path, 3), "new");
  EXPECT_EQ(*FileSize(path), 3U);
  EXPECT_THAT(*ListDir(DirName(path)), ElementsAre("a"));
  EXPECT_EQ(ReadFile(path, 2).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RemoveIfExists(path).ok());
  EXPECT_TRUE(RemoveIfExists(path).ok());
  EXPECT_EQ(ReadFile(path, 3).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(EitherPlaceTest, AWriterAppendsWritesInPlaceAndCuts) {
  auto writer = FileWriter::Create(File("a"));
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Append(AsBytes("abc")).ok());
  ASSERT_TRUE(writer->WriteAt(5, AsBytes("fg")).ok());
  ASSERT_TRUE(writer->WriteAt(0, AsBytes("A")).ok());
  writer->StartWriteback();
  EXPECT_TRUE(writer->Sync().ok());
  EXPECT_EQ(*ReadFile(File("a"), 100), std::string("Abc\0\0fg", 7));
  ASSERT_TRUE(writer->Truncate(2).ok());
  EXPECT_EQ(writer->size(), 2U);
  EXPECT_TRUE(writer->Close().ok());
  EXPECT_FALSE(writer->Append(AsBytes("x")).ok());

  auto again = FileWriter::Open(File("a"));
  ASSERT_TRUE(again.ok());
  ASSERT_TRUE(again->Append(AsBytes("!")).ok());
  EXPECT_EQ(*ReadFile(File("a"), 100), "Ab!");
  EXPECT_EQ(FileWriter::Open(File("absent")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FileWriter::Create(File("no/folder")).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(EitherPlaceTest, AnOpenFileOutlivesItsName) {
  ASSERT_TRUE(WriteFileAtomic(File("a"), "content").ok());
  auto mapped = MappedFile::Open(File("a"));
  auto reader = FileReader::Open(File("a"));
  ASSERT_TRUE(mapped.ok() && reader.ok());
  ASSERT_TRUE(RenameFile(File("a"), File("b")).ok());
  ASSERT_TRUE(RemoveIfExists(File("b")).ok());
  ASSERT_TRUE(WriteFileAtomic(File("a"), "another").ok());
  const MappedFile moved = *std::move(mapped);
  EXPECT_EQ(Text(moved.bytes()), "content");
  EXPECT_EQ(reader->size(), 7U);
  EXPECT_EQ(Text(*reader->Next()), "content");
  EXPECT_THAT(Text(*reader->Next()), IsEmpty());
}

TEST_P(EitherPlaceTest, AReaderGivesLongFilesInBlocks) {
  const std::string content(FileReader::kBlockBytes + 10, 'x');
  ASSERT_TRUE(WriteFileAtomic(File("a"), content).ok());
  auto reader = FileReader::Open(File("a"));
  ASSERT_TRUE(reader.ok());
  FileReader moved = *std::move(reader);
  EXPECT_EQ(moved.Next()->size(), FileReader::kBlockBytes);
  EXPECT_EQ(moved.Next()->size(), 10U);
  EXPECT_TRUE(moved.Next()->empty());
}

TEST_P(EitherPlaceTest, RenamingReplaces) {
  ASSERT_TRUE(WriteFileAtomic(File("a"), "a").ok());
  ASSERT_TRUE(WriteFileAtomic(File("b"), "b").ok());
  ASSERT_TRUE(RenameFile(File("a"), File("b")).ok());
  EXPECT_EQ(*ReadFile(File("b"), 10), "a");
  EXPECT_FALSE(FileExists(File("a")));
  EXPECT_EQ(RenameFile(File("a"), File("b")).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(RenameFile(File("b"), File("b")).ok());
  EXPECT_EQ(*ReadFile(File("b"), 10), "a");
}

TEST_P(EitherPlaceTest, FoldersAreMadeListedAndRemoved) {
  ASSERT_TRUE(EnsureDir(File("x/y"), 0700).ok());
  ASSERT_TRUE(EnsureDir(File("x/y"), 0700).ok());
  ASSERT_TRUE(WriteFileAtomic(File("x/b"), "b").ok());
  ASSERT_TRUE(WriteFileAtomic(File("x/a"), "a").ok());
  EXPECT_THAT(*ListDir(File("x")), ElementsAre("a", "b", "y"));
  EXPECT_TRUE(InspectFile(File("x"))->is_dir);
  EXPECT_FALSE(InspectFile(File("x"))->is_file);
  EXPECT_EQ(EnsureDir(File("x/a"), 0700).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(EnsureDir(File("x/a/z"), 0700).ok());
  EXPECT_FALSE(RemoveDir(File("x")).ok());
  EXPECT_FALSE(RemoveIfExists(File("x")).ok());
  EXPECT_TRUE(RemoveDir(File("x/y")).ok());
  EXPECT_EQ(RemoveDir(File("x/y")).code(), absl::StatusCode::kNotFound);
  RemoveTree(File("x"));
  EXPECT_FALSE(FileExists(File("x/a")));
  EXPECT_EQ(ListDir(File("x")).status().code(), absl::StatusCode::kNotFound);
  RemoveTree(File("x"));
}

TEST_P(EitherPlaceTest, EveryChangeShowsInWhatIsKnownOfAFile) {
  ASSERT_TRUE(WriteFileAtomic(File("a"), "abc").ok());
  const FileInfo first = *InspectFile(File("a"));
  EXPECT_TRUE(first.is_file);
  EXPECT_EQ(first.bytes, 3U);
  ASSERT_TRUE(SetModified(File("a"), 1'700'000'000'123'000'000).ok());
  EXPECT_EQ(InspectFile(File("a"))->modified_ns, 1'700'000'000'123'000'000);
  EXPECT_EQ(InspectFile(File("a"))->inode, first.inode);
  EXPECT_EQ(SetModified(File("absent"), 0).code(), absl::StatusCode::kNotFound);
  // While the old file is in use, its number is not given to another.
  const auto in_use = MappedFile::Open(File("a"));
  ASSERT_TRUE(WriteFileAtomic(File("a"), "abc").ok());
  EXPECT_NE(InspectFile(File("a"))->inode, first.inode);
}

TEST_P(EitherPlaceTest, AFullDiskKeepsTheOldContent) {
  ASSERT_TRUE(WriteFileAtomic(File("a"), "old").ok());
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  const absl::Status status = WriteFileAtomic(File("a"), "new");
  SetWriteFaultForTest(nullptr);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*ReadFile(File("a"), 10), "old");
  EXPECT_THAT(*ListDir(DirName(File("a"))), ElementsAre("a"));
  EXPECT_GT(*FreeDiskBytes(DirName(File("a"))), 0U);
}

TEST(MemoryFolderTest, NothingOfItIsOnTheDiskNorLeftAfterIt) {
  auto folder = std::make_unique<MemoryFolder>();
  const std::string path = absl::StrCat(folder->path(), "/a");
  ASSERT_TRUE(WriteFileAtomic(path, "content").ok());
  const auto mapped = MappedFile::Open(path);
  folder.reset();
  EXPECT_FALSE(FileExists(path));
  EXPECT_EQ(Text(mapped->bytes()), "content");
  // Nobody takes such a path for memory any more.
  EXPECT_EQ(WriteFileAtomic(path, "content").code(), absl::StatusCode::kNotFound);
}

TEST(MemoryFolderTest, TwoOfThemAreApart) {
  const MemoryFolder one;
  const MemoryFolder other;
  ASSERT_TRUE(WriteFileAtomic(one.path() + "/a", "one").ok());
  EXPECT_FALSE(FileExists(other.path() + "/a"));
  const absl::Status moved = RenameFile(one.path() + "/a", other.path() + "/a");
  EXPECT_THAT(std::string(moved.message()), HasSubstr("rename"));
  EXPECT_EQ(*ReadFile(one.path() + "/a", 10), "one");
}

TEST(MemoryFolderTest, WhatIsMappedStaysAsItIs) {
  const MemoryFolder folder;
  const std::string path = folder.path() + "/a";
  ASSERT_TRUE(WriteFileAtomic(path, "first").ok());
  const auto mapped = MappedFile::Open(path);
  auto writer = FileWriter::Open(path);
  ASSERT_TRUE(writer->Append(AsBytes(std::string(10'000, '.'))).ok());
  ASSERT_TRUE(writer->WriteAt(0, AsBytes("F")).ok());
  EXPECT_EQ(Text(mapped->bytes()), "first");
  EXPECT_EQ(*FileSize(path), 10'005U);
}

TEST(MemoryFolderTest, EqualFilesAreThereOnceUntilOneIsWrittenTo) {
  const MemoryFolder folder;
  const std::string content(5000, 'm');
  for (const char* name : {"/a", "/b"}) {
    ASSERT_TRUE(WriteFileAtomic(folder.path() + name, content).ok());
  }
  const auto a = MappedFile::Open(folder.path() + "/a");
  const auto b = MappedFile::Open(folder.path() + "/b");
  EXPECT_EQ(a->bytes().data(), b->bytes().data());
  EXPECT_NE(InspectFile(folder.path() + "/a")->inode, InspectFile(folder.path() + "/b")->inode);
  auto writer = FileWriter::Open(folder.path() + "/a");
  ASSERT_TRUE(writer->WriteAt(0, AsBytes("M")).ok());
  EXPECT_EQ(*ReadFile(folder.path() + "/b", 5000), content);
  EXPECT_EQ(ReadFile(folder.path() + "/a", 5000)->substr(0, 2), "Mm");
  EXPECT_EQ(Text(a->bytes()), content);
}

TEST(MemoryFolderTest, AFolderThatIsMadeAgainIsAnother) {
  const MemoryFolder folder;
  const std::string sub = folder.path() + "/sub";
  ASSERT_TRUE(EnsureDir(sub).ok());
  ASSERT_TRUE(WriteFileAtomic(sub + "/a", "old").ok());
  RemoveTree(sub);
  EXPECT_FALSE(FileExists(sub + "/a"));
  EXPECT_FALSE(WriteFileAtomic(sub + "/a", "x").ok());
  ASSERT_TRUE(EnsureDir(sub).ok());
  EXPECT_TRUE(ListDir(sub)->empty());
  ASSERT_TRUE(RemoveDir(sub).ok());
  EXPECT_FALSE(WriteFileAtomic(sub + "/a", "x").ok());
}

TEST(MemoryFolderTest, LaterChangesHaveLaterDates) {
  const MemoryFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder.path() + "/b", "").ok());
  ASSERT_TRUE(WriteFileAtomic(folder.path() + "/a", "").ok());
  auto writer = FileWriter::Open(folder.path() + "/b");
  ASSERT_TRUE(writer->Append(AsBytes("x")).ok());
  EXPECT_GT(InspectFile(folder.path() + "/b")->modified_ns,
            InspectFile(folder.path() + "/a")->modified_ns);
}

TEST(MemoryFolderTest, AFileOfTheDiskMayHaveSuchAName) {
  const MemoryFolder folder;
  const TempDir dir;
  const std::string path = dir.File("memory:1");
  ASSERT_TRUE(WriteFileAtomic(path, "disk").ok());
  EXPECT_EQ(*ReadFile(path, 10), "disk");
  EXPECT_FALSE(FileExists("memory:0/x"));
  EXPECT_FALSE(FileExists("memory:x"));
}

}  // namespace
}  // namespace fedwatt
