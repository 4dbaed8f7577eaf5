#include "common/energy/counter_source.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSecondUs = 1'000'000;

class CounterSourceTest : public testing::Test {
 protected:
  CounterSourceTest() {
    for (int i = 0; i < 2; ++i) {
      EnergyCounter counter;
      counter.label = i == 0 ? "a" : "b";
      counter.range_uj = 100e6;
      counter.max_watts = 10;
      counter.read_uj = [this, i] { return values_[i]; };
      counters_.push_back(counter);
    }
  }
  void Make() { source_ = MakeCounterSource(counters_, 1000); }
  void ReadAfterSeconds(int64_t seconds) { source_->Read(now_us_ += seconds * kSecondUs); }

  std::vector<EnergyCounter> counters_;
  absl::StatusOr<double> values_[2] = {0.0, 0.0};
  int64_t now_us_ = 0;
  std::unique_ptr<EnergySource> source_;
};

TEST_F(CounterSourceTest, AddsUpWhatAllCountersRoseBy) {
  values_[0] = 7e6;
  Make();
  ReadAfterSeconds(0);
  EXPECT_EQ(source_->total().energy_uj, 0) << "the first reading is where counting begins";
  values_[0] = 9e6;
  values_[1] = 1e6;
  ReadAfterSeconds(1);
  EXPECT_EQ(source_->total().energy_uj, 3e6);
  EXPECT_EQ(source_->total().seen_us, kSecondUs);
}

TEST_F(CounterSourceTest, CountsThroughAWrap) {
  values_[0] = 99e6;
  Make();
  ReadAfterSeconds(0);
  values_[0] = 2e6;
  ReadAfterSeconds(1);
  EXPECT_EQ(source_->total().energy_uj, 3e6);
  EXPECT_EQ(source_->total().breaks, 0u);
}

TEST_F(CounterSourceTest, AFallThatNoWrapExplainsBreaks) {
  values_[0] = 50e6;
  Make();
  ReadAfterSeconds(0);
  values_[0] = 2e6;
  ReadAfterSeconds(1);
  EXPECT_EQ(source_->total().breaks, 1u);
  EXPECT_THAT(source_->total().break_reason, HasSubstr("reset"));
  EXPECT_EQ(source_->total().energy_uj, 0);
}

TEST_F(CounterSourceTest, ASilenceInWhichTwoWrapsFitBreaks) {
  Make();
  EXPECT_EQ(source_->PollPeriodUs(), 5 * kSecondUs) << "100 J at 10 W: half of 10 s";
  ReadAfterSeconds(0);
  values_[0] = 5e6;
  ReadAfterSeconds(11);
  EXPECT_THAT(source_->total().break_reason, HasSubstr("wrapped twice"));
}

TEST_F(CounterSourceTest, AFailedReadingIsMadeUpByTheNext) {
  Make();
  ReadAfterSeconds(0);
  values_[1] = absl::UnavailableError("EIO");
  ReadAfterSeconds(1);
  EXPECT_EQ(source_->total().seen_us, 0);
  EXPECT_THAT(source_->total().gap_reason, HasSubstr("EIO"));
  values_[1] = 4e6;
  ReadAfterSeconds(1);
  EXPECT_EQ(source_->total().energy_uj, 4e6);
  EXPECT_EQ(source_->total().seen_us, 2 * kSecondUs);
}

TEST_F(CounterSourceTest, WhatIsNotTheDevicesUseBreaks) {
  Make();
  ReadAfterSeconds(0);
  values_[0] = absl::FailedPreconditionError("charging");
  ReadAfterSeconds(1);
  values_[0] = 4e6;
  ReadAfterSeconds(1);
  EXPECT_EQ(source_->total().break_reason, "charging");
  EXPECT_EQ(source_->total().energy_uj, 0) << "nothing is known across the break";
}

TEST_F(CounterSourceTest, NotANumberIsAFailedReading) {
  Make();
  ReadAfterSeconds(0);
  values_[0] = std::numeric_limits<double>::quiet_NaN();
  ReadAfterSeconds(1);
  EXPECT_EQ(source_->total().energy_uj, 0);
  EXPECT_THAT(source_->total().gap_reason, HasSubstr("not a number"));
}

TEST_F(CounterSourceTest, ARestartForgetsTheTimeBefore) {
  Make();
  ReadAfterSeconds(0);
  source_->Restart();
  values_[0] = 50e6;
  ReadAfterSeconds(3600);
  EXPECT_EQ(source_->total().energy_uj, 0);
  EXPECT_EQ(source_->total().breaks, 0u);
}

}  // namespace
}  // namespace fedwatt
