#include "simulation/battery.h"

#include <gtest/gtest.h>

namespace fedwatt {
namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;

const BatteryModel kPhone{.capacity_j = 36'000, .charge_w = 10, .idle_w = 1};  // 10 Wh
const OnOff kNeverPlugged{.pattern = OnOffPattern::kNever};
const OnOff kAtNight{
    .pattern = OnOffPattern::kDiurnal, .start_hour = 22, .hours = 8, .jitter_hours = 0};

TEST(Battery, DrainsIdlyAndByItsLoad) {
  BatteryState state{.charge_j = 36'000};
  AdvanceBattery(kPhone, {&kNeverPlugged, {}}, 0, kHourMs, &state);
  EXPECT_DOUBLE_EQ(state.charge_j, 36'000 - 3'600);
  AdvanceBattery(kPhone, {&kNeverPlugged, {}}, 4, 2 * kHourMs, &state);
  EXPECT_DOUBLE_EQ(state.charge_j, 36'000 - 3'600 - 5 * 3'600);
}

TEST(Battery, IsNeverBelowEmptyOrAboveFull) {
  BatteryState state{.charge_j = 1000};
  AdvanceBattery(kPhone, {&kNeverPlugged, {}}, 0, kDayMs, &state);
  EXPECT_EQ(state.charge_j, 0);
  BatteryState night{.at_ms = 22 * kHourMs, .charge_j = 35'000};
  AdvanceBattery(kPhone, {&kAtNight, {}}, 0, 30 * kHourMs - 1, &night);
  EXPECT_EQ(night.charge_j, 36'000);
}

TEST(Battery, TheMomentOfItsEndIsWhereTheChargeIsGone) {
  const BatteryState state{.charge_j = 7'200};
  const Plug plug{&kNeverPlugged, {}};
  const auto empty_ms = EmptyAtMs(kPhone, plug, 3, kDayMs, state);
  ASSERT_TRUE(empty_ms.has_value());
  EXPECT_EQ(*empty_ms, 1'800'000);  // 7200 J at 4 W
  BatteryState then = state;
  AdvanceBattery(kPhone, plug, 3, *empty_ms, &then);
  EXPECT_EQ(then.charge_j, 0);
}

TEST(Battery, OneThatIsPluggedInInTimeDoesNotEnd) {
  const BatteryState state{.at_ms = 21 * kHourMs, .charge_j = 3'700};  // one hour idle
  EXPECT_FALSE(EmptyAtMs(kPhone, {&kAtNight, {}}, 0, 2 * kHourMs, state).has_value());
  EXPECT_TRUE(EmptyAtMs(kPhone, {&kAtNight, {}}, 1, 2 * kHourMs, state).has_value());
}

TEST(Battery, ComesBackWhenItIsCharged) {
  const BatteryState state{.at_ms = 12 * kHourMs, .charge_j = 0};
  const auto back_ms = ChargedAtMs(kPhone, {&kAtNight, {}}, 3'600, kDayMs, state);
  ASSERT_TRUE(back_ms.has_value());
  EXPECT_EQ(*back_ms, 22 * kHourMs + 360'000);  // 3600 J at 10 W
  EXPECT_FALSE(ChargedAtMs(kPhone, {&kNeverPlugged, {}}, 1, kDayMs, state).has_value());
}

TEST(Battery, MainsNeverEnds) {
  EXPECT_FALSE(EmptyAtMs({}, {&kNeverPlugged, {}}, 1000, kDayMs, {}).has_value());
}

}  // namespace
}  // namespace fedwatt
