#include "simulation/fleet_model.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"

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

class FleetCsv : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = dir_.File(name);
    EXPECT_TRUE(WriteFileAtomic(path, text).ok());
    return path;
  }
  std::string ErrorOfCsv(const std::string& text) {
    return std::string(LoadFleetModel(Write("fleet.csv", text)).status().message());
  }

  TempDir dir_;
};

constexpr char kRows[] = R"(# measured in the laboratory
name,share,gflops,train_w,battery_wh,initial_charge,radio,region

007 phone,0.7,5,4.5,12,0.3 1,lte,DE
board,.3,1e1,12,,,,
)";

TEST_F(FleetCsv, ARowIsAClass) {
  const auto fleet = LoadFleetModel(Write("fleet.csv", kRows));
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  ASSERT_EQ(fleet->classes.size(), 2U);
  const DeviceClass& phone = fleet->classes[0];
  EXPECT_EQ(phone.name, "007 phone");
  EXPECT_EQ(phone.train_w, 4.5);
  EXPECT_EQ(phone.battery.capacity_j, 12 * 3600);
  EXPECT_EQ(phone.charge_min, 0.3);
  EXPECT_EQ(phone.charge_max, 1);
  EXPECT_EQ(phone.radio, RadioLink::kLte);
  EXPECT_EQ(phone.region, "DE");
  // Empty cells leave the defaults.
  const DeviceClass& board = fleet->classes[1];
  EXPECT_EQ(board.share, 0.3);
  EXPECT_EQ(board.gflops, 10);
  EXPECT_EQ(board.battery.capacity_j, 0);
  EXPECT_EQ(board.radio, RadioLink::kWifi);
}

TEST_F(FleetCsv, AFleetsHabitsMayStandBesideIt) {
  Write("classes.csv", kRows);
  const auto fleet =
      LoadFleetModel(Write("fleet.toml", "min_charge = 0.25\nclasses = \"classes.csv\"\n"));
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  EXPECT_EQ(fleet->min_charge, 0.25);
  EXPECT_EQ(fleet->classes.size(), 2U);
  const auto both =
      LoadFleetModel(Write("both.toml", absl::StrCat("classes = \"classes.csv\"\n", kClass)));
  EXPECT_THAT(std::string(both.status().message()), HasSubstr("not in both"));
  const auto absent = LoadFleetModel(Write("absent.toml", "classes = \"no.csv\"\n"));
  EXPECT_THAT(std::string(absent.status().message()), HasSubstr("no.csv"));
}

TEST_F(FleetCsv, ErrorsNameLineColumnValueAndLimit) {
  EXPECT_THAT(ErrorOfCsv("name,train_w\na,4\n\nb,-3\n"),
              HasSubstr("fleet.csv:4: class.train_w: -3: must be from 0 to"));
  EXPECT_THAT(ErrorOfCsv("name,train_w\na,four\n"),
              HasSubstr("fleet.csv:2: class.train_w: must be a number"));
  EXPECT_THAT(ErrorOfCsv("name,train_w\na,nan\n"), HasSubstr("fleet.csv:2: class.train_w: nan"));
  EXPECT_THAT(ErrorOfCsv("name,trian_w\na,4\n"),
              HasSubstr("class.trian_w: unknown key; did you mean \"train_w\"?"));
  EXPECT_THAT(ErrorOfCsv("name,initial_charge\na,0.9 0.1\n"),
              HasSubstr("fleet.csv:2: class.initial_charge: [0.9, 0.1]: must rise"));
  EXPECT_THAT(ErrorOfCsv("name,radio\na,5g\n"), HasSubstr("fleet.csv:2: class.radio"));
  EXPECT_THAT(ErrorOfCsv("name,train_w\na\n"),
              HasSubstr("fleet.csv:2: 1 cells, and the first row has 2 columns"));
  EXPECT_THAT(ErrorOfCsv("name,name\na,b\n"), HasSubstr("fleet.csv:1: the column name is there"));
  EXPECT_THAT(ErrorOfCsv("name,\na,b\n"), HasSubstr("fleet.csv:1: a column without a name"));
  EXPECT_THAT(ErrorOfCsv("a phone,4\n"), HasSubstr("the first row names the columns"));
  EXPECT_THAT(ErrorOfCsv("name\n\"a\"\n"), HasSubstr("without quotes"));
  EXPECT_THAT(ErrorOfCsv("name\n"), HasSubstr("no class in it"));
  EXPECT_THAT(ErrorOfCsv(""), HasSubstr("no class in it"));
}

TEST_F(FleetCsv, AFleetThatCanNeverWorkIsRefused) {
  EXPECT_THAT(ErrorOfCsv("name,share\na,0\n"), HasSubstr("every class has share = 0"));
}

TEST_F(FleetCsv, SolarChargingNeedsItsRegionsSun) {
  const std::string sun =
      "time,domain,watts\n2026-01-01T00:00:00Z,DE,5\n"
      "2026-01-01T00:00:00Z,FR,0\n";
  Write("sun.csv", sun);
  const auto load = [this](const std::string& region) {
    return LoadFleetModel(
        Write("fleet.toml", absl::StrCat("[charging]\npattern = \"solar\"\npath = \"sun.csv\"\n",
                                         kClass, "region = \"", region, "\"\n")));
  };
  const auto fleet = load("DE");
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  EXPECT_EQ(fleet->charging.pattern, OnOffPattern::kSolar);
  EXPECT_EQ(SunOf(fleet->charging, "DE")->Most(), 5);
  EXPECT_THAT(std::string(load("SE").status().message()), HasSubstr("has no domain \"SE\""));
  EXPECT_THAT(std::string(load("FR").status().message()), HasSubstr("is always dark"));
  Write("sun.csv", "time,domain,watts\n2026-01-02T00:00:00Z,DE,5\n2026-01-01T00:00:00Z,DE,5\n");
  EXPECT_THAT(std::string(load("DE").status().message()), HasSubstr("sun.csv:3"));
}

TEST(FleetModel, EachMisreporterHasAFactorOfItsOwn) {
  const auto fleet =
      ParseFleetModel(absl::StrCat("misreporters = 0.5\nmisreport_factor = [0.7, 1.3]\n", kClass),
                      "fleet.toml", "");
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  int low = 0;
  int high = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    const float factor = TraitsOf(*fleet, 1, i, 4000).claim_factor;
    EXPECT_TRUE(factor >= 0.7F && factor <= 1.3F);
    if (factor < 0.9F) ++low;
    if (factor > 1.1F) ++high;
  }
  EXPECT_NEAR(low, 667, 80);  // a third of the half
  EXPECT_NEAR(high, 667, 80);
  EXPECT_THAT(ErrorOf(absl::StrCat("misreport_factor = [2, 1]\n", kClass)), HasSubstr("must rise"));
  EXPECT_THAT(ErrorOf(absl::StrCat("misreport_factor = -1\n", kClass)), HasSubstr("from 0"));
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
