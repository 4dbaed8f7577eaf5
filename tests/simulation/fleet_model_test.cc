#include "simulation/fleet_model.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

constexpr char kClass[] = "[[class]]\nname = \"phone\"\nbattery_wh = 10\n";

std::string ErrorOf(const std::string& text) {
  return std::string(ParseFleetModel(text, "fleet.toml", "").status().message());
}

TEST(FleetModel, ReadsClassesAndHabits) {
  const auto fleet = ParseFleetModel(R"(
name = "phones"
assign = "in_order"
min_charge = 0.3
examples = [10, 20]
attack = "nan"
malicious = 0.5
[charging]
pattern = "diurnal"
start_hour = 21
[[class]]
name = "phone"
share = 3
battery_wh = 10
charge_w = 12
initial_charge = [0.2, 0.9]
radio = "lte"
region = "DE"
[[class]]
name = "server"
)",
                                     "fleet.toml", "");
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  EXPECT_EQ(fleet->classes.size(), 2U);
  EXPECT_EQ(fleet->classes[0].battery.capacity_j, 36'000);
  EXPECT_EQ(fleet->classes[0].radio, RadioLink::kLte);
  EXPECT_EQ(fleet->classes[1].battery.capacity_j, 0);
  EXPECT_EQ(fleet->charging.pattern, OnOffPattern::kDiurnal);
  EXPECT_EQ(fleet->charging.start_hour, 21);
  EXPECT_EQ(fleet->attack, Attack::kNan);
  EXPECT_TRUE(fleet->in_order);
}

TEST(FleetModel, ErrorsNameLineKeyValueAndLimit) {
  EXPECT_THAT(ErrorOf(absl::StrCat(kClass, "train_w = -3\n")),
              HasSubstr("fleet.toml:4: class.train_w: -3: must be from 0"));
  EXPECT_THAT(ErrorOf(absl::StrCat("min_chrage = 1\n", kClass)),
              HasSubstr("min_chrage: unknown key; did you mean \"min_charge\"?"));
  EXPECT_THAT(ErrorOf(absl::StrCat("assign = \"random\"\n", kClass)), HasSubstr("shuffled"));
  EXPECT_THAT(ErrorOf(absl::StrCat("examples = [9, 3]\n", kClass)), HasSubstr("must rise"));
  EXPECT_THAT(ErrorOf(absl::StrCat("examples = 9\n", kClass)), HasSubstr("two numbers"));
  EXPECT_THAT(ErrorOf(absl::StrCat(kClass, "radio = \"5g\"\n")), HasSubstr("class.radio"));
  EXPECT_THAT(ErrorOf(absl::StrCat("[charging]\npattern = \"trace\"\n", kClass)),
              HasSubstr("needs its file"));
  EXPECT_THAT(ErrorOf("name = [\n"), HasSubstr("fleet.toml:"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("[[class]]"));
}

TEST(FleetModel, AFleetThatCanNeverWorkIsRefused) {
  EXPECT_THAT(ErrorOf(absl::StrCat("[availability]\npattern = \"never\"\n", kClass)),
              HasSubstr("can ever work: availability is never"));
  EXPECT_THAT(ErrorOf(absl::StrCat("require_charging = true\n", kClass)),
              HasSubstr("none is ever charged"));
  EXPECT_THAT(ErrorOf(absl::StrCat("min_charge = 0.5\n", kClass, "initial_charge = [0.1, 0.4]\n")),
              HasSubstr("raise initial_charge"));
  EXPECT_THAT(ErrorOf(absl::StrCat(kClass, "share = 0\n")), HasSubstr("share = 0"));
}

TEST(FleetModel, TraitsFollowTheSharesAndTheSeed) {
  FleetModel fleet = DefaultFleet();
  int phones = 0;
  constexpr uint64_t kDevices = 4000;
  for (uint64_t i = 0; i < kDevices; ++i) {
    const DeviceTraits traits = TraitsOf(fleet, 1, i, kDevices);
    EXPECT_EQ(traits.examples, TraitsOf(fleet, 1, i, kDevices).examples);
    EXPECT_GE(traits.examples, fleet.examples_min);
    EXPECT_LE(traits.examples, fleet.examples_max);
    if (traits.class_index == 0) ++phones;
  }
  EXPECT_NEAR(phones, 2000, 150);
  fleet.in_order = true;
  EXPECT_EQ(TraitsOf(fleet, 1, 0, kDevices).class_index, 0U);
  EXPECT_EQ(TraitsOf(fleet, 1, 1999, kDevices).class_index, 0U);
  EXPECT_EQ(TraitsOf(fleet, 1, 2000, kDevices).class_index, 1U);
  EXPECT_EQ(TraitsOf(fleet, 1, 3999, kDevices).class_index, 2U);
}

}  // namespace
}  // namespace fedwatt
