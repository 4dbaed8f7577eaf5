// What holds for every aggregator. A new line in builtin.def is tested here without an edit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "tests/server/aggregators/memory_update.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;
using Updates = std::vector<std::unique_ptr<MemoryUpdate>>;

class AggregatorConformanceTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Aggregator> New(uint32_t max_reports = 16) const {
    return NewAggregator(TestConfig(GetParam(), max_reports));
  }

  static std::vector<const UpdateView*> Views(const Updates& updates, size_t begin, size_t end) {
    std::vector<const UpdateView*> views;
    for (size_t i = begin; i < end; ++i) views.push_back(updates[i].get());
    return views;
  }

  AggregateResult InOrder(const Updates& updates) const {
    const auto aggregator = New();
    for (const auto& update : updates) {
      const absl::Status status = aggregator->Accumulate(*update);
      EXPECT_TRUE(status.ok()) << status;
    }
    return Reported(*aggregator);
  }

  static AggregateResult Reported(Aggregator& aggregator) {
    EXPECT_TRUE(aggregator.CanReport());
    auto result = std::move(aggregator).Report();
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : AggregateResult();
  }

  // After the refusal of `bad`, the result is as if it had never come.
  void ExpectRefusedWithoutTrace(const MemoryUpdate& bad, absl::StatusCode code) const {
    const Updates good = RandomUpdates(3);
    const auto aggregator = New(3);
    ASSERT_TRUE(aggregator->Accumulate(*good[0]).ok());
    ASSERT_TRUE(aggregator->Accumulate(*good[1]).ok());
    const absl::Status status = aggregator->Accumulate(bad);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_FALSE(status.message().empty());
    const absl::Status next = aggregator->Accumulate(*good[2]);
    ASSERT_TRUE(next.ok()) << "the refused update took the last place: " << next;
    EXPECT_TRUE(SameBits(Reported(*aggregator), InOrder(good)));
  }
};

TEST_P(AggregatorConformanceTest, OneUpdateIsItsOwnMean) {
  for (const uint64_t weight : {uint64_t{1}, uint64_t{7}, uint64_t{1000}}) {
    const auto update = RandomUpdate(1);
    update->declared_weight = weight;
    const auto aggregator = New();
    ASSERT_TRUE(aggregator->Accumulate(*update).ok());
    const AggregateResult result = Reported(*aggregator);
    ASSERT_EQ(result.mean_delta.size(), kCoordinates);
    for (size_t i = 0; i < kCoordinates; ++i) {
      ASSERT_NEAR(result.mean_delta[i], update->delta[i], 1e-9) << "coordinate " << i;
    }
    EXPECT_EQ(result.buffers, update->buffers);
    EXPECT_EQ(result.total_weight, weight);
    EXPECT_EQ(result.updates, 1u);
  }
}

TEST_P(AggregatorConformanceTest, TheClipFactorScalesTheDeltaAlone) {
  const auto update = RandomUpdate(1);
  update->clip = 0.5;
  const auto aggregator = New();
  ASSERT_TRUE(aggregator->Accumulate(*update).ok());
  const AggregateResult result = Reported(*aggregator);
  for (size_t i = 0; i < kCoordinates; ++i) {
    ASSERT_NEAR(result.mean_delta[i], update->delta[i] / 2, 1e-9) << "coordinate " << i;
  }
  EXPECT_EQ(result.buffers, update->buffers);
}

TEST_P(AggregatorConformanceTest, TheOrderOfArrivalChangesNoBit) {
  Updates updates = RandomUpdates(7);
  const AggregateResult expected = InOrder(updates);
  Rng rng(RngKey{"", 0, "", "shuffle", 1});
  for (int i = 0; i < 5; ++i) {
    rng.Shuffle(updates);
    EXPECT_TRUE(SameBits(InOrder(updates), expected));
  }
}

TEST_P(AggregatorConformanceTest, ThreadsChangeNoBit) {
  constexpr size_t kThreads = 4;
  const Updates updates = RandomUpdates(12);
  const AggregateResult expected = InOrder(updates);
  const auto aggregator = New();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&updates, &aggregator, t] {
      for (size_t i = t; i < updates.size(); i += kThreads) {
        EXPECT_TRUE(aggregator->Accumulate(*updates[i]).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(SameBits(Reported(*aggregator), expected));
}

TEST_P(AggregatorConformanceTest, ManyAtOnceChangeNoBit) {
  const Updates updates = RandomUpdates(12);
  const AggregateResult expected = InOrder(updates);
  for (const size_t batch : {size_t{1}, size_t{5}, size_t{12}}) {
    const auto aggregator = New();
    EXPECT_TRUE(aggregator->AccumulateMany({}).empty());
    for (size_t begin = 0; begin < updates.size(); begin += batch) {
      const size_t end = std::min(begin + batch, updates.size());
      const auto statuses = aggregator->AccumulateMany(Views(updates, begin, end));
      ASSERT_EQ(statuses.size(), end - begin);
      for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_TRUE(SameBits(Reported(*aggregator), expected)) << "in batches of " << batch;
  }
}

TEST_P(AggregatorConformanceTest, ManyAtOnceFromManyThreadsChangeNoBit) {
  const Updates updates = RandomUpdates(12);
  const AggregateResult expected = InOrder(updates);
  const auto aggregator = New();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&updates, &aggregator, t] {
      for (const absl::Status& status :
           aggregator->AccumulateMany(Views(updates, 3 * t, 3 * t + 3))) {
        EXPECT_TRUE(status.ok()) << status;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(SameBits(Reported(*aggregator), expected));
}

TEST_P(AggregatorConformanceTest, WhoFailsAmongManyFailsAlone) {
  const Updates good = RandomUpdates(4);
  const auto nan = RandomUpdate(9);
  nan->delta[kCoordinates - 1] = std::numeric_limits<float>::quiet_NaN();
  const auto heavy = RandomUpdate(9);
  heavy->declared_weight = 1001;
  const auto unreadable = RandomUpdate(9);
  unreadable->reads_before_failure = 2;
  unreadable->failing_reads = 1;
  const auto without_buffers = RandomUpdate(9);
  without_buffers->buffers.clear();
  const std::vector<const UpdateView*> updates = {
      good[0].get(), nan.get(),        heavy.get(),           good[1].get(),
      good[2].get(), unreadable.get(), without_buffers.get(), good[3].get()};
  const auto aggregator = New();
  const std::vector<absl::Status> statuses = aggregator->AccumulateMany(updates);
  std::vector<absl::StatusCode> codes;
  for (const absl::Status& status : statuses) codes.push_back(status.code());
  const auto ok = absl::StatusCode::kOk;
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(codes, (std::vector<absl::StatusCode>{ok, invalid, invalid, ok, ok,
                                                  absl::StatusCode::kUnavailable, invalid, ok}));
  EXPECT_TRUE(SameBits(Reported(*aggregator), InOrder(good)));
}

TEST_P(AggregatorConformanceTest, HowPartialSumsAreMergedChangesNoBit) {
  const Updates updates = RandomUpdates(9);
  const AggregateResult expected = InOrder(updates);
  for (const std::vector<size_t>& cuts :
       std::vector<std::vector<size_t>>{{0, 9}, {9, 9}, {4, 9}, {1, 2}, {3, 6}}) {
    std::vector<std::unique_ptr<Aggregator>> parts;
    for (int i = 0; i < 3; ++i) parts.push_back(New());
    for (size_t i = 0; i < updates.size(); ++i) {
      const size_t part = i < cuts[0] ? 0 : i < cuts[1] ? 1 : 2;
      ASSERT_TRUE(parts[part]->Accumulate(*updates[i]).ok());
    }
    ASSERT_TRUE(parts[2]->MergeWith(std::move(*parts[1])).ok());
    ASSERT_TRUE(parts[0]->MergeWith(std::move(*parts[2])).ok());
    EXPECT_TRUE(SameBits(Reported(*parts[0]), expected)) << cuts[0] << ", " << cuts[1];
    EXPECT_FALSE(parts[1]->CanReport()) << "merged sums are empty";
  }
}

TEST_P(AggregatorConformanceTest, OtherModelsAndBoundsAreNotMerged) {
  const auto aggregator = New();
  ASSERT_TRUE(aggregator->Accumulate(*RandomUpdate(1)).ok());
  AggregatorConfig bounds = TestConfig(GetParam());
  bounds.max_abs_delta = 8;
  AggregatorConfig model = TestConfig(GetParam());
  model.manifest = *Manifest::Create({{"w", DType::kF32, {3}, TensorRole::kTrainable}});
  model.layout = *MakeUpdateLayout(model.manifest, {}, BufferMode::kAverage);
  for (const AggregatorConfig& config : {bounds, model}) {
    const auto other = NewAggregator(config);
    EXPECT_EQ(aggregator->MergeWith(std::move(*other)).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(aggregator->MergeWith(std::move(*aggregator)).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(aggregator->CanReport());
}

TEST_P(AggregatorConformanceTest, NoMoreThanMaxReports) {
  const Updates updates = RandomUpdates(4);
  const auto aggregator = New(3);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(aggregator->Accumulate(*updates[i]).ok());
  EXPECT_EQ(aggregator->Accumulate(*updates[3]).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Reported(*aggregator).updates, 3u);

  const auto two = New(3);
  const auto others = New(3);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(two->Accumulate(*updates[i]).ok());
    ASSERT_TRUE(others->Accumulate(*updates[i + 2]).ok());
  }
  EXPECT_EQ(two->MergeWith(std::move(*others)).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Reported(*two).updates, 2u);
  EXPECT_EQ(Reported(*others).updates, 2u) << "a refused merge takes nothing";

  const auto full = New(3);
  const auto rest = New(3);
  ASSERT_TRUE(full->Accumulate(*updates[0]).ok());
  for (int i = 1; i < 3; ++i) ASSERT_TRUE(rest->Accumulate(*updates[i]).ok());
  ASSERT_TRUE(full->MergeWith(std::move(*rest)).ok());
  EXPECT_EQ(full->Accumulate(*updates[3]).code(), absl::StatusCode::kResourceExhausted)
      << "merged updates take their places";
}

// The greatest sum there can be: every value, weight and count at its bound.
TEST_P(AggregatorConformanceTest, ExtremesDoNotOverflow) {
  for (const float extreme : {4.0f, -4.0f}) {
    const auto aggregator = New(16);
    MemoryUpdate update;
    update.delta.assign(kCoordinates, extreme);
    update.declared_weight = 1000;
    update.buffers = BatchNormBuffers(4294967296.0f, -4294967296.0f, INT64_MAX);
    for (int i = 0; i < 16; ++i) ASSERT_TRUE(aggregator->Accumulate(update).ok());
    const AggregateResult result = Reported(*aggregator);
    for (const float x : result.mean_delta) ASSERT_EQ(x, extreme);
    EXPECT_EQ(result.buffers, update.buffers);
    EXPECT_EQ(result.total_weight, 16'000u);
  }
}

TEST_P(AggregatorConformanceTest, BadUpdatesAreRefusedWithoutTrace) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(), 4.000001f, -5.0f}) {
    for (const size_t where : {size_t{0}, size_t{50'000}, kCoordinates - 1}) {
      const auto update = RandomUpdate(9);
      update->delta[where] = bad;
      ExpectRefusedWithoutTrace(*update, absl::StatusCode::kInvalidArgument);
    }
  }
  for (const uint64_t weight : {uint64_t{0}, uint64_t{1001}, UINT64_MAX}) {
    const auto update = RandomUpdate(9);
    update->declared_weight = weight;
    ExpectRefusedWithoutTrace(*update, absl::StatusCode::kInvalidArgument);
  }
  for (const double clip : {0.0, -1.0, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    const auto update = RandomUpdate(9);
    update->clip = clip;
    ExpectRefusedWithoutTrace(*update, absl::StatusCode::kInvalidArgument);
  }
}

TEST_P(AggregatorConformanceTest, BadBuffersAreRefusedWithoutTrace) {
  const auto update = RandomUpdate(9);
  update->buffers = BatchNormBuffers(std::numeric_limits<float>::quiet_NaN(), 1, 1);
  ExpectRefusedWithoutTrace(*update, absl::StatusCode::kInvalidArgument);
  update->buffers = {1, 2, 3};
  ExpectRefusedWithoutTrace(*update, absl::StatusCode::kInvalidArgument);
}

TEST_P(AggregatorConformanceTest, AReadThatFailsLeavesNoTrace) {
  for (const int reads : {0, 1, 2}) {
    const auto update = RandomUpdate(9);
    update->reads_before_failure = reads;
    update->failing_reads = 1;
    ExpectRefusedWithoutTrace(*update, absl::StatusCode::kUnavailable);
  }
}

// A disk that never recovers: what was summed so far is lost or sound, never silently wrong.
TEST_P(AggregatorConformanceTest, AnUpdateThatStaysUnreadableNeverGivesAWrongMean) {
  const Updates good = RandomUpdates(2);
  const auto aggregator = New();
  for (const auto& update : good) ASSERT_TRUE(aggregator->Accumulate(*update).ok());
  const auto dying = RandomUpdate(9);
  dying->reads_before_failure = 2;
  EXPECT_EQ(aggregator->Accumulate(*dying).code(), absl::StatusCode::kUnavailable);
  const auto result = std::move(*aggregator).Report();
  if (result.ok()) {
    EXPECT_TRUE(SameBits(*result, InOrder(good)));
  } else {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss) << result.status();
    EXPECT_EQ(aggregator->Accumulate(*good[0]).code(), absl::StatusCode::kDataLoss);
    EXPECT_FALSE(aggregator->CanReport());
  }
}

TEST_P(AggregatorConformanceTest, ReportsOnceAndOnlyWithSomethingToReport) {
  const auto aggregator = New();
  EXPECT_FALSE(aggregator->CanReport());
  EXPECT_EQ(std::move(*aggregator).Report().status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(aggregator->Accumulate(*RandomUpdate(1)).ok());
  Reported(*aggregator);
  EXPECT_FALSE(aggregator->CanReport());
  EXPECT_EQ(std::move(*aggregator).Report().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(aggregator->Accumulate(*RandomUpdate(2)).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(AggregatorConformanceTest, AModelWithoutBuffersNeedsNone) {
  AggregatorConfig config = TestConfig(GetParam());
  config.layout = *MakeUpdateLayout(config.manifest, {"bias"}, BufferMode::kFrozen);
  const auto aggregator = NewAggregator(config);
  const auto update = RandomUpdate(1);
  update->delta.resize(config.layout.coordinates);
  update->buffers.clear();
  ASSERT_TRUE(aggregator->Accumulate(*update).ok());
  const AggregateResult result = Reported(*aggregator);
  EXPECT_EQ(result.mean_delta.size(), 199'991u);
  EXPECT_TRUE(result.buffers.empty());
}

TEST_P(AggregatorConformanceTest, AnUnknownParameterIsRefused) {
  AggregatorConfig config = TestConfig(GetParam());
  config.plugin.params["trimm"] = 1;
  const absl::Status status = Plugins::Builtin().MakeAggregator(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("aggregator.params.trimm"));
}

INSTANTIATE_TEST_SUITE_P(Builtin, AggregatorConformanceTest,
                         testing::ValuesIn(Names(BuiltinAggregators())),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace fedwatt
