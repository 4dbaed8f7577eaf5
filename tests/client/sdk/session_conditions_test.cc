// A session on a device whose condition changes: when it works, when it stops, what it tells.

#include "common/model/telemetry.h"
#include "common/wire/client_wire.h"
#include "gmock/gmock.h"
#include "google/protobuf/message.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr uint64_t kSmall = 100;
constexpr uint64_t kLarge = 200'000;

class FakeConditions final : public DeviceConditions {
 public:
  DeviceState Read() override {
    ++reads;
    return state;
  }
  DeviceState state;
  int reads = 0;
};

class SessionConditionsTest : public SessionTest {
 protected:
  SessionConditionsTest() {
    state().charging = false;
    state().charge = 0.81;
    state().capacity_wh = 15;
    options_.rules.min_charge = 0.2;
    conditions_ = &device_;
  }
  DeviceState& state() { return device_.state; }

  // Takes a real training's time, and is asked in its middle.
  void DuringTraining(std::function<void()> change) {
    trainer_.during_run = [this, change = std::move(change)] {
      Advance(20'000);
      change();
      Advance(5'000);
    };
  }
  int Lines(const std::string& kind) const {
    return static_cast<int>(
        std::count_if(transcript_.lines.begin(), transcript_.lines.end(),
                      [&](const std::string& line) { return line.rfind(kind, 0) == 0; }));
  }

  FakeConditions device_;
};

TEST_F(SessionConditionsTest, ADeviceBelowItsFloorDoesNotCheckIn) {
  state().charge = 0.14;
  Start();
  Advance(3'600'000);
  EXPECT_THAT(coordinator_.check_ins, IsEmpty());
  EXPECT_EQ(coordinator_.sleeps, 1);
  // One line when it changes, not one a look.
  state().charge = 0.13;
  Advance(3'600'000);
  EXPECT_THAT(transcript_.lines,
              ElementsAre("conditions: not met: charge 14 %, the floor is 20 %"));
}

TEST_F(SessionConditionsTest, ItAsksItselfLessAndLessOften) {
  state().charge = 0.14;
  Start();
  const int first = device_.reads;
  Advance(5'000 + 10'000 + 20'000 + 40'000 + 60'000);
  EXPECT_EQ(device_.reads - first, 5);
  Advance(600'000);
  EXPECT_EQ(device_.reads - first, 15);
}

TEST_F(SessionConditionsTest, ManyShortAssignmentsShareALook) {
  for (int round = 1; round <= 10; ++round) {
    coordinator_.Give(Inline(MakeAssignment(absl::StrCat("job/r", round, "/a1/0"), kSmall)));
  }
  Start();
  EXPECT_THAT(coordinator_.reports, SizeIs(10));
  EXPECT_EQ(device_.reads, 1);
}

TEST_F(SessionConditionsTest, ItChecksInOnceTheyAreMet) {
  state().charge = 0.14;
  Start();
  Advance(100'000);
  state().charge = 0.26;
  Advance(60'000);
  EXPECT_THAT(coordinator_.check_ins, Not(IsEmpty()));
  EXPECT_EQ(transcript_.lines.back(), "conditions: met again");
}

TEST_F(SessionConditionsTest, WorkThatComesInTheWrongMomentIsHandedBackAtOnce) {
  Start();
  ASSERT_TRUE(coordinator_.holds_check_in());
  Advance(1000);
  state().charge = 0.14;
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  coordinator_.AnswerHeld();
  executor_.RunReady();
  EXPECT_THAT(trainer_.runs, IsEmpty());
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_EQ(LastReport().error, "the device's own conditions: battery");
  EXPECT_FALSE(coordinator_.holds_check_in());
}

TEST_F(SessionConditionsTest, ItLeavesAnOpenCheckIn) {
  Start();
  ASSERT_TRUE(coordinator_.holds_check_in());
  state().charge = 0.19;
  Advance(5'000);
  EXPECT_FALSE(coordinator_.holds_check_in());
  EXPECT_THAT(coordinator_.check_ins, SizeIs(1));
  EXPECT_THAT(transcript_.lines,
              ElementsAre("conditions: not met: charge 19 %, the floor is 20 %"));
  state().charging = true;
  Advance(60'000);
  EXPECT_TRUE(coordinator_.holds_check_in());
}

TEST_F(SessionConditionsTest, TrainingStopsAndItsEnergyIsReported) {
  DuringTraining([this] { state().charge = 0.19; });
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_EQ(LastReport().error, "the device's own conditions: battery");
  EXPECT_EQ(LastReport().weight, 0);
  EXPECT_EQ(LastReport().update.size, 0);
  std::set<Phase> phases;
  for (const EnergySample& sample : LastReport().energy) {
    EXPECT_TRUE(sample.energy_uj.has_value());
    phases.insert(sample.phase);
  }
  EXPECT_THAT(phases, ElementsAre(Phase::kDownload, Phase::kTrain));
  EXPECT_EQ(meter_.open, 0);
  // Nothing is left, and nobody asks for more work.
  EXPECT_THAT(*ListDir(options_.state_dir + "/assignments"), IsEmpty());
  EXPECT_FALSE(coordinator_.holds_check_in());
  EXPECT_THAT(coordinator_.check_ins, SizeIs(1));
}

TEST_F(SessionConditionsTest, AMarginIsNeededOnlyToBegin) {
  DuringTraining([this] { state().charge = 0.21; });
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_FALSE(coordinator_.holds_check_in());
  EXPECT_TRUE(transcript_.Has("charge 21 %, too near the floor of 20 % to begin"));
}

TEST_F(SessionConditionsTest, EachRuleStopsATraining) {
  struct Case {
    std::function<void()> change;
    std::string reason;
  };
  std::string app_says;
  options_.rules.require_charging = true;
  options_.rules.max_temperature_c = 45;
  options_.rules.max_load = 0.25;
  options_.rules.host = [&app_says] { return app_says; };
  const Case cases[] = {{[this] { state().charging = false; }, "power"},
                        {[this] { state().temperature_c = 60; }, "temperature"},
                        {[this] { state().metered = true; }, "network"},
                        {[this] { state().load = 0.9; }, "busy"},
                        {[&app_says] { app_says = "user 4711 makes a call"; }, "app"}};
  DeviceState good;
  good.charging = true;
  good.temperature_c = 30;
  good.load = 0;
  state() = good;
  Start();
  int round = 0;
  for (const Case& c : cases) {
    DuringTraining(c.change);
    coordinator_.Give(Inline(MakeAssignment(absl::StrCat("job/r", ++round, "/a1/0"), kSmall)));
    coordinator_.AnswerHeld();
    executor_.RunReady();
    ASSERT_THAT(coordinator_.reports, SizeIs(round)) << c.reason;
    EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
    // The rule alone: no figures, and nothing of what the app said.
    EXPECT_EQ(LastReport().error, "the device's own conditions: " + c.reason);
    state() = good;
    app_says.clear();
    Advance(60'000);
    ASSERT_TRUE(coordinator_.holds_check_in()) << c.reason;
  }
}

TEST_F(SessionConditionsTest, DownloadsStop) {
  coordinator_.transfer_ms = 30'000;
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  Start();
  state().charge = 0.1;
  Advance(60'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_THAT(LastReport().energy, Not(IsEmpty()));
  EXPECT_THAT(trainer_.runs, IsEmpty());
  EXPECT_GT(coordinator_.cancels, 0);
}

TEST_F(SessionConditionsTest, WhatIsTrainedIsSentThoughTheBatteryIsLow) {
  trainer_.during_run = [this] {  // after the last look
    clock_.AdvanceMs(1000);
    state().charge = 0.1;
  };
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_FALSE(coordinator_.holds_check_in());
}

TEST_F(SessionConditionsTest, WhatIsTrainedWaitsForANetworkThatIsNotMetered) {
  trainer_.during_run = [this] {
    clock_.AdvanceMs(1000);
    state().metered = true;
  };
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  Start();
  Advance(300'000);
  EXPECT_EQ(coordinator_.bytes_up, 0);
  EXPECT_THAT(coordinator_.reports, IsEmpty());
  EXPECT_THAT(transcript_.lines.back(), "conditions: not met: the network is metered");
  state().metered = false;
  Advance(60'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_THAT(trainer_.runs, SizeIs(1));
}

TEST_F(SessionConditionsTest, UntilItsDeadline) {
  trainer_.during_run = [this] {
    clock_.AdvanceMs(1000);
    state().metered = true;
  };
  Assignment assignment = MakeAssignment("job/r1/a1/0", kLarge);
  assignment.time_left_ms = 600'000;
  coordinator_.Give(assignment);
  Start();
  Advance(700'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_EQ(LastReport().error, "the device's own conditions: network");
  EXPECT_THAT(LastReport().energy, Not(IsEmpty()));
  EXPECT_EQ(coordinator_.bytes_up, 0);
  EXPECT_THAT(*ListDir(options_.state_dir + "/assignments"), IsEmpty());
}

TEST_F(SessionConditionsTest, AKilledUploadGoesOnOnlyWhenTheNetworkMay) {
  coordinator_.stall_uploads_at = 300'000;
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
  Start();
  state().metered = true;
  Restart();
  Advance(100'000);
  EXPECT_THAT(coordinator_.reports, IsEmpty());
  EXPECT_THAT(coordinator_.check_ins, SizeIs(1));  // the first life's
  state().metered = false;
  Advance(60'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(coordinator_.bytes_up, kLarge * 4);
}

TEST_F(SessionConditionsTest, WorkOfAnEarlierRunIsHandedBackIfItMayNotGoOn) {
  trainer_.during_run = [this] { Kill(); };
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  Start();
  trainer_.during_run = nullptr;
  state().charge = 0.05;
  Restart();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_THAT(trainer_.runs, SizeIs(1));
  EXPECT_THAT(coordinator_.check_ins, SizeIs(1));
}

TEST_F(SessionConditionsTest, AGaugeThatLiesIsSaidOnceAndBindsNothing) {
  state().charge.reset();
  state().flaws = {"BAT0 reports a capacity of 0 %"};
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  Start();
  Advance(100'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_EQ(Lines("problem"), 2);
  EXPECT_TRUE(transcript_.Has("BAT0 reports a capacity of 0 %"));
  EXPECT_TRUE(transcript_.Has("cannot be checked, and bind nothing: the battery's floor"));
}

TEST_F(SessionConditionsTest, AStopWhileWaitingLeavesNothingBehind) {
  state().charge = 0.1;
  Start();
  bool stopped = false;
  session_->Stop([&stopped] { stopped = true; });
  executor_.RunReady();
  EXPECT_TRUE(stopped);
  EXPECT_EQ(executor_.pending(), 0);
}

TEST_F(SessionConditionsTest, AStopDuringACheckInEndsTheLooks) {
  Start();
  session_->Stop(nullptr);
  executor_.RunReady();
  const int reads = device_.reads;
  Advance(100'000);
  EXPECT_EQ(device_.reads, reads);
}

TEST_F(SessionConditionsTest, AnIntervalThatIsNoneIsRefused) {
  options_.condition_check_ms = 0;
  const auto session =
      Session::Open(options_, {&clock_, &executor_, &executor_, &coordinator_, &trainer_});
  EXPECT_TRUE(absl::IsInvalidArgument(session.status()));
  EXPECT_THAT(std::string(session.status().message()), HasSubstr("condition_check_ms = 0"));
}

// ---- what leaves the device

// Names of the fields that are set, with those of telemetry and costs in full.
std::vector<std::string> FieldsOf(const google::protobuf::Message& message,
                                  const std::string& prefix = "") {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  std::vector<std::string> names;
  for (const auto* field : fields) {
    const std::string name = absl::StrCat(prefix, std::string(field->name()));
    if (name == "telemetry" || name == "costs") {
      const auto inner = FieldsOf(message.GetReflection()->GetMessage(message, field), name + ".");
      names.insert(names.end(), inner.begin(), inner.end());
    } else {
      names.push_back(name);
    }
  }
  return names;
}

class TelemetryLevel : public SessionConditionsTest,
                       public ::testing::WithParamInterface<uint32_t> {
 protected:
  // A check-in after an assignment, when everything that could be told is known.
  v1::CheckInRequest CheckInAtLevel() {
    options_.telemetry_level = GetParam();
    coordinator_.transfer_ms = 2000;
    trainer_.during_run = [this] { clock_.AdvanceMs(3000); };
    state().temperature_c = 31.5;
    state().hottest = "skin";
    state().load = 0.1;
    state().metered = false;
    coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));
    Start();
    Advance(60'000);
    EXPECT_THAT(coordinator_.reports, SizeIs(1));
    v1::CheckInRequest message;
    wire::ToProto(coordinator_.check_ins.back(), &message);
    return message;
  }
};

// What the protocol needs, whatever the level.
const std::vector<std::string> kProtocol = {"protocol_min", "protocol_max", "sdk_version",
                                            "tenant",       "population",   "capabilities",
                                            "datasets",     "holding",      "max_wait_ms"};
const std::vector<std::string> kTail = {"session", "client_time_ms", "role", "models"};

TEST_P(TelemetryLevel, SaysWhatLeavesWithACheckIn) {
  const v1::CheckInRequest message = CheckInAtLevel();
  std::vector<std::string> expected = kProtocol;
  const auto add = [&expected](const std::vector<std::string>& more) {
    expected.insert(expected.end(), more.begin(), more.end());
  };
  if (GetParam() > 0) add({"telemetry_level"});
  add(kTail);
  if (GetParam() > 0) {
    add({"costs.up_bytes_per_s", "costs.down_bytes_per_s", "costs.up_joules_per_byte",
         "costs.down_joules_per_byte", "costs.encode_joules_per_coordinate", "costs.train_joules",
         "costs.train_seconds", "telemetry.charging", "telemetry.charge", "telemetry.capacity",
         "telemetry.link", "telemetry.loss"});
  }
  EXPECT_EQ(FieldsOf(message), expected);
  EXPECT_TRUE(coordinator_.check_ins.back().costs.train_joules.has_value() == (GetParam() > 0));
}

TEST_P(TelemetryLevel, SaysWhatLeavesWithAReport) {
  CheckInAtLevel();
  const Report& report = LastReport();
  EXPECT_EQ(report.weight, 600);
  EXPECT_EQ(report.metrics.examples, 600);
  ASSERT_THAT(report.energy, Not(IsEmpty()));
  for (const EnergySample& sample : report.energy) {
    if (GetParam() > 0) continue;
    EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
    EXPECT_FALSE(sample.energy_uj.has_value());
    EXPECT_EQ(sample.duration_us, 0);
    EXPECT_THAT(sample.reason, HasSubstr("no telemetry"));
  }
  EXPECT_EQ(report.metrics.after.has_value(), GetParam() > 0);
  EXPECT_EQ(report.metrics.seconds_by_phase.empty(), GetParam() == 0);
}

INSTANTIATE_TEST_SUITE_P(Levels, TelemetryLevel, ::testing::Values(0, 1, 2, 3));

TEST_F(SessionConditionsTest, BucketsHideTheFigures) {
  coordinator_.transfer_ms = 2000;
  coordinator_.Give(MakeAssignment("job/r1/a1/0", kLarge));  // 400 kB/s; mean loss 1/600
  Start();
  Advance(60'000);
  const CheckInRequest& told = coordinator_.check_ins.back();
  EXPECT_EQ(told.telemetry, (DeviceTelemetry{false, 6, 3, LinkBucket(400'000), 0}));
  EXPECT_EQ(told.costs.up_bytes_per_s, LinkBytesPerSecondOf(*LinkBucket(400'000)));
}

TEST_F(SessionConditionsTest, AtLevelZeroAReportDoesNotEvenNameTheRule) {
  options_.telemetry_level = 0;
  DuringTraining([this] { state().charge = 0.1; });
  coordinator_.Give(Inline(MakeAssignment("job/r1/a1/0", kSmall)));
  Start();
  EXPECT_EQ(LastReport().error, "the device's own conditions");
}

TEST_F(SessionConditionsTest, ADeviceThatSaysNothingOfItselfTellsNothing) {
  conditions_ = nullptr;
  Start();
  EXPECT_EQ(coordinator_.check_ins.back().telemetry, DeviceTelemetry());
}

}  // namespace
}  // namespace fedwatt
