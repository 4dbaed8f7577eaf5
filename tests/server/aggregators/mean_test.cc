#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "common/tensor/fixed_point.h"
#include "tests/server/aggregators/memory_update.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

TEST(MeanTest, AgreesWithPlainLongDoubleSums) {
  const AggregatorConfig config = TestConfig("mean");
  const auto updates = RandomUpdates(10);
  const auto aggregator = NewAggregator(config);
  long double total = 0;
  for (const auto& update : updates) {
    ASSERT_TRUE(aggregator->Accumulate(*update).ok());
    total += update->declared_weight;
  }
  const auto result = std::move(*aggregator).Report();
  ASSERT_TRUE(result.ok()) << result.status();
  const int scale = *ChooseScale(config.max_abs_delta, config.max_weight, config.max_reports);
  for (size_t i = 0; i < kCoordinates; ++i) {
    long double sum = 0;
    for (const auto& update : updates) {
      sum += static_cast<long double>(update->declared_weight) * update->clip * update->delta[i];
    }
    const long double mean = sum / total;
    // Half a unit for each addend, half a float32's last place for the result.
    const long double tolerance =
        10 * std::ldexp(0.5L, -scale) / total + std::fabs(mean) * 0x1p-24L + 1e-45L;
    ASSERT_NEAR(result->mean_delta[i], static_cast<double>(mean), static_cast<double>(tolerance))
        << "coordinate " << i;
  }
  EXPECT_EQ(static_cast<long double>(result->total_weight), total);
}

TEST(MeanTest, WeighsByWeight) {
  const auto aggregator = NewAggregator(TestConfig("mean"));
  MemoryUpdate light;
  light.delta.assign(kCoordinates, 1.0f);
  light.declared_weight = 1;
  light.buffers = BatchNormBuffers(4, 0, 7);
  MemoryUpdate heavy;
  heavy.delta.assign(kCoordinates, -1.0f);
  heavy.declared_weight = 3;
  heavy.buffers = BatchNormBuffers(0, 4, -9);
  ASSERT_TRUE(aggregator->Accumulate(light).ok());
  ASSERT_TRUE(aggregator->Accumulate(heavy).ok());
  const auto result = std::move(*aggregator).Report();
  ASSERT_TRUE(result.ok()) << result.status();
  for (const float x : result->mean_delta) ASSERT_EQ(x, -0.5f);
  EXPECT_EQ(result->buffers, BatchNormBuffers(1, 3, 7)) << "floats averaged, counters by maximum";
}

TEST(MeanTest, ReadsAnUpdateOnceUnlessItIsBad) {
  const auto aggregator = NewAggregator(TestConfig("mean"));
  const auto update = RandomUpdate(1);
  ASSERT_TRUE(aggregator->Accumulate(*update).ok());
  EXPECT_EQ(update->reads, 4) << "blocks of 64 Ki coordinates";
}

// Notes each read of its block in a journal that it shares with others.
struct JournalledUpdate final : UpdateView {
  JournalledUpdate(int name, std::vector<std::pair<uint64_t, int>>* journal)
      : name(name), journal(journal) {}
  uint64_t weight() const override { return 1; }
  double clip_factor() const override { return 1; }
  absl::Status ReadDelta(uint64_t begin, std::span<float> out) const override {
    journal->emplace_back(begin, name);
    std::fill(out.begin(), out.end(), 0.5f);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<uint8_t>> ReadBuffers() const override {
    return BatchNormBuffers(0, 0, 0);
  }
  const int name;
  std::vector<std::pair<uint64_t, int>>* const journal;
};

TEST(MeanTest, ManyUpdatesAreFoldedBlockByBlock) {
  std::vector<std::pair<uint64_t, int>> journal;
  const JournalledUpdate a(0, &journal);
  const JournalledUpdate b(1, &journal);
  const JournalledUpdate c(2, &journal);
  const std::vector<const UpdateView*> updates = {&a, &b, &c};
  const auto aggregator = NewAggregator(TestConfig("mean"));
  for (const absl::Status& status : aggregator->AccumulateMany(updates)) {
    ASSERT_TRUE(status.ok()) << status;
  }
  ASSERT_EQ(journal.size(), 4u * updates.size());
  EXPECT_TRUE(std::is_sorted(journal.begin(), journal.end()))
      << "the sums' blocks pass once, for all updates together";
}

TEST(MeanTest, ABadValueIsNamedByItsPlaceInTheWholeUpdate) {
  const auto update = RandomUpdate(1);
  update->delta[177'777] = 5;
  const absl::Status status = NewAggregator(TestConfig("mean"))->Accumulate(*update);
  EXPECT_THAT(std::string(status.message()), HasSubstr("coordinate 177777 is 5"));
}

TEST(MeanTest, BoundsThatLeaveNoPrecisionAreRefusedSayingWhatToLower) {
  AggregatorConfig config = TestConfig("mean");
  config.max_weight = 1'000'000'000;
  config.max_abs_delta = 1e6;
  const absl::Status status = Plugins::Builtin().MakeAggregator(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("lower bounds."));
}

TEST(MeanTest, RefusesEmptyBounds) {
  for (int which = 0; which < 3; ++which) {
    AggregatorConfig config = TestConfig("mean");
    if (which == 0) config.max_abs_delta = 0;
    if (which == 1) config.max_weight = 0;
    if (which == 2) config.max_reports = 0;
    EXPECT_EQ(Plugins::Builtin().MakeAggregator(config).status().code(),
              absl::StatusCode::kInvalidArgument)
        << which;
  }
}

}  // namespace
}  // namespace fedwatt
