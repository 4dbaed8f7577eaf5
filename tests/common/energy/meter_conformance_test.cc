#include <algorithm>

#include "common/base/cpu_time.h"
#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

// What every registered meter promises on every kind of host.
namespace fedwatt {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

constexpr double kWatts = 8;

// A meter on a host. `equipped`: with what is no file, too, so that each meter is there once.
struct Case {
  EnergyMeterEntry entry;
  HostKind host;
  bool equipped = false;
};

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Every meter where it works; those that need more than files, on an equipped host.
std::vector<Case> WorkingCases() {
  std::vector<Case> cases;
  for (const EnergyMeterEntry& entry : BuiltinEnergyMeters()) {
    const size_t before = cases.size();
    for (const HostKind& host : HostKinds()) {
      if (Contains(host.meters, entry.name)) cases.push_back({entry, host});
    }
    if (cases.size() == before) cases.push_back({entry, HostKinds().front(), true});
  }
  return cases;
}

class EveryMeter : public MeterTest, public testing::WithParamInterface<Case> {
 protected:
  const EnergyMeterEntry& entry() const { return GetParam().entry; }
  const HostKind& host() const { return GetParam().host; }

  void SetUp() override {
    MeterTest::SetUp();
    host().build(tree_);
    if (GetParam().equipped) Equip();
    auto made = entry().make(env_);
    ASSERT_TRUE(made.ok()) << made.status();
    meter_ = *std::move(made);
  }

  void Equip() {
    gpus_.load_error = absl::OkStatus();
    gpus_.energy_mj = {1000};
    env_.host = HostEnergy{.total_uj = [this] { return host_uj_; }};
    env_.link = RadioLink::kWifi;
    env_.simulated = SimulatedPower{.watts = kWatts};
    const std::string dir = "sys/bus/event_source/devices/power/";
    tree_.Write(dir + "type", 23);
    tree_.Write(dir + "cpumask", "0");
    tree_.Write(dir + "events/energy-pkg", "event=0x02");
    tree_.Write(dir + "events/energy-pkg.scale", "2.3283064365386962890625e-10");
    tree_.Write(dir + "events/energy-pkg.unit", "Joules");
  }

  // Time in which the host uses kWatts.
  void Work(int64_t ms) {
    Pass(*meter_, ms, 2, 0.5, [this](double seconds) {
      for (const std::string& file : host().counters) tree_.Spend(file, kWatts * seconds);
      perf_.counts[2] += static_cast<uint64_t>(kWatts * seconds / 2.3283064365386963e-10);
      for (auto& energy_mj : gpus_.energy_mj) *energy_mj += static_cast<uint64_t>(8000 * seconds);
      host_uj_ += static_cast<int64_t>(kWatts * seconds * 1e6);
    });
  }

  std::unique_ptr<EnergyMeter> meter_;
  int64_t host_uj_ = 5;
};

TEST_P(EveryMeter, NamesItselfAndWhatItReads) {
  EXPECT_EQ(meter_->name(), entry().name);
  EXPECT_THAT(meter_->description(), Not(IsEmpty()));
}

TEST_P(EveryMeter, MeasuresALongWindow) {
  const auto window = meter_->Begin(Phase::kUpload);
  Work(20'000);
  const EnergySample sample = meter_->End(window, 1'000'000);
  EXPECT_EQ(sample.source, entry().name);
  EXPECT_EQ(sample.quality, meter_->quality()) << sample.reason;
  EXPECT_EQ(sample.scope, meter_->scope());
  EXPECT_EQ(sample.phase, Phase::kUpload);
  EXPECT_EQ(sample.bytes, 1'000'000u);
  EXPECT_EQ(sample.duration_us, 20'000'000);
  EXPECT_EQ(sample.coverage, 1);
  ASSERT_TRUE(sample.energy_uj.has_value());
  EXPECT_GT(*sample.energy_uj, 0);
  ASSERT_TRUE(sample.sigma_uj.has_value());
  EXPECT_GE(*sample.sigma_uj, 0);
  EXPECT_EQ(sample.reason, "");
  if (sample.quality == EnergyQuality::kDerived) {
    ASSERT_TRUE(sample.machine_energy_uj.has_value());
    EXPECT_NEAR(static_cast<double>(*sample.energy_uj),
                static_cast<double>(*sample.machine_energy_uj) / 4, 1)
        << "own 0.5 of 2 busy cores";
  }
}

TEST_P(EveryMeter, WindowsNestAndCloseInAnyOrder) {
  const auto outer = meter_->Begin(Phase::kDownload);
  Work(15'000);
  const auto inner = meter_->Begin(Phase::kUpload);
  Work(15'000);
  const EnergySample first = meter_->End(outer, 2000);
  Work(15'000);
  const EnergySample second = meter_->End(inner, 1000);
  EXPECT_EQ(first.phase, Phase::kDownload);
  EXPECT_EQ(second.phase, Phase::kUpload);
  EXPECT_EQ(first.duration_us, 30'000'000);
  EXPECT_EQ(second.duration_us, 30'000'000);
  EXPECT_TRUE(first.energy_uj.has_value()) << first.reason;
  EXPECT_TRUE(second.energy_uj.has_value()) << second.reason;
}

// The sum of two windows is the window of both.
TEST_P(EveryMeter, EnergyAddsUp) {
  if (entry().name == "radio") return;  // its transfers have tails: radio_meter_test.cc
  const auto whole = meter_->Begin(Phase::kTrain);
  int64_t parts_uj = 0;
  for (int part = 0; part < 3; ++part) {
    const auto window = meter_->Begin(Phase::kTrain);
    Work(20'000);
    parts_uj += meter_->End(window, 0).energy_uj.value_or(-1'000'000'000);
  }
  EXPECT_NEAR(static_cast<double>(meter_->End(whole, 0).energy_uj.value_or(0)),
              static_cast<double>(parts_uj), 5);
}

TEST_P(EveryMeter, AWindowOfAMillisecondOrLessIsRightOrUnavailable) {
  for (const int64_t ms : {0, 1}) {
    const auto window = meter_->Begin(Phase::kTrain);
    Work(ms);
    const EnergySample sample = meter_->End(window, 0);
    if (sample.energy_uj.has_value()) {
      EXPECT_GE(*sample.energy_uj, 0);
      EXPECT_LE(*sample.energy_uj, ms * 1000 * static_cast<int64_t>(kWatts + 1));
    } else {
      EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
      EXPECT_THAT(sample.reason, Not(IsEmpty()));
      EXPECT_FALSE(sample.sigma_uj.has_value() || sample.machine_energy_uj.has_value());
    }
  }
}

TEST_P(EveryMeter, AWindowThatIsNotOpenIsUnavailable) {
  const auto window = meter_->Begin(Phase::kTrain);
  (void)meter_->End(window, 0);
  for (const auto closed : {window, EnergyMeter::Window{999}}) {
    const EnergySample sample = meter_->End(closed, 0);
    EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable);
    EXPECT_EQ(sample.reason, "the window is not open");
    EXPECT_FALSE(sample.energy_uj.has_value());
  }
}

// A meter whose files and functions all fail from the middle on: what was seen, or nothing.
TEST_P(EveryMeter, DyingMidWindowGivesWhatWasSeenOrNothing) {
  const auto window = meter_->Begin(Phase::kTrain);
  Work(10'000);
  for (const char* const dir : {"sys/class", "sys/bus"}) tree_.Remove(dir);
  perf_.read_error = absl::UnavailableError("gone");
  for (auto& energy_mj : gpus_.energy_mj) energy_mj = absl::UnavailableError("gone");
  clock_.AdvanceMs(600'000);
  meter_->Poll();
  const EnergySample sample = meter_->End(window, 0);
  const bool needs_nothing =
      entry().name == "cpu_time" || entry().name == "simulated" || entry().name == "host";
  if (!needs_nothing) {
    EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable) << "10 s of 610 were seen";
    EXPECT_FALSE(sample.energy_uj.has_value());
    EXPECT_THAT(sample.reason, Not(IsEmpty()));
  }
}

// The limit: 1 ms for a window. Of CPU time, which a busy machine does not stretch.
TEST_P(EveryMeter, AWindowCostsLessThanAMillisecondAndPollsLittle) {
  env_.read_file = nullptr;
  meter_ = *entry().make(env_);
  constexpr int kWindows = 200;
  int64_t begin_us = SelfCpuTimeUs();
  for (int i = 0; i < kWindows; ++i) (void)meter_->End(meter_->Begin(Phase::kTrain), 0);
  const double window_us = static_cast<double>(SelfCpuTimeUs() - begin_us) / kWindows;
  const auto open = meter_->Begin(Phase::kTrain);
  begin_us = SelfCpuTimeUs();
  for (int i = 0; i < kWindows; ++i) meter_->Poll();
  const double poll_us = static_cast<double>(SelfCpuTimeUs() - begin_us) / kWindows;
  (void)meter_->End(open, 0);
  RecordProperty("window_us", std::to_string(window_us));
  RecordProperty("poll_us", std::to_string(poll_us));
  EXPECT_LT(window_us, 1000);
  if (meter_->PollPeriodUs() > 0) {
    EXPECT_LT(poll_us, 0.005 * static_cast<double>(meter_->PollPeriodUs()))
        << "0.5 % of the time that is measured";
  }
}

INSTANTIATE_TEST_SUITE_P(Builtin, EveryMeter, testing::ValuesIn(WorkingCases()),
                         [](const auto& info) {
                           return info.param.entry.name + "On" + info.param.host.name;
                         });

class EveryHost : public MeterTest, public testing::WithParamInterface<HostKind> {};

TEST_P(EveryHost, HasItsMetersAndSaysWhatTheOthersLack) {
  GetParam().build(tree_);
  for (const EnergyMeterEntry& entry : BuiltinEnergyMeters()) {
    const auto meter = entry.make(env_);
    EXPECT_EQ(meter.ok(), Contains(GetParam().meters, entry.name))
        << entry.name << ": " << meter.status();
    if (meter.ok()) continue;
    EXPECT_TRUE(absl::IsUnavailable(meter.status())) << meter.status();
    EXPECT_THAT(std::string(meter.status().message()), Not(IsEmpty())) << entry.name;
  }
}

TEST_P(EveryHost, AllFilesUnreadableIsNoMeterButTheEstimate) {
  GetParam().build(tree_);
  env_.read_file = [](const std::string& path) { return FileError(EACCES, "open", path); };
  const auto choice = ChooseEnergyMeter("auto", env_);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->meter->name(), "cpu_time");
}

INSTANTIATE_TEST_SUITE_P(Trees, EveryHost, testing::ValuesIn(HostKinds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fedwatt
