#include "simulation/on_off.h"

#include <gtest/gtest.h>

namespace fedwatt {
namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;

TEST(OnOff, AlwaysAndNeverLastForEver) {
  OnOffState state;
  AdvanceOnOff({.pattern = OnOffPattern::kAlways}, {}, 0, &state);
  EXPECT_TRUE(state.on);
  EXPECT_EQ(state.until_ms, INT64_MAX);
  state = {};
  AdvanceOnOff({.pattern = OnOffPattern::kNever}, {}, 0, &state);
  EXPECT_FALSE(state.on);
}

TEST(OnOff, DiurnalIsOnForItsHoursOfEveryDayAcrossMidnight) {
  const OnOff night{
      .pattern = OnOffPattern::kDiurnal, .start_hour = 22, .hours = 8, .jitter_hours = 0};
  OnOffState state;
  AdvanceOnOff(night, {}, 10 * kDayMs + 12 * kHourMs, &state);
  EXPECT_FALSE(state.on);
  EXPECT_EQ(state.until_ms, 10 * kDayMs + 22 * kHourMs);
  AdvanceOnOff(night, {}, state.until_ms, &state);
  EXPECT_TRUE(state.on);
  EXPECT_EQ(state.until_ms, 11 * kDayMs + 6 * kHourMs);
  AdvanceOnOff(night, {}, 11 * kDayMs + 5 * kHourMs, &state);
  EXPECT_TRUE(state.on);
  AdvanceOnOff(night, {}, 11 * kDayMs + 6 * kHourMs, &state);
  EXPECT_FALSE(state.on);
}

TEST(OnOff, DiurnalFollowsTheDevicesLocalTime) {
  const OnOff noon{
      .pattern = OnOffPattern::kDiurnal, .start_hour = 12, .hours = 1, .jitter_hours = 0};
  OnOffState state;
  AdvanceOnOff(noon, {.hour_offset = 2}, 10 * kDayMs + 10 * kHourMs, &state);
  EXPECT_TRUE(state.on);
}

// The share of time that it is on is mean_on / (mean_on + mean_off).
TEST(OnOff, ExponentialHasItsMeans) {
  const OnOff model{.pattern = OnOffPattern::kExponential, .mean_on_s = 300, .mean_off_s = 900};
  OnOffState state;
  double on_ms = 0;
  int64_t at_ms = 0;
  constexpr int64_t kEndMs = int64_t{2000} * 1'200'000;
  while (at_ms < kEndMs) {
    AdvanceOnOff(model, {.seed = 3, .device = 9, .purpose = "test"}, at_ms, &state);
    if (state.on) on_ms += static_cast<double>(state.until_ms - at_ms);
    at_ms = state.until_ms;
  }
  EXPECT_NEAR(on_ms / static_cast<double>(kEndMs), 0.25, 0.02);
}

TEST(OnOff, TheSameKeyGivesTheSameStretchesHoweverOftenOneLooks) {
  const OnOff model{.pattern = OnOffPattern::kExponential, .mean_on_s = 10, .mean_off_s = 10};
  const OnOffKey key{.seed = 1, .device = 2, .purpose = "test"};
  OnOffState often;
  for (int64_t at_ms = 0; at_ms <= 1'000'000; at_ms += 777) {
    AdvanceOnOff(model, key, at_ms, &often);
  }
  OnOffState once;
  AdvanceOnOff(model, key, 1'000'000 - 1'000'000 % 777, &once);
  EXPECT_EQ(often.until_ms, once.until_ms);
  EXPECT_EQ(often.on, once.on);
}

TEST(OnOff, ATraceIsOffBetweenItsIntervalsAndAfterTheLast) {
  const OnOff model{.pattern = OnOffPattern::kTrace, .traces = {{{1000, 2000}, {5000, 6000}}, {}}};
  const OnOffKey key{.start_ms = 100'000};
  OnOffState state;
  AdvanceOnOff(model, key, 100'000, &state);
  EXPECT_FALSE(state.on);
  EXPECT_EQ(state.until_ms, 101'000);
  AdvanceOnOff(model, key, 101'500, &state);
  EXPECT_TRUE(state.on);
  AdvanceOnOff(model, key, 102'000, &state);
  EXPECT_FALSE(state.on);
  EXPECT_EQ(state.until_ms, 105'000);
  AdvanceOnOff(model, key, 106'000, &state);
  EXPECT_FALSE(state.on);
  EXPECT_EQ(state.until_ms, INT64_MAX);
  OnOffState empty;
  AdvanceOnOff(model, {.device = 1}, 0, &empty);
  EXPECT_EQ(empty.until_ms, INT64_MAX);
}

}  // namespace
}  // namespace fedwatt
