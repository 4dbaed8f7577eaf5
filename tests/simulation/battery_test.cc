#include "simulation/battery.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

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

// 10 W at noon, half of that at 9 h; the load comes first.
TEST(Battery, APanelFeedsTheLoadThenTheBattery) {
  OnOff sun{.pattern = OnOffPattern::kSolar};
  std::vector<double> watts(24, 0.0);
  watts[9] = 50;
  watts[12] = 100;
  sun.sun.emplace("south", TimeSeries(0, kHourMs, watts));
  const std::string anywhere = "north";  // one series alone is everybody's
  const Plug plug{&sun, {.region = &anywhere}};
  const auto hour_from = [&plug](int64_t hour, double load_w) {
    BatteryState state{.at_ms = hour * kHourMs, .charge_j = 18'000};
    AdvanceBattery(kPhone, plug, load_w, (hour + 1) * kHourMs - 1, &state);
    return state;
  };
  EXPECT_EQ(hour_from(12, 0).charge_j, 36'000);  // full after 2,000 s
  EXPECT_NEAR(hour_from(9, 0).charge_j, 18'000 + 4 * 3'600, 1);
  EXPECT_NEAR(hour_from(9, 6).charge_j, 18'000 - 2 * 3'600, 1);
  EXPECT_TRUE(hour_from(9, 0).charging.on);
  EXPECT_NEAR(hour_from(3, 0).charge_j, 18'000 - 3'600, 1);
  EXPECT_FALSE(hour_from(3, 0).charging.on);
  // A dark panel and a load: it ends though it stands in the sun at 9.
  const BatteryState weak{.at_ms = 9 * kHourMs, .charge_j = 3'600};
  EXPECT_EQ(EmptyAtMs(kPhone, plug, 6, kDayMs, weak), 9 * kHourMs + kHourMs / 2);
  const auto charged_ms = ChargedAtMs(kPhone, plug, 10'800, kDayMs, {.charge_j = 0});
  EXPECT_EQ(charged_ms, 9 * kHourMs + kHourMs * 3 / 4);
}

}  // namespace
}  // namespace fedwatt
