#include "server/store/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "tests/common/base/temp_dir.h"
#include "tests/server/store/child_process.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class BlobStoreTest : public testing::Test {
 protected:
  ~BlobStoreTest() override { SetWriteFaultForTest({}); }

  std::string PathOf(const Digest& digest) const {
    const std::string hex = DigestHex(digest);
    return absl::StrCat(dir_.path(), "/blobs/", hex.substr(0, 2), "/", hex);
  }

  TempDir dir_;
  std::unique_ptr<BlobStore> store_ = *OpenDirBlobStore(dir_.File("blobs"));
};

TEST_F(BlobStoreTest, GivesBackWhatWasPut) {
  const BlobRef ref = *store_->Put(AsBytes("hello"));
  EXPECT_EQ(ref.sha256, Sha256Of(AsBytes("hello")));
  EXPECT_EQ(ref.size, 5u);
  EXPECT_EQ(AsText((*store_->Open(ref.sha256))->bytes()), "hello");
  EXPECT_TRUE(store_->Verify(ref.sha256).ok());
  EXPECT_TRUE(FileExists(PathOf(ref.sha256)));
}

TEST_F(BlobStoreTest, TakesABlobInPieces) {
  const auto writer = *store_->NewBlob();
  ASSERT_TRUE(writer->Append(AsBytes("he")).ok());
  ASSERT_TRUE(writer->Append({}).ok());
  ASSERT_TRUE(writer->Append(AsBytes("llo")).ok());
  EXPECT_EQ(writer->Commit()->sha256, Sha256Of(AsBytes("hello")));
  EXPECT_EQ(writer->Commit().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(*store_->List(), SizeIs(1));
}

TEST_F(BlobStoreTest, PutIsIdempotent) {
  const BlobRef first = *store_->Put(AsBytes("same"));
  EXPECT_EQ(*store_->Put(AsBytes("same")), first);
  const auto writer = *store_->NewBlob();
  ASSERT_TRUE(writer->Append(AsBytes("same")).ok());
  EXPECT_EQ(*writer->Commit(), first);
  EXPECT_THAT(*store_->List(), SizeIs(1));
}

TEST_F(BlobStoreTest, AnEmptyBlobIsABlob) {
  const BlobRef ref = *store_->Put({});
  EXPECT_EQ(ref.size, 0u);
  EXPECT_THAT((*store_->Open(ref.sha256))->bytes(), IsEmpty());
}

TEST_F(BlobStoreTest, AWriterDroppedWithoutCommitLeavesNothing) {
  {
    const auto writer = *store_->NewBlob();
    ASSERT_TRUE(writer->Append(AsBytes("half")).ok());
  }
  EXPECT_THAT(*store_->List(), IsEmpty());
  EXPECT_THAT(*ListDir(dir_.File("blobs/tmp")), IsEmpty());
}

TEST_F(BlobStoreTest, AMissingBlobIsNamed) {
  const absl::Status status = store_->Open(Digest{}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(DigestHex(Digest{})), HasSubstr(PathOf(Digest{}))));
  EXPECT_EQ(store_->Verify(Digest{}).code(), absl::StatusCode::kNotFound);
}

TEST_F(BlobStoreTest, VerifyNamesTheFileThatWasAltered) {
  const BlobRef ref = *store_->Put(AsBytes("hello"));
  ASSERT_TRUE(WriteFileAtomic(PathOf(ref.sha256), "hallo").ok());
  const absl::Status status = store_->Verify(ref.sha256);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(PathOf(ref.sha256)));
}

TEST_F(BlobStoreTest, PutRepairsABlobThatWasCutShort) {
  const BlobRef ref = *store_->Put(AsBytes("hello"));
  ASSERT_TRUE(WriteFileAtomic(PathOf(ref.sha256), "hel").ok());
  ASSERT_TRUE(store_->Put(AsBytes("hello")).ok());
  EXPECT_TRUE(store_->Verify(ref.sha256).ok());
}

TEST_F(BlobStoreTest, RemoveIsIdempotentAndSparesWhoReads) {
  const BlobRef ref = *store_->Put(AsBytes("hello"));
  const auto open = *store_->Open(ref.sha256);
  EXPECT_TRUE(store_->Remove(ref.sha256).ok());
  EXPECT_TRUE(store_->Remove(ref.sha256).ok());
  EXPECT_EQ(AsText(open->bytes()), "hello");
  EXPECT_EQ(store_->Open(ref.sha256).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BlobStoreTest, ListsBlobsAndNothingElse) {
  const BlobRef a = *store_->Put(AsBytes("a"));
  const BlobRef b = *store_->Put(AsBytes("b"));
  ASSERT_TRUE(WriteFileAtomic(dir_.File("blobs/README"), "not a blob").ok());
  ASSERT_TRUE(WriteFileAtomic(absl::StrCat(PathOf(a.sha256), ".txt"), "nor this").ok());
  EXPECT_THAT(*store_->List(), UnorderedElementsAre(a.sha256, b.sha256));
}

TEST_F(BlobStoreTest, AFullDiskLeavesNothingBehind) {
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  const auto writer = *store_->NewBlob();
  EXPECT_EQ(writer->Append(AsBytes("hello")).code(), absl::StatusCode::kResourceExhausted);
  SetWriteFaultForTest({});
  EXPECT_EQ(writer->Commit().status().code(), absl::StatusCode::kResourceExhausted)
      << "a piece is missing: there is no whole to commit";
  EXPECT_THAT(*store_->List(), IsEmpty());
  EXPECT_TRUE(store_->Put(AsBytes("hello")).ok());
}

TEST_F(BlobStoreTest, OpeningSweepsWhatAKilledWriterLeft) {
  ASSERT_TRUE(WriteFileAtomic(dir_.File("blobs/tmp/17"), "half").ok());
  store_ = *OpenDirBlobStore(dir_.File("blobs"));
  EXPECT_THAT(*ListDir(dir_.File("blobs/tmp")), IsEmpty());
}

TEST(BlobStoreCrash, KilledAtAnyMomentEveryBlobThatIsThereIsWhole) {
  const TempDir dir;
  const auto content = [](uint32_t i) { return std::string(200'000, static_cast<char>(i)); };
  for (uint32_t run = 1; run <= 8; ++run) {
    ChildProcess child([&](int fd) {
      const auto store = *OpenDirBlobStore(dir.path());
      for (uint32_t i = 0;; ++i) {
        if (!store->Put(AsBytes(content(i % 200))).ok()) _exit(1);
        if (i % 200 >= 100) store->Remove(Sha256Of(AsBytes(content(i % 200 - 100)))).IgnoreError();
        Acknowledge(fd, i);
      }
    });
    uint32_t ack = 0;
    for (uint32_t i = 0; i < run * 5; ++i) ASSERT_TRUE(child.Next(&ack));
    child.Kill();
    while (child.Next(&ack)) continue;
    const auto store = *OpenDirBlobStore(dir.path());
    ASSERT_TRUE(store->Open(Sha256Of(AsBytes(content(ack % 200)))).ok()) << "acknowledged";
    const std::vector<Digest> digests = *store->List();
    for (const Digest& digest : digests) EXPECT_TRUE(store->Verify(digest).ok());
  }
}

}  // namespace
}  // namespace fedwatt
