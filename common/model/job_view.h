#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/model/fleet.h"
#include "common/model/job_spec.h"

// What an operator sees of a job.
namespace fedwatt {

enum class JobState { kRunning = 1, kStopped, kCompleted, kFailed };
const char* JobStateName(JobState state);

// One (source, quality, scope): figures that differ in these are never added.
struct EnergyTotal {
  std::string source;
  EnergyQuality quality = EnergyQuality::kUnavailable;
  EnergyScope scope = EnergyScope::kProcess;
  int64_t useful_uj = 0;
  int64_t wasted_uj = 0;
  uint64_t samples = 0;
  uint64_t unavailable = 0;
};

struct MetricSummary {
  uint64_t examples = 0;
  std::optional<double> loss;           // mean per example
  std::optional<double> accuracy;       // 0..1
  std::map<std::string, double> named;  // mean weighted by examples
};

struct RoundSummary {
  RoundKey key;
  std::string phase;  // "selecting", ..., "committed", "abandoned"
  uint32_t assigned = 0;
  uint32_t reported = 0;
  uint32_t failed = 0;
  uint32_t late = 0;
  uint64_t bytes_down = 0;
  uint64_t bytes_up = 0;
  std::vector<EnergyTotal> energy;
  MetricSummary train_before;
  MetricSummary train_after;
  std::optional<MetricSummary> evaluation;
  ModelRef model;
  int64_t started_ms = 0;
  int64_t ended_ms = 0;
  std::map<std::string, double> seconds_by_phase;  // summed over clients
  std::string reason;
  std::map<std::string, uint32_t> codecs;  // of uploads: how many assignments had each
  int64_t booked_uj = 0;  // of the job's budget, from its beginning to this round's end
  int64_t booked_ug = 0;
};

// What the job's budget book says (server/ledger/budget_book.h).
struct BudgetView {
  int64_t booked_uj = 0;
  int64_t reserved_uj = 0;
  int64_t estimated_uj = 0;  // of the booked: by prior or silence, not by a claim
  int64_t booked_ug = 0;
  int64_t reserved_ug = 0;
  int64_t without_grams_uj = 0;  // of the booked: whose grams are unknown
  std::string carbon;            // kind of the grams; empty: there are none
  uint64_t raised = 0;           // reports that claimed less than their floor, booked at it
  uint64_t capped = 0;           // reports that claimed more than their ceiling, booked at it
};

struct JobView {
  std::string id;
  JobSpec spec;
  JobState state = JobState::kRunning;
  std::string reason;
  std::string stop_reason;  // "rounds", "target", "patience", "gain", "budget", "time", "operator",
                            // "failed"
  uint64_t rounds_done = 0;
  ModelRef last;
  ModelRef best;
  std::optional<double> best_metric;
  std::vector<RoundSummary> rounds;
  RoundSummary current;
  int64_t created_ms = 0;
  int64_t ended_ms = 0;
  std::vector<EnergyTotal> energy;
  uint64_t bytes_down = 0;
  uint64_t bytes_up = 0;
  BudgetView budget;
};

}  // namespace fedwatt
