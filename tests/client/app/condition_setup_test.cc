#include "client/app/condition_setup.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ConditionSetupTest, WithoutFlagsOnlyMeteredNetworksAreAvoided) {
  const ConditionRules rules = RulesOf(ClientConfig());
  EXPECT_FALSE(rules.require_charging || rules.allow_metered);
  EXPECT_FALSE(rules.min_charge || rules.max_temperature_c || rules.max_load);
  EXPECT_EQ(rules.host, nullptr);
}

TEST(ConditionSetupTest, FlagsBecomeRules) {
  ClientConfig config;
  config.require_charging = config.require_idle = config.allow_metered = true;
  config.min_charge_percent = 20;
  config.max_temperature_c = 45;
  const ConditionRules rules = RulesOf(config);
  EXPECT_TRUE(rules.require_charging && rules.allow_metered);
  EXPECT_EQ(rules.min_charge, 0.2);
  EXPECT_EQ(rules.max_temperature_c, 45.0);
  EXPECT_EQ(rules.max_load, 0.25);
}

TEST(ConditionSetupTest, TheCheckSaysWhatIsKnownAndWhatFollows) {
  ClientConfig config;
  config.min_charge_percent = 20;
  config.max_temperature_c = 45;
  DeviceState state;
  state.charging = false;
  state.charge = 0.14;
  EXPECT_EQ(DescribeConditions(config, state),
            "on battery; charge 14 %; NOT CHECKED: the limit of temperature: no sensor tells it; "
            "would not take part now: charge 14 %, the floor is 20 %");
  state.charge = 0.9;
  state.temperature_c = 31;
  state.hottest = "skin";
  state.metered = false;
  state.load = 0.5;
  EXPECT_EQ(DescribeConditions(config, state),
            "on battery; charge 90 %; skin 31.0 C; processors busy to 50 %; network not metered; "
            "would take part now");
  state.charge.reset();
  state.flaws = {"BAT0 reports a capacity of 0 %"};
  EXPECT_THAT(DescribeConditions(config, state),
              AllOf(HasSubstr("BAT0 reports a capacity of 0 %"),
                    HasSubstr("NOT CHECKED: the battery's floor"), HasSubstr("would take part")));
}

}  // namespace
}  // namespace fedwatt::client
