#include "client/datasets/recent_datasets.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

class Nothing final : public Dataset {
 public:
  uint64_t size() const override { return 0; }
  std::vector<int64_t> input_shape() const override { return {}; }
  DType input_dtype() const override { return DType::kF32; }
  absl::Status Gather(const std::vector<uint64_t>&, Batch*) const override {
    return absl::OkStatus();
  }
};

DatasetConfig Named(const std::string& name) { return {name, "idx", "/data", {}}; }

class RecentDatasetsTest : public testing::Test {
 protected:
  const DatasetOpener counting_ =
      [this](const DatasetConfig& config) -> absl::StatusOr<std::shared_ptr<const Dataset>> {
    absl::StrAppend(&opened_, config.name);
    if (config.name == "x") return absl::NotFoundError("no x");
    return std::make_shared<Nothing>();
  };
  std::string opened_;
};

TEST_F(RecentDatasetsTest, OpensAgainOnlyWhatWasNotAskedForLately) {
  const DatasetOpener open = KeepRecentDatasets(counting_, 2);
  for (const char* name : {"a", "b", "a", "b", "a", "c", "a", "b"}) {
    ASSERT_TRUE(open(Named(name)).ok());
  }
  EXPECT_EQ(opened_, "abcb");
}

TEST_F(RecentDatasetsTest, GivesTheSameDatasetAgain) {
  const DatasetOpener open = KeepRecentDatasets(counting_, 1);
  EXPECT_EQ(*open(Named("a")), *open(Named("a")));
}

TEST_F(RecentDatasetsTest, TellsOptionsApart) {
  const DatasetOpener open = KeepRecentDatasets(counting_, 2);
  DatasetConfig other = Named("a");
  other.options["client"] = "1";
  EXPECT_NE(*open(Named("a")), *open(other));
}

TEST_F(RecentDatasetsTest, TriesAgainAfterAnError) {
  const DatasetOpener open = KeepRecentDatasets(counting_, 2);
  EXPECT_TRUE(absl::IsNotFound(open(Named("x")).status()));
  EXPECT_TRUE(absl::IsNotFound(open(Named("x")).status()));
  EXPECT_EQ(opened_, "xx");
}

}  // namespace
}  // namespace fedwatt
