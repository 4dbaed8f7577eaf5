#include "server/driver/blob_references.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

class References : public ::testing::Test {
 protected:
  References() {
    const std::string dir =
        absl::StrCat(::testing::TempDir(), "/references-",
                     ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir);
    blobs_ = *OpenDirBlobStore(dir);
    references_ = std::make_unique<BlobReferences>(blobs_.get());
    a_ = Put("a");
    b_ = Put("b");
    c_ = Put("c");
  }

  Digest Put(const std::string& text) { return blobs_->Put(AsBytes(text))->sha256; }
  bool Has(const Digest& digest) { return blobs_->Open(digest).ok(); }

  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<BlobReferences> references_;
  Digest a_, b_, c_;
};

TEST_F(References, ABlobGoesWithItsLastJob) {
  references_->Set("one", {a_, b_});
  references_->Set("two", {b_});
  references_->Set("one", {});
  EXPECT_FALSE(Has(a_));
  EXPECT_TRUE(Has(b_));
  references_->Set("two", {c_});
  EXPECT_FALSE(Has(b_));
  EXPECT_TRUE(Has(c_));
}

TEST_F(References, NothingGoesWhileSomeoneWrites) {
  references_->Set("one", {a_});
  {
    const BlobReferences::WriteScope writing(references_.get());
    references_->Set("one", {});
    EXPECT_TRUE(Has(a_));
    // Another job's new model happens to be the same bytes.
    references_->Add("two", {a_});
  }
  EXPECT_TRUE(Has(a_));
  references_->Set("two", {});
  EXPECT_FALSE(Has(a_));
}

TEST_F(References, TheSweepTakesWhatNoJobNames) {
  references_->Set("one", {a_});
  ASSERT_TRUE(references_->Sweep().ok());
  EXPECT_TRUE(Has(a_));
  EXPECT_FALSE(Has(b_));
  EXPECT_FALSE(Has(c_));
}

}  // namespace
}  // namespace fedwatt
