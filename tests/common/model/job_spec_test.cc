#include "common/model/job_spec.h"

#include <functional>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::StartsWith;

JobSpec ValidSpec() {
  JobSpec spec;
  spec.name = "mnist";
  spec.dataset.name = "fashion-mnist";
  spec.round.goal = 8;
  return spec;
}

TEST(JobSpecTest, NameDatasetAndGoalSuffice) {
  const absl::Status status = ValidateJobSpec(ValidSpec());
  EXPECT_TRUE(status.ok()) << status;
}

TEST(JobSpecTest, AWarmStartVersionIsBestLastOrARound) {
  for (const char* version : {"best", "last", "0", "12"}) {
    JobSpec spec = ValidSpec();
    spec.model.warm_start_version = version;
    EXPECT_TRUE(ValidateJobSpec(spec).ok()) << version;
  }
}

struct BadSpec {
  const char* message_begin;
  std::function<void(JobSpec*)> spoil;
};

void ExpectRefused(const std::vector<BadSpec>& cases) {
  for (const BadSpec& bad : cases) {
    JobSpec spec = ValidSpec();
    bad.spoil(&spec);
    const absl::Status status = ValidateJobSpec(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.message_begin;
    EXPECT_THAT(std::string(status.message()), StartsWith(bad.message_begin));
  }
}

TEST(JobSpecTest, NamesThingsInPathsAndCertificates) {
  ExpectRefused({
      {"name = \"\": must be 1 to 64 letters", [](JobSpec* s) { s->name = ""; }},
      {"name = \"../x\": must be", [](JobSpec* s) { s->name = "../x"; }},
      {"name = \"", [](JobSpec* s) { s->name = std::string(65, 'a'); }},
      {"tenant = \"a/b\"", [](JobSpec* s) { s->tenant = "a/b"; }},
      {"population = \"\"", [](JobSpec* s) { s->population = ""; }},
      {"selector.name = \"\": must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a "
       "letter or digit; write e.g. name = \"uniform\"",
       [](JobSpec* s) { s->selector.name = ""; }},
      {"codec.up = \"a b\"", [](JobSpec* s) { s->codec.up = "a b"; }},
      {"codec.down = \"\"", [](JobSpec* s) { s->codec.down = ""; }},
      {"eligibility.trainer = \"a b\"", [](JobSpec* s) { s->eligibility.trainer = "a b"; }},
  });
}

TEST(JobSpecTest, BoundsTheRound) {
  ExpectRefused({
      {"round.goal = 0: must be at least 1; write e.g. goal = 8",
       [](JobSpec* s) { s->round.goal = 0; }},
      {"round.goal = 1048577: must be at most 1048576",
       [](JobSpec* s) { s->round.goal = 1048577; }},
      {"round.over_selection = 0.5: must be at least 1",
       [](JobSpec* s) { s->round.over_selection = 0.5; }},
      {"round.goal x round.over_selection = 2e+06",
       [](JobSpec* s) {
         s->round.goal = 1'000'000;
         s->round.over_selection = 2;
       }},
      {"round.min_reports = 9: must be at most round.goal = 8; write e.g. min_reports = 4",
       [](JobSpec* s) { s->round.min_reports = 9; }},
      {"round.selection_timeout_s = 0", [](JobSpec* s) { s->round.selection_timeout_s = 0; }},
      {"round.report_deadline_s = inf: must be a finite number",
       [](JobSpec* s) { s->round.report_deadline_s = std::numeric_limits<double>::infinity(); }},
      {"round.max_attempts = 0", [](JobSpec* s) { s->round.max_attempts = 0; }},
      {"round.backoff_initial_s = -1", [](JobSpec* s) { s->round.backoff_initial_s = -1; }},
      {"round.backoff_max_s = 1: must be at least 5",
       [](JobSpec* s) { s->round.backoff_max_s = 1; }},
      {"round.interval_s = -1", [](JobSpec* s) { s->round.interval_s = -1; }},
      {"rounds = 0", [](JobSpec* s) { s->rounds = 0; }},
      {"priority = 1000001", [](JobSpec* s) { s->priority = 1'000'001; }},
  });
}

TEST(JobSpecTest, BoundsMatchingAndPlugins) {
  ExpectRefused({
      {"dataset.name = \"\": must not be empty; write e.g. name = \"fashion-mnist\"",
       [](JobSpec* s) { s->dataset.name = ""; }},
      {"model.warm_start_version = \"newest\": must be \"best\", \"last\" or a round number",
       [](JobSpec* s) { s->model.warm_start_version = "newest"; }},
      {"model.bundle = \"", [](JobSpec* s) { s->model.bundle = std::string(4097, 'x'); }},
      {"number of entries in eligibility.labels = 65",
       [](JobSpec* s) {
         for (int i = 0; i < 65; ++i) s->eligibility.labels[std::to_string(i)] = "x";
       }},
      {"strategy.params.mu = nan: must be a finite number",
       [](JobSpec* s) { s->strategy.params["mu"] = std::numeric_limits<double>::quiet_NaN(); }},
      {"number of entries in aggregator.params = 65",
       [](JobSpec* s) {
         for (int i = 0; i < 65; ++i) s->aggregator.params["p" + std::to_string(i)] = 1;
       }},
      {"plan.batch_size = 0", [](JobSpec* s) { s->plan.batch_size = 0; }},
  });
}

TEST(JobSpecTest, BoundsEndingAndPrecision) {
  ExpectRefused({
      {"evaluation.where = \"client\": must be one of evaluator, clients; did you mean "
       "\"clients\"?",
       [](JobSpec* s) { s->evaluation.where = "client"; }},
      {"evaluation.clients = 0: must be at least 1",
       [](JobSpec* s) {
         s->evaluation.every = 1;
         s->evaluation.where = "clients";
       }},
      {"evaluation.timeout_s = -1", [](JobSpec* s) { s->evaluation.timeout_s = -1; }},
      {"stop.metric = \"\"", [](JobSpec* s) { s->stop.metric = ""; }},
      {"stop.mode = \"down\": must be one of max, min", [](JobSpec* s) { s->stop.mode = "down"; }},
      {"stop.patience needs evaluations", [](JobSpec* s) { s->stop.patience = 2; }},
      {"stop.target needs evaluations", [](JobSpec* s) { s->stop.target = 0.9; }},
      {"stop.min_delta = -1", [](JobSpec* s) { s->stop.min_delta = -1; }},
      {"stop.max_wall_s = -1", [](JobSpec* s) { s->stop.max_wall_s = -1; }},
      {"stop.min_gain_per_kj = -1", [](JobSpec* s) { s->stop.min_gain_per_kj = -1; }},
      {"stop.min_gain_per_kj needs evaluations", [](JobSpec* s) { s->stop.min_gain_per_kj = 0.1; }},
      {"stop.gain_evaluations = 0", [](JobSpec* s) { s->stop.gain_evaluations = 0; }},
      {"targets.metric needs evaluations", [](JobSpec* s) { s->targets.metric = 0.9; }},
      {"targets.joules = -1", [](JobSpec* s) { s->targets.joules = -1; }},
      {"targets.gco2e = 2e+12", [](JobSpec* s) { s->targets.gco2e = 2e12; }},
      {"budget.joules = -5", [](JobSpec* s) { s->budget.joules = -5; }},
      {"budget.joules_per_day = nan",
       [](JobSpec* s) { s->budget.joules_per_day = std::numeric_limits<double>::quiet_NaN(); }},
      {"budget.gco2e_per_client = 1e+300", [](JobSpec* s) { s->budget.gco2e_per_client = 1e300; }},
      {"budget.money = 5 needs the price", [](JobSpec* s) { s->budget.money = 5; }},
      {"carbon.pause_above = -1", [](JobSpec* s) { s->carbon.pause_above = -1; }},
      {"carbon.pause_above = 300 and carbon.pause_max_s = 0: a pause needs both",
       [](JobSpec* s) { s->carbon.pause_above = 300; }},
      {"carbon.pause_above = 0 and carbon.pause_max_s = 300: a pause needs both",
       [](JobSpec* s) { s->carbon.pause_max_s = 300; }},
      {"carbon.region", [](JobSpec* s) { s->carbon.region = "D\nE"; }},
      {"retention.keep_last = 0", [](JobSpec* s) { s->retention.keep_last = 0; }},
      {"bounds.max_abs_delta = 0", [](JobSpec* s) { s->bounds.max_abs_delta = 0; }},
      {"bounds.max_weight = 0", [](JobSpec* s) { s->bounds.max_weight = 0; }},
      {"bounds.max_weight = 1000000000000000000: must be at most 1073741824",
       [](JobSpec* s) { s->bounds.max_weight = 1'000'000'000'000'000'000; }},
      {"bounds.max_update_norm = -1", [](JobSpec* s) { s->bounds.max_update_norm = -1; }},
      {"telemetry_level = 4", [](JobSpec* s) { s->telemetry_level = 4; }},
  });
}

}  // namespace
}  // namespace fedwatt
