#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/simulation.h"

// Looks for what no simulation may show: many seeds, each with faults of its own, a small fleet and
// a short job, so that a thousand take minutes. Of the first seed that breaks something, the faults
// are left out one after the other as long as it still breaks: what remains is the shortest story.
namespace fedwatt {

struct SeedSearchOptions {
  SimulationOptions base;  // without seed and faults; its trace goes nowhere
  uint64_t first_seed = 1;
  uint64_t seeds = 1000;
};

struct SeedFinding {
  uint64_t seed = 0;
  FaultPlan faults;  // the fewest
  std::vector<std::string> violations;
  std::vector<std::string> trace;  // lines
};

struct SeedSearchResult {
  uint64_t seeds = 0;  // looked at
  uint64_t with_faults = 0;
  uint64_t coordinator_deaths = 0;
  uint64_t commits = 0;
  uint64_t replayed = 0;
  uint64_t jobs_completed = 0;
  std::optional<SeedFinding> finding;
};

// `make_bench`: for a seed. `progress`: seeds done; false ends the search. A run's error (a
// coordinator that does not come up again, a stall) is a violation.
absl::StatusOr<SeedSearchResult> SearchSeeds(
    const SeedSearchOptions& options,
    const std::function<std::unique_ptr<TrainingBench>(uint64_t seed)>& make_bench,
    const std::function<bool(uint64_t done)>& progress);

}  // namespace fedwatt
