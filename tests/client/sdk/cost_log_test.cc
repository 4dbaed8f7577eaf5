#include "client/sdk/cost_log.h"

#include <cmath>
#include <filesystem>

#include "client/sdk/small_file.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::DoubleNear;
using ::testing::Optional;

EnergySample Sample(Phase phase, uint64_t bytes, std::optional<int64_t> energy_uj) {
  EnergySample sample;
  sample.source = "my meter";
  sample.quality = energy_uj.has_value() ? EnergyQuality::kMeasured : EnergyQuality::kUnavailable;
  sample.phase = phase;
  sample.bytes = bytes;
  sample.energy_uj = energy_uj;
  return sample;
}

class CostLogTest : public ::testing::Test {
 protected:
  void TearDown() override {
    SetWriteFaultForTest(nullptr);
    std::filesystem::remove(path_);
  }
  const std::string path_ = ::testing::TempDir() + "cost_log_test";
  CostLog log_ = CostLog::Load(path_);
};

TEST_F(CostLogTest, NewsIsWrittenAtOnceAndThenOnlyNowAndThen) {
  const auto kept = [this] { return CostLog::Load(path_).Estimate({}).train_seconds; };
  constexpr int64_t kEveryUs = CostLog::kSaveEveryMs * 1000;
  ASSERT_TRUE(log_.SaveNowAndThen(5).ok());
  EXPECT_FALSE(FileExists(path_)) << "there is no news";
  log_.SetTraining(Sample(Phase::kTrain, 0, 1), 1'000'000);
  ASSERT_TRUE(log_.SaveNowAndThen(10).ok());
  EXPECT_EQ(kept(), 1.0);
  log_.SetTraining(Sample(Phase::kTrain, 0, 1), 2'000'000);
  ASSERT_TRUE(log_.SaveNowAndThen(10 + kEveryUs - 1).ok());
  EXPECT_EQ(kept(), 1.0);
  ASSERT_TRUE(log_.SaveNowAndThen(10 + kEveryUs).ok());
  EXPECT_EQ(kept(), 2.0);
  log_.SetTraining(Sample(Phase::kTrain, 0, 1), 3'000'000);
  ASSERT_TRUE(log_.Save().ok());
  EXPECT_EQ(kept(), 3.0);
}

TEST_F(CostLogTest, WhatWasNeverMeasuredIsUnknown) {
  const CostEstimate costs = log_.Estimate({});
  EXPECT_FALSE(costs.up_bytes_per_s.has_value());
  EXPECT_FALSE(costs.down_bytes_per_s.has_value());
  EXPECT_FALSE(costs.up_joules_per_byte.has_value());
  EXPECT_FALSE(costs.down_joules_per_byte.has_value());
  EXPECT_FALSE(costs.encode_joules_per_coordinate.has_value());
  EXPECT_FALSE(costs.train_joules.has_value());
  EXPECT_FALSE(costs.train_seconds.has_value());
}

TEST_F(CostLogTest, EachDirectionHasItsRateAndItsJoules) {
  log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, 2'000'000), 500'000);
  log_.AddTransfer(Sample(Phase::kDownload, 8'000'000, 4'000'000), 1'000'000);
  const CostEstimate costs = log_.Estimate({});
  EXPECT_THAT(costs.up_bytes_per_s, Optional(DoubleNear(2e6, 1e-3)));
  EXPECT_THAT(costs.down_bytes_per_s, Optional(DoubleNear(8e6, 1e-3)));
  EXPECT_THAT(costs.up_joules_per_byte, Optional(DoubleNear(2e-6, 1e-15)));
  EXPECT_THAT(costs.down_joules_per_byte, Optional(DoubleNear(5e-7, 1e-15)));
}

TEST_F(CostLogTest, UnavailableEnergyStaysUnknownBesideAKnownRate) {
  log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, std::nullopt), 500'000);
  log_.AddEncoding(Sample(Phase::kEncode, 0, std::nullopt), 1000);
  log_.SetTraining(Sample(Phase::kTrain, 0, std::nullopt), 3'000'000);
  const CostEstimate costs = log_.Estimate({});
  EXPECT_TRUE(costs.up_bytes_per_s.has_value());
  EXPECT_FALSE(costs.up_joules_per_byte.has_value());
  EXPECT_FALSE(costs.encode_joules_per_coordinate.has_value());
  EXPECT_THAT(costs.train_seconds, Optional(3.0));
  EXPECT_FALSE(costs.train_joules.has_value());
}

TEST_F(CostLogTest, SmallTransfersAndThoseWithoutDurationSayNothing) {
  log_.AddTransfer(Sample(Phase::kUpload, CostLog::kMinTransferBytes - 1, 1000), 1000);
  log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, std::nullopt), 0);
  EXPECT_FALSE(log_.Estimate({}).up_bytes_per_s.has_value());
  EXPECT_FALSE(log_.Estimate({}).up_joules_per_byte.has_value());
  log_.AddTransfer(Sample(Phase::kUpload, CostLog::kMinTransferBytes, 1000), 1000);
  EXPECT_TRUE(log_.Estimate({}).up_bytes_per_s.has_value());
}

TEST_F(CostLogTest, OldMeasurementsFade) {
  log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, 1'000'000), 1'000'000);
  log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, 3'000'000), 2'000'000);
  // (0.7 + 1) / (0.7 * 1 s + 2 s), and the same of joules.
  EXPECT_THAT(log_.Estimate({}).up_bytes_per_s, Optional(DoubleNear(1.7e6 / 2.7, 1e-3)));
  EXPECT_THAT(log_.Estimate({}).up_joules_per_byte, Optional(DoubleNear(3.7e-6 / 1.7, 1e-15)));
  for (int i = 0; i < 30; ++i) {
    log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, 3'000'000), 2'000'000);
  }
  EXPECT_THAT(log_.Estimate({}).up_bytes_per_s, Optional(DoubleNear(5e5, 10)));
}

TEST_F(CostLogTest, JoulesOfAnotherMeterStartAnew) {
  log_.AddEncoding(Sample(Phase::kEncode, 0, 1'000'000), 1000);
  EnergySample other = Sample(Phase::kEncode, 0, 5'000'000);
  other.source = "rapl";
  log_.AddEncoding(other, 1000);
  EXPECT_THAT(log_.Estimate({}).encode_joules_per_coordinate, Optional(DoubleNear(5e-3, 1e-12)));
  other.scope = EnergyScope::kDevice;
  other.energy_uj = 7'000'000;
  log_.AddEncoding(other, 1000);
  EXPECT_THAT(log_.Estimate({}).encode_joules_per_coordinate, Optional(DoubleNear(7e-3, 1e-12)));
}

TEST_F(CostLogTest, TrainingIsTheLastAssignments) {
  log_.SetTraining(Sample(Phase::kTrain, 0, 10'000'000), 1'000'000);
  log_.SetTraining(Sample(Phase::kTrain, 0, 2'000'000), 5'000'000);
  EXPECT_THAT(log_.Estimate({}).train_joules, Optional(2.0));
  EXPECT_THAT(log_.Estimate({}).train_seconds, Optional(5.0));
  log_.SetTraining(Sample(Phase::kTrain, 0, std::nullopt), 5'000'000);
  EXPECT_FALSE(log_.Estimate({}).train_joules.has_value());
}

TEST_F(CostLogTest, WhatTheOwnerStatesStandsForWhatWasMeasured) {
  log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, 1'000'000), 1'000'000);
  CostEstimate stated;
  stated.up_bytes_per_s = 125'000;
  EXPECT_THAT(log_.Estimate(stated).up_bytes_per_s, Optional(125'000.0));
  EXPECT_THAT(log_.Estimate(stated).up_joules_per_byte, Optional(DoubleNear(1e-6, 1e-15)));
}

TEST_F(CostLogTest, ARestartKeepsThem) {
  log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, 1'234'567), 1'000'000);
  log_.SetTraining(Sample(Phase::kTrain, 0, 10'000'000), 1'000'000);
  ASSERT_TRUE(log_.Save().ok());
  const CostEstimate before = log_.Estimate({});
  const CostEstimate after = CostLog::Load(path_).Estimate({});
  EXPECT_EQ(after.up_bytes_per_s, before.up_bytes_per_s);
  EXPECT_EQ(after.up_joules_per_byte, before.up_joules_per_byte);
  EXPECT_EQ(after.train_joules, before.train_joules);
  EXPECT_EQ(after.train_seconds, before.train_seconds);
  EXPECT_FALSE(after.down_bytes_per_s.has_value());
}

TEST_F(CostLogTest, ADamagedFileIsAnEmptyLog) {
  log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, 1'000'000), 1'000'000);
  ASSERT_TRUE(log_.Save().ok());
  std::string text = *ReadFile(path_, 10'000);
  text.back() ^= 1;
  ASSERT_TRUE(WriteFileAtomic(path_, text).ok());
  EXPECT_FALSE(CostLog::Load(path_).Estimate({}).up_bytes_per_s.has_value());
  // Sound by its hash, but not by its content.
  ASSERT_TRUE(WriteSmallFile(path_,
                             "up_bytes_per_s 1 0 -\ndown_bytes_per_s nan 1 -\n"
                             "train_joules -1 1 -\ntrain_seconds 1\nx y z u v\n")
                  .ok());
  const CostEstimate costs = CostLog::Load(path_).Estimate({});
  EXPECT_FALSE(costs.up_bytes_per_s.has_value());
  EXPECT_FALSE(costs.down_bytes_per_s.has_value());
  EXPECT_FALSE(costs.train_joules.has_value());
  EXPECT_FALSE(costs.train_seconds.has_value());
}

TEST_F(CostLogTest, AnImpossibleRateIsUnknown) {
  log_.AddTransfer(Sample(Phase::kDownload, uint64_t{60} << 30, std::nullopt), 1);
  EXPECT_FALSE(log_.Estimate({}).down_bytes_per_s.has_value());
}

TEST_F(CostLogTest, SavesOnlyNews) {
  ASSERT_TRUE(log_.Save().ok());
  EXPECT_FALSE(FileExists(path_));
  log_.AddTransfer(Sample(Phase::kUpload, 1'000'000, 1'000'000), 1'000'000);
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  EXPECT_EQ(log_.Save().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(log_.Save().ok());  // said once
}

TEST_F(CostLogTest, TheLossIsTheModelsAsItCame) {
  CostLog log = CostLog::Load(path_);
  EXPECT_FALSE(log.mean_loss().has_value());
  UpdateMetrics metrics;
  metrics.before = LossSums{100, 250, 700, 0, 0};
  metrics.after = LossSums{100, 50, 30, 0, 0};
  log.SetLoss(metrics);
  EXPECT_EQ(log.mean_loss(), 2.5);
  metrics.before.reset();
  log.SetLoss(metrics);
  EXPECT_EQ(log.mean_loss(), 0.5);
  ASSERT_TRUE(log.Save().ok());
  EXPECT_EQ(CostLog::Load(path_).mean_loss(), 0.5);
  log.SetLoss(UpdateMetrics());
  EXPECT_FALSE(log.mean_loss().has_value());
  metrics.after = LossSums{0, 50, 30, 0, 0};
  log.SetLoss(metrics);
  EXPECT_FALSE(log.mean_loss().has_value());
}

TEST(WithCoarseLinkTest, OnlyABucketOfWhatWasMeasuredLeaves) {
  CostEstimate costs;
  costs.up_bytes_per_s = 123'456.7;
  costs.down_bytes_per_s = 9e9;
  costs.train_joules = 3.25;
  const CostEstimate told = WithCoarseLink(costs, {});
  EXPECT_EQ(told.up_bytes_per_s, 128 * 1024.0);  // between 64 and 256 KiB/s
  EXPECT_EQ(told.down_bytes_per_s, 128.0 * 1024 * 1024);
  EXPECT_EQ(told.train_joules, 3.25);
  EXPECT_FALSE(told.up_joules_per_byte.has_value());
}

TEST(WithCoarseLinkTest, WhatTheOwnerStatesIsToldAsStated) {
  CostEstimate stated;
  stated.up_bytes_per_s = 123'456.7;
  CostEstimate costs = stated;
  costs.down_bytes_per_s = 1e5;
  EXPECT_EQ(WithCoarseLink(costs, stated).up_bytes_per_s, 123'456.7);
  EXPECT_NE(WithCoarseLink(costs, stated).down_bytes_per_s, 1e5);
}

}  // namespace
}  // namespace fedwatt
