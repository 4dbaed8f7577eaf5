// What a session measures of its own work and tells the coordinator.

#include "common/model/telemetry.h"
#include "gmock/gmock.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Optional;
using ::testing::SizeIs;

constexpr uint64_t kLarge = 200'000;  // 800 kB both ways

class SessionCostsTest : public SessionTest {
 protected:
  // One assignment of which each transfer takes two seconds and the training three.
  void WorkOnce() {
    coordinator_.transfer_ms = 2000;
    trainer_.during_run = [this] { clock_.AdvanceMs(3000); };
    coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
    Start();
    Advance(60'000);
    ASSERT_THAT(coordinator_.reports, SizeIs(1));
  }
  const CostEstimate& Told() { return coordinator_.check_ins.back().costs; }
};

TEST_F(SessionCostsTest, TheFirstCheckInKnowsNothing) {
  Start();
  EXPECT_FALSE(Told().up_bytes_per_s.has_value());
  EXPECT_FALSE(Told().train_joules.has_value());
}

TEST_F(SessionCostsTest, TheNextCheckInTellsWhatWasMeasured) {
  WorkOnce();
  // 400 kB/s; of the link only a bucket leaves the device.
  EXPECT_EQ(Told().up_bytes_per_s, LinkBytesPerSecondOf(*LinkBucket(400'000)));
  EXPECT_EQ(Told().down_bytes_per_s, LinkBytesPerSecondOf(*LinkBucket(400'000)));
  // The meter's 1000 uJ a window and 2 uJ a byte.
  EXPECT_THAT(Told().up_joules_per_byte, Optional(DoubleNear(1601e-3 / 800e3, 1e-12)));
  EXPECT_THAT(Told().down_joules_per_byte, Optional(DoubleNear(1601e-3 / 800e3, 1e-12)));
  EXPECT_THAT(Told().encode_joules_per_coordinate,
              Optional(DoubleNear(1601e-3 / static_cast<double>(kLarge), 1e-12)));
  EXPECT_THAT(Told().train_joules, Optional(DoubleNear(1e-3, 1e-12)));
  EXPECT_THAT(Told().train_seconds, Optional(DoubleNear(3, 1e-9)));
}

TEST_F(SessionCostsTest, ARestartKeepsThem) {
  WorkOnce();
  const CostEstimate before = Told();
  Restart();
  EXPECT_EQ(Told().up_bytes_per_s, before.up_bytes_per_s);
  EXPECT_EQ(Told().down_joules_per_byte, before.down_joules_per_byte);
  EXPECT_EQ(Told().train_seconds, before.train_seconds);
}

TEST_F(SessionCostsTest, AStopKeepsTheLastOnes) {
  WorkOnce();
  trainer_.during_run = [this] { clock_.AdvanceMs(7000); };
  coordinator_.Give(MakeAssignment("job/r2/a1/0", kLarge));
  coordinator_.AnswerHeld();
  executor_.RunReady();
  Advance(8000);
  ASSERT_THAT(coordinator_.reports, SizeIs(2));
  session_->Stop(nullptr);
  executor_.RunReady();
  Restart();
  EXPECT_THAT(Told().train_seconds, Optional(DoubleNear(7, 1e-9)));
}

TEST_F(SessionCostsTest, ATransferThatBrokeSaysNothingOfTheLink) {
  coordinator_.transfer_ms = 2000;
  coordinator_.cut_upload_at = 700'000;
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  Start();
  Advance(60'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  // The rest's 50 kB/s.
  EXPECT_EQ(Told().up_bytes_per_s, LinkBytesPerSecondOf(*LinkBucket(50'000)));
}

TEST_F(SessionCostsTest, TheOwnersLinkStandsForTheMeasuredOne) {
  options_.stated_costs.up_bytes_per_s = 1000;
  options_.stated_costs.down_joules_per_byte = 0.5;
  Start();
  EXPECT_THAT(Told().up_bytes_per_s, Optional(1000.0));
  EXPECT_THAT(Told().down_joules_per_byte, Optional(0.5));
  EXPECT_FALSE(Told().down_bytes_per_s.has_value());
}

TEST_F(SessionCostsTest, WithoutAMeterJoulesAreUnknown) {
  coordinator_.transfer_ms = 2000;
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  SessionDeps deps{&clock_, &executor_, &executor_, &coordinator_, &trainer_};
  auto session = Session::Open(options_, deps);
  ASSERT_TRUE(session.ok());
  (*session)->Start();
  Advance(60'000);
  EXPECT_TRUE(Told().up_bytes_per_s.has_value());
  EXPECT_FALSE(Told().up_joules_per_byte.has_value());
  EXPECT_FALSE(Told().encode_joules_per_coordinate.has_value());
  EXPECT_FALSE(Told().train_joules.has_value());
}

TEST_F(SessionCostsTest, AFileThatCannotBeWrittenIsSaidAndSurvived) {
  SetWriteFaultForTest([](const std::string& path, uint64_t) {
    return path.find("/costs") != std::string::npos ? ENOSPC : 0;
  });
  WorkOnce();
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("cannot keep the costs: RESOURCE_EXHAUSTED"));
  EXPECT_TRUE(Told().up_bytes_per_s.has_value());
}

// What comes inside an assignment and goes inside a report costs the radio as much as any transfer.
TEST_F(SessionCostsTest, TheRadioCountsInlineTransfers) {
  EnergyMeterEnv env;
  env.clock = &clock_;
  env.simulated = SimulatedPower{.watts = 5};
  env.link = RadioLink::kWifi;
  auto choice = ChooseEnergyMeter("simulated", env);
  ASSERT_TRUE(choice.ok()) << choice.status();
  other_meter_ = choice->meter.get();
  const auto radio = [this](Phase phase) {
    uint64_t bytes = 0;
    for (const EnergySample& sample : LastReport().energy) {
      if (sample.source == "radio" && sample.phase == phase && sample.energy_uj > 0) {
        bytes += sample.bytes;
      }
    }
    return bytes;
  };
  Assignment first = Inline(MakeAssignment("job/r1/a1/0", 1000));
  const uint64_t inline_bytes = first.model.inline_data.size() + first.bundle.inline_data.size();
  coordinator_.Give(std::move(first));
  coordinator_.Give(Inline(MakeAssignment("job/r2/a1/0", 1000)));
  Start();
  Advance(60'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(2));
  EXPECT_EQ(radio(Phase::kDownload), inline_bytes);
  EXPECT_EQ(radio(Phase::kUpload), LastReport().update.size) << "after the first: extrapolated";
  for (const EnergySample& sample : LastReport().energy) {
    EXPECT_FALSE(sample.source == "simulated" && sample.phase == Phase::kDownload)
        << "no time passed that a meter could have seen";
  }
}

}  // namespace
}  // namespace fedwatt
