#include "common/energy/radio_meter.h"

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSecondUs = 1'000'000;

TEST(RadioModelTest, IsTheFormulaOfThePaper) {
  // 10 Mbit up in 2 s: 5 Mbit/s.
  const Transfer transfer{.bytes_up = 1'250'000, .duration_us = 2 * kSecondUs};
  const auto joules = [&](RadioLink link) {
    RadioPower power = PowerOf(link);
    power.tail_s = power.promotion_s = 0;
    return TransferJoules(power, transfer);
  };
  EXPECT_NEAR(joules(RadioLink::kLte), (438.39 * 5 + 1288.04) * 2e-3, 1e-9);
  EXPECT_NEAR(joules(RadioLink::kWifi), (283.17 * 5 + 132.86) * 2e-3, 1e-9);
  EXPECT_NEAR(joules(RadioLink::k3g), (868.98 * 5 + 817.88) * 2e-3, 1e-9);
  EXPECT_EQ(joules(RadioLink::kEthernet), 0);
}

TEST(RadioModelTest, DownIsCheaperThanUp) {
  const RadioPower power = PowerOf(RadioLink::kLte);
  const double up = TransferJoules(power, {.bytes_up = 1'000'000, .duration_us = kSecondUs});
  const double down = TransferJoules(power, {.bytes_down = 1'000'000, .duration_us = kSecondUs});
  EXPECT_NEAR(up - down, (438.39 - 51.97) * 8 * 1e-3, 1e-9);
}

// Derived in the project's reference values: the tail is why.
TEST(RadioModelTest, EightTimesFewerBytesAre2point9TimesFewerJoulesOnLte) {
  const RadioPower power = PowerOf(RadioLink::kLte);
  const double whole = TransferJoules(power, {.bytes_up = 6'736'000, .duration_us = 10'777 * 1000});
  const double eighth = TransferJoules(power, {.bytes_up = 842'000, .duration_us = 1'347 * 1000});
  EXPECT_NEAR(whole / eighth, 2.9, 0.02);
}

TEST(RadioModelTest, TransfersInOneTailShareIt) {
  const RadioPower power = PowerOf(RadioLink::kLte);
  const Transfer alone{.bytes_up = 1000, .duration_us = 10'000};
  Transfer soon = alone;
  soon.since_last_us = kSecondUs;
  Transfer late = alone;
  late.since_last_us = 12 * kSecondUs;
  EXPECT_EQ(TransferJoules(power, late), TransferJoules(power, alone));
  EXPECT_NEAR(TransferJoules(power, alone) - TransferJoules(power, soon),
              (1060.0 * (11.576 - 1) + 1210.7 * 0.2601) * 1e-3, 1e-9);
  soon.since_last_us = 0;
  soon.bytes_up = 0;
  soon.duration_us = 0;
  EXPECT_GE(TransferJoules(power, soon), 0);
}

TEST(RadioModelTest, LinksHaveNames) {
  EXPECT_EQ(*ParseRadioLink("3g"), RadioLink::k3g);
  EXPECT_STREQ(RadioLinkName(RadioLink::kLte), "lte");
  EXPECT_THAT(std::string(ParseRadioLink("wfi").status().message()),
              HasSubstr("did you mean \"wifi\""));
}

class RadioMeterTest : public MeterTest {
 protected:
  std::unique_ptr<EnergyMeter> Make(RadioLink link) {
    env_.link = link;
    auto meter = MakeRadioMeter(env_);
    EXPECT_TRUE(meter.ok()) << meter.status();
    return *std::move(meter);
  }
  EnergySample Transfer(EnergyMeter& meter, Phase phase, uint64_t bytes, int64_t ms) {
    const auto window = meter.Begin(phase);
    clock_.AdvanceMs(ms);
    return meter.End(window, bytes);
  }
};

TEST_F(RadioMeterTest, TellsUploadFromDownload) {
  const auto meter = Make(RadioLink::kWifi);
  const EnergySample up = Transfer(*meter, Phase::kUpload, 10'000'000, 8000);
  clock_.AdvanceMs(60'000);
  const EnergySample down = Transfer(*meter, Phase::kDownload, 10'000'000, 8000);
  EXPECT_NEAR(static_cast<double>(*up.energy_uj - *down.energy_uj), (283.17 - 137.01) * 80 * 1e3,
              2);
  EXPECT_EQ(up.quality, EnergyQuality::kEstimated);
  EXPECT_EQ(up.source, "radio");
  EXPECT_EQ(*up.sigma_uj, (*up.energy_uj + 1) / 2);
}

TEST_F(RadioMeterTest, ASecondTransferRidesOnTheFirstOnesTail) {
  const auto meter = Make(RadioLink::kLte);
  const int64_t first = *Transfer(*meter, Phase::kUpload, 1000, 100).energy_uj;
  const int64_t second = *Transfer(*meter, Phase::kUpload, 1000, 100).energy_uj;
  EXPECT_GT(first, 12'000'000) << "a promotion and a tail of 12 J for a kilobyte";
  EXPECT_LT(second, 200'000);
  EXPECT_GE(second, 0);
}

TEST_F(RadioMeterTest, OtherPhasesDoNotConcernIt) {
  const auto meter = Make(RadioLink::kLte);
  EXPECT_FALSE(meter->Concerns(Phase::kTrain, 100));
  EXPECT_FALSE(meter->Concerns(Phase::kUpload, 0));
  const EnergySample sample = Transfer(*meter, Phase::kTrain, 0, 100);
  EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
  EXPECT_THAT(sample.reason, HasSubstr("transfers alone"));
}

TEST_F(RadioMeterTest, WithoutARadioThereIsNoMeter) {
  EXPECT_THAT(std::string(MakeRadioMeter(env_).status().message()), HasSubstr("--link"));
  env_.link = RadioLink::kEthernet;
  EXPECT_THAT(std::string(MakeRadioMeter(env_).status().message()), HasSubstr("no radio"));
}

}  // namespace
}  // namespace fedwatt
