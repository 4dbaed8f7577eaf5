#include "client/sdk/condition_rules.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A phone in a pocket that breaks no rule.
DeviceState Healthy() {
  DeviceState state;
  state.charging = false;
  state.charge = 0.8;
  state.capacity_wh = 15;
  state.temperature_c = 35;
  state.hottest = "skin";
  state.metered = false;
  state.load = 0.05;
  return state;
}

ConditionRules AllRules() {
  ConditionRules rules;
  rules.min_charge = 0.2;
  rules.max_temperature_c = 45;
  rules.max_load = 0.25;
  return rules;
}

void ExpectBroken(const Verdict& verdict, Condition condition, const std::string& text) {
  EXPECT_EQ(verdict.broken, condition);
  EXPECT_EQ(verdict.text, text);
}

TEST(ConditionRulesTest, AHealthyDeviceBreaksNone) {
  for (const Moment moment : {Moment::kBegin, Moment::kWork}) {
    const Verdict verdict = Judge(AllRules(), Healthy(), moment);
    EXPECT_TRUE(verdict.ok()) << verdict.text;
    EXPECT_THAT(verdict.unchecked, IsEmpty());
  }
}

TEST(ConditionRulesTest, WithoutRulesOnlyAMeteredNetworkKeepsADeviceAway) {
  DeviceState state = Healthy();
  state.charge = 0.01;
  state.temperature_c = 90;
  state.load = 1;
  EXPECT_TRUE(Judge({}, state, Moment::kBegin).ok());
  state.metered = true;
  ExpectBroken(Judge({}, state, Moment::kBegin), Condition::kNetwork, "the network is metered");
  EXPECT_TRUE(Judge({.allow_metered = true}, state, Moment::kBegin).ok());
}

TEST(ConditionRulesTest, ExternalPower) {
  const ConditionRules rules{.require_charging = true};
  DeviceState state = Healthy();
  ExpectBroken(Judge(rules, state, Moment::kWork), Condition::kPower,
               "on battery, external power is required");
  state.charging = true;
  EXPECT_TRUE(Judge(rules, state, Moment::kWork).ok());
}

TEST(ConditionRulesTest, TheBatterysFloor) {
  DeviceState state = Healthy();
  state.charge = 0.14;
  ExpectBroken(Judge(AllRules(), state, Moment::kWork), Condition::kBattery,
               "charge 14 %, the floor is 20 %");
  state.charge = 0.1996;
  EXPECT_EQ(Judge(AllRules(), state, Moment::kWork).text, "charge 19.96 %, the floor is 20 %");
  state.charge = 0.2;
  EXPECT_TRUE(Judge(AllRules(), state, Moment::kWork).ok());
}

TEST(ConditionRulesTest, TheFloorDoesNotBindOnExternalPower) {
  DeviceState state = Healthy();
  state.charge = 0.02;
  state.charging = true;
  EXPECT_TRUE(Judge(AllRules(), state, Moment::kBegin).ok());
  // Unknown is not true.
  state.charging.reset();
  EXPECT_EQ(Judge(AllRules(), state, Moment::kBegin).broken, Condition::kBattery);
}

TEST(ConditionRulesTest, BeginningTakesAMargin) {
  DeviceState state = Healthy();
  state.charge = 0.24;
  ExpectBroken(Judge(AllRules(), state, Moment::kBegin), Condition::kBattery,
               "charge 24 %, too near the floor of 20 % to begin");
  EXPECT_TRUE(Judge(AllRules(), state, Moment::kWork).ok());
  state.charge = 0.25;
  EXPECT_TRUE(Judge(AllRules(), state, Moment::kBegin).ok());
  state.temperature_c = 41;
  ExpectBroken(Judge(AllRules(), state, Moment::kBegin), Condition::kTemperature,
               "skin 41.0 C, too near the limit of 45.0 C to begin");
  EXPECT_TRUE(Judge(AllRules(), state, Moment::kWork).ok());
  state.temperature_c = 40;
  EXPECT_TRUE(Judge(AllRules(), state, Moment::kBegin).ok());
}

TEST(ConditionRulesTest, AFullBatteryCanAlwaysBegin) {
  DeviceState state = Healthy();
  state.charge = 1;
  EXPECT_TRUE(Judge({.min_charge = 1}, state, Moment::kBegin).ok());
}

TEST(ConditionRulesTest, Temperature) {
  DeviceState state = Healthy();
  state.temperature_c = 45;
  EXPECT_TRUE(Judge(AllRules(), state, Moment::kWork).ok());
  state.temperature_c = 45.2;
  ExpectBroken(Judge(AllRules(), state, Moment::kWork), Condition::kTemperature,
               "skin 45.2 C, the limit is 45.0 C");
}

TEST(ConditionRulesTest, OthersThatUseTheDevice) {
  DeviceState state = Healthy();
  state.load = 0.6;
  ExpectBroken(Judge(AllRules(), state, Moment::kWork), Condition::kBusy,
               "busy, others use 60 % of the processors, the limit is 25 %");
}

TEST(ConditionRulesTest, WhatIsUnknownBreaksNoRuleButIsSaid) {
  ConditionRules rules = AllRules();
  rules.require_charging = true;
  const Verdict verdict = Judge(rules, DeviceState(), Moment::kBegin);
  EXPECT_TRUE(verdict.ok()) << verdict.text;
  EXPECT_THAT(verdict.unchecked,
              ElementsAre(HasSubstr("external power"), HasSubstr("battery's floor"),
                          HasSubstr("temperature"), HasSubstr("idle")));
}

TEST(ConditionRulesTest, TheAppHasItsSay) {
  std::string reason = "a call is under way";
  ConditionRules rules;
  rules.host = [&reason] { return reason; };
  ExpectBroken(Judge(rules, Healthy(), Moment::kWork), Condition::kHost, "a call is under way");
  reason.clear();
  EXPECT_TRUE(Judge(rules, Healthy(), Moment::kWork).ok());
}

TEST(ConditionRulesTest, TheFirstOfSeveralIsNamed) {
  DeviceState state = Healthy();
  state.charge = 0.1;
  state.temperature_c = 80;
  state.metered = true;
  EXPECT_EQ(Judge(AllRules(), state, Moment::kWork).broken, Condition::kBattery);
}

TEST(ConditionRulesTest, OnlyTheNetworkHoldsBackWhatIsTrained) {
  ConditionRules rules = AllRules();
  rules.host = [] { return "not now"; };
  DeviceState state = Healthy();
  state.charge = 0.01;
  EXPECT_TRUE(JudgeNetwork(rules, state).ok());
  state.metered = true;
  EXPECT_EQ(JudgeNetwork(rules, state).broken, Condition::kNetwork);
}

}  // namespace
}  // namespace fedwatt
