#include "client/sdk/held_models.h"

#include <filesystem>

#include "client/sdk/small_file.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class HeldModelsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(dir_);
    auto cache = BlobCache::Open(dir_ + "/blobs", dir_ + "/part", false, 1000, &clock_);
    ASSERT_TRUE(cache.ok());
    cache_ = std::make_unique<BlobCache>(*std::move(cache));
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  Digest Cached(const std::string& data) {
    const Digest digest = Sha256Of(AsBytes(data));
    EXPECT_TRUE(WriteFileAtomic(cache_->Path(digest), data).ok());
    return digest;
  }
  HeldModels Load() const { return HeldModels::Load(path_); }

  const std::string dir_ = ::testing::TempDir() + "held_models_test";
  const std::string path_ = dir_ + "/models";
  FakeClock clock_;
  std::unique_ptr<BlobCache> cache_;
};

TEST_F(HeldModelsTest, NewestFirstAlsoAfterARestart) {
  HeldModels held = Load();
  EXPECT_THAT(held.In(*cache_), IsEmpty());
  const Digest a = Cached("a");
  const Digest b = Cached("b");
  ASSERT_TRUE(held.Add(a).ok());
  ASSERT_TRUE(held.Add(b).ok());
  EXPECT_THAT(held.In(*cache_), ElementsAre(b, a));
  ASSERT_TRUE(held.Add(a).ok());
  EXPECT_THAT(Load().In(*cache_), ElementsAre(a, b));
}

TEST_F(HeldModelsTest, OnlyWhatTheCacheStillHas) {
  HeldModels held = Load();
  const Digest a = Cached("a");
  const Digest b = Cached("b");
  Cached("a bundle, which is no model");
  ASSERT_TRUE(held.Add(a).ok());
  ASSERT_TRUE(held.Add(b).ok());
  ASSERT_TRUE(cache_->Remove(b).ok());
  EXPECT_THAT(held.In(*cache_), ElementsAre(a));
}

TEST_F(HeldModelsTest, IsBounded) {
  HeldModels held = Load();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(held.Add(Cached(std::to_string(i))).ok());
  EXPECT_THAT(held.In(*cache_), SizeIs(HeldModels::kMax));
  EXPECT_THAT(Load().In(*cache_), SizeIs(HeldModels::kMax));
  EXPECT_EQ(held.In(*cache_)[0], Sha256Of(AsBytes("19")));
}

TEST_F(HeldModelsTest, ADamagedListIsEmptyAndCanBeReplaced) {
  HeldModels held = Load();
  const Digest a = Cached("a");
  ASSERT_TRUE(held.Add(a).ok());
  const std::string text = *ReadFile(path_, 1000);
  for (const size_t bytes : {size_t{0}, size_t{64}, text.size() - 1}) {
    ASSERT_TRUE(WriteFileAtomic(path_, text.substr(0, bytes)).ok());
    EXPECT_THAT(Load().In(*cache_), IsEmpty()) << bytes;
  }
  ASSERT_TRUE(WriteFileAtomic(path_, std::string(1 << 20, 'x')).ok());
  held = Load();
  EXPECT_THAT(held.In(*cache_), IsEmpty());
  ASSERT_TRUE(held.Add(a).ok());
  EXPECT_THAT(Load().In(*cache_), ElementsAre(a));
}

}  // namespace
}  // namespace fedwatt
