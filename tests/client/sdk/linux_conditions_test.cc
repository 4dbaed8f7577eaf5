// Fixture trees of the kernel's files, from devices and from drivers that lie.

#include "client/sdk/linux_conditions.h"

#include "absl/strings/str_cat.h"
#include "common/base/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/energy/host_tree.h"

namespace fedwatt {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr char kPower[] = "sys/class/power_supply/";

class LinuxConditionsTest : public ::testing::Test {
 protected:
  LinuxConditionsTest()
      : tree_(absl::StrCat(::testing::TempDir(), "conditions_",
                           ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    options_.root = tree_.root();
    options_.clock = &clock_;
  }
  void Set(const std::string& file, const std::string& text) { tree_.Write(kPower + file, text); }
  void Set(const std::string& file, int64_t value) { tree_.Write(kPower + file, value); }
  // 11 of 55 Wh.
  void AddBattery(const std::string& name) {
    Set(name + "/type", "Battery");
    Set(name + "/status", "Discharging");
    Set(name + "/capacity", 20);
    Set(name + "/energy_now", 11'000'000);
    Set(name + "/energy_full", 55'000'000);
  }
  // Busy ticks (10 ms) of two processors together.
  void SetBusy(int64_t ticks) {
    tree_.Write("proc/stat", absl::StrCat("cpu  ", ticks, " 0 0 9000 0 0 0 0 0 0\ncpu0 1 2\n",
                                          "cpu1 1 2\nintr 5"));
  }
  DeviceState Read() { return MakeLinuxConditions(options_)->Read(); }

  HostTree tree_;
  FakeClock clock_;
  LinuxConditionsOptions options_;
};

TEST_F(LinuxConditionsTest, AHostThatShowsNothingIsOnExternalPowerAndElseUnknown) {
  const DeviceState state = Read();
  EXPECT_THAT(state.charging, Optional(true));
  EXPECT_FALSE(state.charge || state.capacity_wh || state.temperature_c || state.metered ||
               state.load);
  EXPECT_THAT(state.flaws, IsEmpty());
}

TEST_F(LinuxConditionsTest, ALaptopOnBattery) {
  AddBattery("BAT0");
  Set("AC/type", "Mains");
  Set("AC/online", 0);
  const DeviceState state = Read();
  EXPECT_THAT(state.charging, Optional(false));
  EXPECT_THAT(state.charge, Optional(DoubleNear(0.2, 1e-12)));
  EXPECT_THAT(state.capacity_wh, Optional(DoubleNear(55, 1e-9)));
  EXPECT_THAT(state.flaws, IsEmpty());
}

TEST_F(LinuxConditionsTest, APhoneTellsItsChargeInAmpereHours) {
  BuildPhone(tree_);
  const DeviceState state = Read();
  EXPECT_THAT(state.charging, Optional(false));
  EXPECT_THAT(state.charge, Optional(DoubleNear(2.0 / 4.4, 1e-12)));
  EXPECT_THAT(state.capacity_wh, Optional(DoubleNear(17.6, 1e-9)));
}

TEST_F(LinuxConditionsTest, ExternalPowerIsWhatBatteryAndSupplySay) {
  AddBattery("BAT0");
  Set("AC/type", "Mains");
  struct Case {
    const char* status;
    int online;
    std::optional<bool> charging;
  };
  for (const Case& c :
       {Case{"Charging", 1, true}, Case{"Full", 1, true}, Case{"Not charging", 1, true},
        Case{"Full", 0, false}, Case{"Unknown", 1, true}, Case{"Discharging", 1, false}}) {
    Set("BAT0/status", c.status);
    Set("AC/online", c.online);
    EXPECT_EQ(Read().charging, c.charging) << c.status << " " << c.online;
  }
  tree_.Remove(std::string(kPower) + "AC");
  Set("BAT0/status", "Unknown");
  EXPECT_EQ(Read().charging, std::nullopt);
}

TEST_F(LinuxConditionsTest, TwoBatteriesAreOneByTheirEnergy) {
  AddBattery("BAT0");
  AddBattery("BAT1");
  Set("BAT1/energy_now", 20'000'000);
  Set("BAT1/energy_full", 20'000'000);
  Set("BAT1/capacity", 100);
  const DeviceState state = Read();
  EXPECT_THAT(state.charge, Optional(DoubleNear(31.0 / 75, 1e-12)));
  EXPECT_THAT(state.capacity_wh, Optional(DoubleNear(75, 1e-9)));
}

TEST_F(LinuxConditionsTest, AMousesBatteryIsNotTheDevices) {
  AddBattery("hid-mouse");
  Set("hid-mouse/scope", "Device");
  EXPECT_THAT(Read().charging, Optional(true));
  EXPECT_FALSE(Read().charge.has_value());
}

TEST_F(LinuxConditionsTest, AnEmptyBayIsNoBattery) {
  AddBattery("BAT1");
  Set("BAT1/present", 0);
  EXPECT_FALSE(Read().charge.has_value());
}

TEST_F(LinuxConditionsTest, PercentAloneWillDo) {
  Set("battery/type", "Battery");
  Set("battery/status", "Discharging");
  Set("battery/capacity", 37);
  EXPECT_THAT(Read().charge, Optional(DoubleNear(0.37, 1e-12)));
  EXPECT_FALSE(Read().capacity_wh.has_value());
}

struct Lie {
  const char* name;
  const char* file;
  const char* text;
};
class LyingGauge : public LinuxConditionsTest, public ::testing::WithParamInterface<Lie> {};

TEST_P(LyingGauge, IsUnknownAndFlaggedNeverAnEmptyBattery) {
  AddBattery("BAT0");
  AddBattery("BAT1");
  Set(absl::StrCat("BAT1/", GetParam().file), GetParam().text);
  const DeviceState state = Read();
  EXPECT_FALSE(state.charge.has_value()) << *state.charge;
  EXPECT_FALSE(state.capacity_wh.has_value()) << *state.capacity_wh;
  EXPECT_THAT(state.flaws, ElementsAre(HasSubstr("BAT1 reports")));
}

INSTANTIATE_TEST_SUITE_P(Drivers, LyingGauge,
                         ::testing::Values(Lie{"CapacityOfZero", "capacity", "0"},
                                           Lie{"NegativeCapacity", "capacity", "-3"},
                                           Lie{"TwoHundredPercent", "capacity", "200"},
                                           Lie{"FullAtZero", "energy_full", "0"},
                                           Lie{"NegativeEnergy", "energy_now", "-5"},
                                           Lie{"NoEnergyLeft", "energy_now", "0"},
                                           Lie{"MoreThanFull", "energy_now", "99000000"},
                                           Lie{"MoreThanAnyBattery", "energy_full",
                                               "9000000000000000"}),
                         [](const auto& info) { return info.param.name; });

TEST_F(LinuxConditionsTest, WithoutAllEnergiesTheMeanOfPercentsCounts) {
  AddBattery("BAT0");
  AddBattery("BAT1");
  Set("BAT1/energy_full", "many");
  Set("BAT1/capacity", 40);
  const DeviceState state = Read();
  EXPECT_THAT(state.charge, Optional(DoubleNear(0.3, 1e-12)));
  EXPECT_FALSE(state.capacity_wh.has_value());
}

TEST_F(LinuxConditionsTest, TheHottestSensorCounts) {
  const auto zone = [this](int i, const std::string& type, int64_t thousandths) {
    const std::string dir = absl::StrCat("sys/class/thermal/thermal_zone", i, "/");
    tree_.Write(dir + "type", type);
    tree_.Write(dir + "temp", thousandths);
  };
  zone(0, "acpitz", 27'800);
  zone(1, "x86_pkg_temp", 61'000);
  zone(2, "broken", -274'000);
  zone(3, "fused", 0);
  zone(4, "absurd", 2'000'000);
  tree_.Write("sys/class/thermal/cooling_device0/temp", 99'000);
  DeviceState state = Read();
  EXPECT_THAT(state.temperature_c, Optional(DoubleNear(61, 1e-9)));
  EXPECT_EQ(state.hottest, "x86_pkg_temp");
  AddBattery("battery");
  Set("battery/temp", 625);  // tenths
  state = Read();
  EXPECT_THAT(state.temperature_c, Optional(DoubleNear(62.5, 1e-9)));
  EXPECT_EQ(state.hottest, "battery");
}

TEST_F(LinuxConditionsTest, LoadIsWhatOthersUseBetweenTwoReads) {
  int64_t own_us = 0;
  options_.own_cpu_time_us = [&own_us] { return own_us; };
  SetBusy(1000);
  tree_.Write("proc/loadavg", "0.50 0.40 0.30 1/200 4242");
  const auto conditions = MakeLinuxConditions(options_);
  EXPECT_THAT(conditions->Read().load, Optional(DoubleNear(0.25, 1e-12)));
  // Ten seconds of two processors: 12 s busy, 8 of them our own.
  clock_.AdvanceMs(10'000);
  SetBusy(2200);
  own_us = 8'000'000;
  EXPECT_THAT(conditions->Read().load, Optional(DoubleNear(0.2, 1e-12)));
  // Too soon to tell anything new.
  clock_.AdvanceMs(100);
  SetBusy(2220);
  EXPECT_THAT(conditions->Read().load, Optional(DoubleNear(0.2, 1e-12)));
  // Counters that went back are nobody's work.
  clock_.AdvanceMs(10'000);
  SetBusy(5);
  EXPECT_THAT(conditions->Read().load, Optional(0.0));
}

TEST_F(LinuxConditionsTest, LoadIsUnknownWithoutTheKernelsFiles) {
  EXPECT_FALSE(Read().load.has_value());
  SetBusy(10);
  EXPECT_FALSE(Read().load.has_value());
  tree_.Write("proc/loadavg", "much");
  EXPECT_FALSE(Read().load.has_value());
}

TEST_F(LinuxConditionsTest, AModemIsMeteredOthersAreUnknown) {
  const std::string titles = "Iface Destination Gateway Flags RefCnt Use Metric Mask\n";
  tree_.Write("proc/net/route", titles + "eth0 00000000 0101A8C0 0003 0 0 100 00000000\n" +
                                    "wwan0 00000000 0101A8C0 0003 0 0 700 00000000");
  tree_.Write("sys/class/net/wwan0/uevent", "DEVTYPE=wwan\nINTERFACE=wwan0");
  tree_.Write("sys/class/net/eth0/uevent", "INTERFACE=eth0");
  EXPECT_FALSE(Read().metered.has_value());
  tree_.Write("proc/net/route", titles + "eth0 0001A8C0 00000000 0001 0 0 100 00FFFFFF\n" +
                                    "wwan0 00000000 0101A8C0 0003 0 0 700 00000000");
  EXPECT_THAT(Read().metered, Optional(true));
  tree_.Write("proc/net/route", titles + "rmnet_data0 00000000 0101A8C0 0003 0 0 0 00000000");
  EXPECT_THAT(Read().metered, Optional(true));
}

TEST_F(LinuxConditionsTest, TheOwnersWordOnTheNetworkStands) {
  tree_.Write("proc/net/route", "titles\nrmnet0 00000000 0101A8C0 0003 0 0 0 00000000");
  options_.metered = false;
  EXPECT_THAT(Read().metered, Optional(false));
}

TEST_F(LinuxConditionsTest, AFileTellsOfTheNetwork) {
  options_.metered_file = tree_.root() + "/metered";
  EXPECT_FALSE(Read().metered.has_value());
  const std::pair<const char*, std::optional<bool>> cases[] = {
      {"yes", true},           {"yes (guessed)", true}, {"1", true}, {"no", false}, {"0", false},
      {"no (guessed)", false}, {"unknown", {}},         {"", {}},    {"YES", true}, {"-1", {}},
      {"certainly not", {}}};
  for (const auto& [text, metered] : cases) {
    tree_.Write("metered", text);
    EXPECT_EQ(Read().metered, metered) << text;
  }
}

}  // namespace
}  // namespace fedwatt
