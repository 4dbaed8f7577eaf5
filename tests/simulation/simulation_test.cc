#include "simulation/simulation.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "common/base/log.h"
#include "simulation/device_record.h"
#include "simulation/scratch_folder.h"
#include "simulation/synthetic_trainer.h"
#include "tests/common/base/temp_dir.h"

// A job on a simulated fleet, from the first check-in to the last commit.
namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SimulationTest : public ::testing::Test {
 protected:
  SimulationTest() {
    SetLogSinkForTest([](const std::string&) {});
    options_.job.name = "job";
    options_.job.rounds = 4;
    options_.job.dataset.name = "digits";
    options_.job.round.goal = 5;
    options_.fleet = DefaultFleet();
    options_.devices = 20;
    options_.seed = 7;
    options_.replay = true;
    options_.bundle = dir_.File("model.fwb");
    EXPECT_TRUE(WriteSyntheticBundle(options_.bundle, 500).ok());
  }
  ~SimulationTest() override { SetLogSinkForTest(nullptr); }

  absl::StatusOr<SimulationResult> TryRun() {
    const auto scratch = MakeScratchFolder("");
    if (!scratch.ok()) return scratch.status();
    options_.scratch_dir = *scratch;
    auto simulation = Simulation::Create(
        options_, MakeDirectBench(MakeSyntheticTrainer(MakeSyntheticTask(options_.seed))));
    if (!simulation.ok()) return simulation.status();
    return (*simulation)->Run(nullptr);
  }
  SimulationResult Run() {
    auto result = TryRun();
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    EXPECT_THAT(result->violations, IsEmpty());
    return *std::move(result);
  }

  // Phones on batteries that training drains: 0.3 Wh, 3 W for minutes.
  static FleetModel Phones() {
    FleetModel fleet = DefaultFleet();
    fleet.classes.resize(1);
    fleet.classes[0].battery = {.capacity_j = 1080, .charge_w = 5, .idle_w = 0.05};
    fleet.classes[0].charge_min = 0.1;
    fleet.work_scale = 1e6;  // 240 to 720 s
    fleet.charging = {.pattern = OnOffPattern::kExponential, .mean_on_s = 900, .mean_off_s = 1800};
    return fleet;
  }

  TempDir dir_;
  SimulationOptions options_;
};

TEST_F(SimulationTest, AJobCompletesAndLearns) {
  const SimulationResult result = Run();
  EXPECT_EQ(result.job.state, JobState::kCompleted);
  EXPECT_EQ(result.job.rounds_done, 4U);
  EXPECT_EQ(result.assignments, 20U);
  EXPECT_EQ(result.replayed_commits, 4U);
  EXPECT_THAT(result.problems, IsEmpty());
  EXPECT_EQ(result.limited_by, "");
  ASSERT_EQ(result.points.size(), 4U);
  EXPECT_GT(*result.points[3].round.train_after.accuracy,
            *result.points[0].round.train_before.accuracy + 0.2);
  EXPECT_GT(result.tally.useful_uj, 0);
}

TEST_F(SimulationTest, TheSameSeedGivesTheSameTraceAndAnotherSeedAnother) {
  options_.fleet.dropouts_per_hour = 10;
  options_.fleet.work_scale = 1e6;
  const SimulationResult first = Run();
  const SimulationResult again = Run();
  EXPECT_EQ(first.trace_hash, again.trace_hash);
  EXPECT_EQ(first.job.last.sha256, again.job.last.sha256);
  options_.seed = 8;
  EXPECT_NE(Run().trace_hash, first.trace_hash);
}

// Weights by probabilities, and updates that are too large to travel inside of reports.
TEST_F(SimulationTest, UnbiasedAndPiecewiseUpdatesAreReplayedToo) {
  options_.job.selector = {"joule", {{"unbiased", 10}}};
  options_.devices = 40;
  EXPECT_EQ(Run().replayed_commits, 4U);
  options_.job.codec.up = "raw_f32";
  ASSERT_TRUE(WriteSyntheticBundle(options_.bundle, 100'000).ok());
  EXPECT_EQ(Run().replayed_commits, 4U);
}

CarbonSeries Constant(double g_per_kwh) {
  return {TimeSeries(0, int64_t{24} * 3'600'000, {g_per_kwh}), {}, "test"};
}

// True grams by each device's grid, booked ones by the coordinator's.
TEST_F(SimulationTest, GramsAreOfTheDevicesRegionAndHour) {
  options_.fleet.work_scale = 1e6;
  for (DeviceClass& one : options_.fleet.classes) one.region = "DE";
  options_.carbon_series.emplace("", Constant(100));
  options_.carbon_series.emplace("DE", Constant(300));
  const SimulationResult result = Run();
  ASSERT_TRUE(result.tally.emitted_ug.has_value());
  EXPECT_EQ(result.tally.without_grams_uj, 0);
  constexpr double kUjPerKwh = 3.6e12;
  const BudgetView& booked = result.job.budget;
  EXPECT_NEAR(static_cast<double>(booked.booked_ug),
              static_cast<double>(booked.booked_uj) / kUjPerKwh * 100e6, 20);
  // All was reported and booked, but for what sending cost more than was foreseen.
  const double ratio =
      static_cast<double>(*result.tally.emitted_ug) / static_cast<double>(booked.booked_ug);
  EXPECT_NEAR(ratio, 3, 0.1);
  ASSERT_FALSE(result.points.empty());
  EXPECT_GT(result.points[0].tally.emitted_ug, 0);
  EXPECT_LT(result.points[0].tally.emitted_ug, result.points[3].tally.emitted_ug);

  // From noon on twice as dirty: the work is done at midnight.
  std::vector<double> later(24, 600);
  later[0] = 300;
  options_.carbon_series.at("DE").grams = TimeSeries(0, 3'600'000, later);
  EXPECT_EQ(*Run().tally.emitted_ug, *result.tally.emitted_ug);
  options_.fleet.start_hour = 12;
  const double noon = static_cast<double>(*Run().tally.emitted_ug);
  EXPECT_NEAR(noon / static_cast<double>(*result.tally.emitted_ug), 2, 0.01);

  // A grid that nobody knows is not one without grams.
  options_.carbon_series = {{"FR", Constant(50)}};
  const SimulationResult unknown = Run();
  EXPECT_FALSE(unknown.tally.emitted_ug.has_value());
  EXPECT_GT(unknown.tally.without_grams_uj, 0);
  options_.carbon_series.emplace("DE", Constant(50));
  options_.carbon_series.at("DE").kind.gas = CarbonGas::kCo2;
  EXPECT_THAT(std::string(TryRun().status().message()), HasSubstr("never added"));
}

// The coordinator reads the surplus of the virtual hour, and devices say their domain.
TEST_F(SimulationTest, SurplusReachesTheSelector) {
  options_.job.selector = {"fedzero", {}};
  options_.job.round.goal = 2;
  options_.job.round.selection_timeout_s = 5;
  options_.fleet.arrivals_per_s = 1000;
  options_.fleet.work_scale = 1e5;
  options_.fleet.classes.resize(2);
  options_.fleet.classes[0].power_domain = "dark";
  options_.fleet.classes[1].power_domain = "sunny";
  options_.fleet.in_order = true;
  constexpr int64_t kDayMs = int64_t{24} * 3'600'000;
  options_.surplus.emplace("dark", TimeSeries(0, kDayMs, {0}));
  options_.surplus.emplace("sunny", TimeSeries(0, kDayMs, {1e6}));
  std::map<bool, int> assigned;  // of the sunny half
  const double phones = options_.fleet.classes[0].share /
                        (options_.fleet.classes[0].share + options_.fleet.classes[1].share);
  options_.on_trace = [&](const TraceRecord& record) {
    if (record.kind == TraceKind::kAssigned) ++assigned[record.device >= 20 * phones];
  };
  options_.job.rounds = 12;
  Run();
  // Where nobody in the sun waits, somebody in the dark has to do it.
  EXPECT_GT(assigned[true], 2 * assigned[false]);

  // Without figures of it nobody is bound, and most devices are of the larger class.
  assigned.clear();
  options_.surplus.clear();
  Run();
  EXPECT_LT(assigned[true], assigned[false]);
}

// Not only when an attempt ends: of a round that lasts, too.
TEST_F(SimulationTest, ItIsInterruptedBetweenEvents) {
  options_.fleet.work_scale = 1e6;
  int asked = 0;
  options_.interrupted = [&asked] { return ++asked == 12; };
  const auto result = TryRun();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("interrupted after"));
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("and 0 attempts"));
  EXPECT_EQ(asked, 12);
}

TEST_F(SimulationTest, StateFoldersInMemoryAreAsThoseOnTheDisk) {
  options_.fleet.dropouts_per_hour = 10;
  options_.fleet.work_scale = 1e6;
  options_.job.codec.up = "topk:fraction=0.1";
  options_.most_awake = 2;
  options_.faults = RandomFaults(3, 60);
  const SimulationResult in_memory = Run();
  options_.state_in_memory = false;
  const SimulationResult on_disk = Run();
  EXPECT_EQ(in_memory.trace_hash, on_disk.trace_hash);
  EXPECT_EQ(in_memory.job.last.sha256, on_disk.job.last.sha256);
}

// The record is all that is left of a device that waits; the model does not depend on it.
TEST_F(SimulationTest, DormantDevicesComeBackFromTheirRecord) {
  static_assert(sizeof(DeviceRecord) <= 200);
  options_.devices = 60;
  options_.fleet.long_poll_ms = 2'000;
  options_.fleet.work_scale = 1e5;
  options_.keeps_storage = false;
  options_.most_awake = 0;
  int sleeps = 0;
  int wakes = 0;
  options_.on_trace = [&](const TraceRecord& record) {
    if (record.kind == TraceKind::kSleep) ++sleeps;
    if (record.kind == TraceKind::kWake) ++wakes;
  };
  const SimulationResult result = Run();
  EXPECT_EQ(result.job.state, JobState::kCompleted);
  EXPECT_GT(sleeps, 60);
  EXPECT_GT(wakes, 120);
  EXPECT_THAT(result.problems, IsEmpty());
}

TEST_F(SimulationTest, WorkTakesItsTimeOnItsDevice) {
  options_.devices = 5;
  options_.fleet.classes.resize(1);  // 5 GFLOP/s, 3 W
  options_.fleet.examples_min = options_.fleet.examples_max = 100;
  options_.fleet.work_scale = 1e6;  // 6 x 500 x 100 x 10^6 / 5 x 10^9 = 60 s
  options_.job.rounds = 1;
  const SimulationResult result = Run();
  EXPECT_GE(result.virtual_ms, 60'000);
  EXPECT_LT(result.virtual_ms, 75'000);
  ASSERT_FALSE(result.energy_by_phase.empty());
  int64_t trained_uj = 0;
  for (const EnergySum& sum : result.energy_by_phase) {
    if (sum.label.phase == Phase::kTrain) trained_uj += sum.figures.energy_uj;
  }
  EXPECT_EQ(trained_uj, int64_t{5} * 60 * 3 * 1'000'000);
}

TEST_F(SimulationTest, AnEmptyBatteryEndsWorkAndItsJoulesAreLost) {
  options_.fleet = Phones();
  options_.devices = 40;
  options_.job.round.min_reports = 2;
  options_.job.round.over_selection = 2;
  options_.job.round.report_deadline_s = 1800;
  const SimulationResult result = Run();
  EXPECT_GT(result.tally.empty_batteries, 0U);
  EXPECT_GT(result.tally.lost_uj, 0);
}

TEST_F(SimulationTest, AFloorOnTheBatteryStopsWorkBeforeItIsEmpty) {
  options_.fleet = Phones();
  options_.fleet.min_charge = 0.3;
  options_.fleet.condition_check_ms = 5'000;
  options_.devices = 40;
  options_.job.round.min_reports = 2;
  options_.job.round.over_selection = 2;
  options_.job.round.report_deadline_s = 1800;
  const SimulationResult result = Run();
  EXPECT_EQ(result.tally.empty_batteries, 0U);
  EXPECT_GT(result.tally.wasted_uj, 0);  // stopped half-way, and said so
}

TEST_F(SimulationTest, DropoutsComeBackAndTheJobCompletes) {
  options_.fleet.dropouts_per_hour = 6;
  options_.fleet.dropout_s = 60;
  options_.fleet.work_scale = 1e6;
  options_.job.round.min_reports = 2;
  options_.job.round.max_attempts = 1000;
  const SimulationResult result = Run();
  EXPECT_GT(result.tally.dropouts, 0U);
  EXPECT_EQ(result.job.state, JobState::kCompleted);
}

TEST_F(SimulationTest, AMisreporterClaimsLessThanItSpent) {
  options_.fleet.work_scale = 1e5;
  const int64_t honest_uj = Run().tally.useful_uj;
  options_.fleet.misreporters = 1;
  options_.fleet.misreport_min = 0.5;
  options_.fleet.misreport_max = 0.5;
  EXPECT_NEAR(static_cast<double>(Run().tally.useful_uj), 0.5 * static_cast<double>(honest_uj),
              0.02 * static_cast<double>(honest_uj));
}

// Each harms its own rounds at most: what cannot be is refused, what can be is folded as claimed.
TEST_F(SimulationTest, MaliciousDevicesDoNotStopTheJob) {
  options_.job.round.min_reports = 1;
  for (const Attack attack : {Attack::kScale, Attack::kNan, Attack::kGarbage, Attack::kOverclaim}) {
    options_.fleet.malicious = 0.4;
    options_.fleet.attack = attack;
    const SimulationResult result = Run();
    EXPECT_EQ(result.job.state, JobState::kCompleted);
    // Its own session does not let out what is no number.
    const bool refused = std::any_of(
        result.problems.begin(), result.problems.end(),
        [](const auto& problem) { return problem.first.find("nan") != std::string::npos; });
    EXPECT_EQ(attack == Attack::kNan, refused);
  }
}

TEST_F(SimulationTest, AnEvaluatorMeasuresWhatItIsAsked) {
  options_.job.evaluation.every = 2;
  const SimulationResult result = Run();
  ASSERT_TRUE(result.job.best_metric.has_value());
  EXPECT_GT(*result.job.best_metric, 0.5);
}

TEST_F(SimulationTest, ATargetThatIsNotReachedIsSaid) {
  options_.job.evaluation.every = 1;
  options_.job.stop.target = 0.999;
  const SimulationResult result = Run();
  EXPECT_EQ(result.job.state, JobState::kCompleted);
  EXPECT_THAT(result.limited_by, HasSubstr("the target accuracy of 0.999 was not reached"));
}

TEST_F(SimulationTest, VirtualTimeThatIsOverIsSaid) {
  options_.job.round.goal = 30;  // of 20 devices
  options_.job.round.max_attempts = 1000;
  options_.most_virtual_ms = 24 * 3'600'000;
  EXPECT_THAT(Run().limited_by, HasSubstr("virtual time"));
}

TEST_F(SimulationTest, AFleetThatTheJobCannotUseIsRefusedBeforeTheRun) {
  options_.job.dataset.min_examples = 1'000'000;
  EXPECT_THAT(std::string(TryRun().status().message()), HasSubstr("can ever work for job job"));
  options_.job.dataset.min_examples = 0;
  options_.job.eligibility.labels["region"] = "XX";
  EXPECT_THAT(std::string(TryRun().status().message()), HasSubstr("needs label region"));
}

TEST_F(SimulationTest, LargeModelsTravelInPieces) {
  ASSERT_TRUE(WriteSyntheticBundle(options_.bundle, 300'000).ok());
  options_.job.codec.up = options_.job.codec.down = "raw_f32";
  options_.job.rounds = 2;
  options_.replay = false;  // of updates that come whole
  const SimulationResult result = Run();
  EXPECT_EQ(result.job.state, JobState::kCompleted);
  EXPECT_GE(result.job.bytes_up, 10U * 1'200'000U);
  EXPECT_GE(result.job.bytes_down, 10U * 1'200'000U);
}

TEST_F(SimulationTest, ACoordinatorThatDiesComesBackAndLosesNothing) {
  options_.job.codec.down = "raw_f32";
  for (const Kill& kill : {Kill{.at_task = 100}, Kill{.before_write = 6}, Kill{.after_write = 9}}) {
    options_.faults.kills = {kill};
    const SimulationResult result = Run();
    EXPECT_EQ(result.coordinator_lives, 2U);
    EXPECT_EQ(result.job.state, JobState::kCompleted);
    EXPECT_EQ(result.replayed_commits, 4U);
  }
}

TEST_F(SimulationTest, MessagesMayBeLostDelayedAndRepeated) {
  for (uint64_t message = 3; message < 90; message += 7) {
    options_.faults.messages.push_back(
        {message, static_cast<FaultKind>(1 + message % 5), static_cast<int64_t>(message * 100)});
  }
  const SimulationResult result = Run();
  EXPECT_EQ(result.job.state, JobState::kCompleted);
}

// Devices that die within seconds of work, and drop out all the time: the evaluator does neither.
TEST_F(SimulationTest, AnEvaluatorIsOnMainsAlwaysThereAndItsWorkIsNotScaled) {
  options_.fleet = Phones();
  options_.fleet.dropouts_per_hour = 1000;
  options_.fleet.dropout_s = 1e6;
  options_.fleet.work_scale = 2e7;
  options_.job.rounds = 1;
  options_.job.evaluation.every = 1;
  options_.job.round.min_reports = 1;
  options_.job.round.max_attempts = 3;
  options_.fleet.classes.push_back(DefaultFleet().classes.back());
  options_.fleet.classes[1].gflops = 1e5;
  options_.fleet.classes[1].share = 4;
  options_.replay = false;
  const SimulationResult result = Run();
  ASSERT_EQ(result.job.state, JobState::kCompleted) << result.limited_by;
  ASSERT_EQ(result.points.back().round.key.evaluation, true);
  EXPECT_TRUE(result.points.back().committed) << result.points.back().round.reason;
  EXPECT_TRUE(result.points.back().round.evaluation->accuracy.has_value());
}

TEST_F(SimulationTest, ARunMayEndAtItsTarget) {
  options_.job.rounds = 30;
  options_.job.evaluation.every = 1;
  options_.replay = false;
  options_.target = {.value = 0.6, .window = 2};
  const SimulationResult whole = Run();
  EXPECT_TRUE(whole.target_reached);
  EXPECT_EQ(whole.job.rounds_done, 30U);
  options_.target->ends_run = true;
  const SimulationResult ended = Run();
  EXPECT_TRUE(ended.target_reached);
  EXPECT_EQ(ended.limited_by, "");
  EXPECT_LT(ended.job.rounds_done, 10U);
  ASSERT_LT(ended.points.size(), whole.points.size());
  for (size_t i = 0; i < ended.points.size(); ++i) {
    EXPECT_EQ(ended.points[i].round.model.sha256, whole.points[i].round.model.sha256) << i;
    EXPECT_EQ(ended.points[i].tally.spent_uj, whole.points[i].tally.spent_uj) << i;
  }
}

TEST_F(SimulationTest, AMissedTargetIsWhatLimitedTheRun) {
  options_.target = {.value = 0.9999, .window = 2, .ends_run = true};
  const SimulationResult result = Run();
  EXPECT_FALSE(result.target_reached);
  EXPECT_THAT(result.limited_by, HasSubstr("mean accuracy of 0.9999 over 2 evaluations was not"));
}

TEST_F(SimulationTest, ATargetThatCannotBeReachedIsRefused) {
  options_.target = {.value = 1.2, .window = 2};
  EXPECT_THAT(std::string(TryRun().status().message()), HasSubstr("1.2: at most 1"));
  options_.target = {.value = 0.5, .window = 5};
  EXPECT_THAT(std::string(TryRun().status().message()),
              HasSubstr("a mean over 5 evaluations: job job has 4"));
  options_.target = {.value = 0.5, .window = 2};
  options_.job.stop.target = 0.5;
  EXPECT_THAT(std::string(TryRun().status().message()), HasSubstr("leave stop.target out"));
}

}  // namespace
}  // namespace fedwatt
