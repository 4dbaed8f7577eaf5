#include "client/sdk/blob_cache.h"

#include <filesystem>

#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class BlobCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(dir_);
    Open(false);
  }
  void Open(bool shared) {
    auto cache = BlobCache::Open(dir_ + "/blobs", dir_ + "/part", shared, 1000, &clock_);
    ASSERT_TRUE(cache.ok());
    cache_ = std::make_unique<BlobCache>(*std::move(cache));
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  Digest Add(char letter, size_t bytes) {
    const std::string data(bytes, letter);
    const Digest digest = Sha256Of(AsBytes(data));
    EXPECT_TRUE(WriteFileAtomic(cache_->PartPath(digest), data).ok());
    EXPECT_TRUE(cache_->Complete(digest).ok());
    clock_.AdvanceMs(1000);
    return digest;
  }

  const std::string dir_ = ::testing::TempDir() + "blob_cache_test";
  FakeClock clock_;
  std::unique_ptr<BlobCache> cache_;
};

TEST_F(BlobCacheTest, ADownloadBecomesABlob) {
  const std::string data = "hello";
  const Digest digest = Sha256Of(AsBytes(data));
  EXPECT_EQ(*cache_->PartBytes(digest), 0);
  EXPECT_TRUE(FileExists(cache_->PartPath(digest)));
  ASSERT_TRUE(WriteFileAtomic(cache_->PartPath(digest), data).ok());
  EXPECT_EQ(*cache_->PartBytes(digest), 5);
  EXPECT_FALSE(cache_->Has(digest));
  ASSERT_TRUE(cache_->Complete(digest).ok());
  EXPECT_TRUE(cache_->Has(digest));
  EXPECT_TRUE(BlobCache::Verify(cache_->Path(digest), digest).ok());
}

TEST_F(BlobCacheTest, VerifyNamesFileAndHash) {
  const Digest digest = Add('a', 10);
  const absl::Status status = BlobCache::Verify(cache_->Path(digest), Sha256Of(AsBytes("b")));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(DigestHex(digest)));
  EXPECT_THAT(std::string(status.message()), HasSubstr(cache_->Path(digest)));
}

TEST_F(BlobCacheTest, TheLeastRecentlyUsedGoesFirst) {
  const Digest a = Add('a', 400);
  const Digest b = Add('b', 400);
  cache_->Touch(a);
  ASSERT_TRUE(cache_->MakeRoom(300, {}).ok());
  EXPECT_TRUE(cache_->Has(a));
  EXPECT_FALSE(cache_->Has(b));
}

TEST_F(BlobCacheTest, NothingGoesThatNeedNot) {
  const Digest a = Add('a', 400);
  ASSERT_TRUE(cache_->MakeRoom(600, {}).ok());
  EXPECT_TRUE(cache_->Has(a));
  ASSERT_TRUE(cache_->MakeRoom(601, {}).ok());
  EXPECT_FALSE(cache_->Has(a));
}

TEST_F(BlobCacheTest, PinnedBlobsStayAlsoBeyondTheLimit) {
  const Digest a = Add('a', 400);
  const Digest b = Add('b', 400);
  ASSERT_TRUE(cache_->MakeRoom(UINT64_MAX, {a}).ok());
  EXPECT_TRUE(cache_->Has(a));
  EXPECT_FALSE(cache_->Has(b));
}

TEST_F(BlobCacheTest, WhateverCameSinceItLastLookedIsCounted) {
  ASSERT_TRUE(cache_->MakeRoom(0, {}).ok());
  const std::string data(300, 'a');
  const Digest put = Sha256Of(AsBytes(data));
  ASSERT_TRUE(cache_->Put(put, data).ok());
  clock_.AdvanceMs(1000);
  const Digest part = Sha256Of(AsBytes("part"));
  ASSERT_TRUE(cache_->PutPart(part, std::string(200, 'b')).ok());
  clock_.AdvanceMs(1000);
  const std::string path = dir_ + "/made";
  const std::string made(200, 'c');
  ASSERT_TRUE(WriteFileAtomic(path, made).ok());
  const Digest adopted = Sha256Of(AsBytes(made));
  ASSERT_TRUE(cache_->Adopt(adopted, path).ok());
  EXPECT_FALSE(FileExists(path));
  clock_.AdvanceMs(1000);
  ASSERT_TRUE(cache_->MakeRoom(200, {}).ok());
  const Digest asked_for = Add('d', 200);
  EXPECT_TRUE(cache_->Has(put));
  ASSERT_TRUE(cache_->MakeRoom(101, {part}).ok());
  EXPECT_FALSE(cache_->Has(put));
  EXPECT_TRUE(FileExists(cache_->PartPath(part)));
  EXPECT_TRUE(cache_->Has(adopted));
  EXPECT_TRUE(cache_->Has(asked_for));
}

TEST_F(BlobCacheTest, WhatIsSaidToComeCountsAlsoIfItIsTooMuchToCount) {
  const Digest a = Add('a', 400);
  ASSERT_TRUE(cache_->MakeRoom(UINT64_MAX, {a}).ok());
  ASSERT_TRUE(cache_->MakeRoom(601, {}).ok());
  EXPECT_FALSE(cache_->Has(a));
}

TEST_F(BlobCacheTest, WhatOthersPutIntoASharedFolderIsSeen) {
  Open(true);
  ASSERT_TRUE(cache_->MakeRoom(0, {}).ok());
  const std::string data(900, 'a');
  const Digest others = Sha256Of(AsBytes(data));
  ASSERT_TRUE(WriteFileAtomic(cache_->Path(others), data).ok());
  ASSERT_TRUE(cache_->MakeRoom(200, {}).ok());
  EXPECT_FALSE(cache_->Has(others));
}

TEST_F(BlobCacheTest, AbandonedDownloadsAreEvictedToo) {
  const Digest digest = Sha256Of(AsBytes("x"));
  ASSERT_TRUE(WriteFileAtomic(cache_->PartPath(digest), std::string(900, 'x')).ok());
  ASSERT_TRUE(cache_->MakeRoom(500, {}).ok());
  EXPECT_FALSE(FileExists(cache_->PartPath(digest)));
}

TEST_F(BlobCacheTest, RemoveForgetsBothForms) {
  const Digest digest = Add('a', 10);
  ASSERT_TRUE(cache_->PartBytes(digest).ok());
  ASSERT_TRUE(cache_->Remove(digest).ok());
  EXPECT_FALSE(cache_->Has(digest));
  EXPECT_FALSE(FileExists(cache_->PartPath(digest)));
  EXPECT_TRUE(cache_->Remove(digest).ok());
}

}  // namespace
}  // namespace fedwatt
