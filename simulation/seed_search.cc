#include "simulation/seed_search.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

// Messages of a small run: faults beyond its last one do nothing.
constexpr uint64_t kMessages = 250;

struct SeedRun {
  std::vector<std::string> violations;
  std::optional<SimulationResult> result;
};

class Search {
 public:
  Search(const SeedSearchOptions& options,
         const std::function<std::unique_ptr<TrainingBench>(uint64_t seed)>& make_bench)
      : options_(options), make_bench_(make_bench) {}

  absl::StatusOr<SeedRun> Try(uint64_t seed, const FaultPlan& faults,
                              std::vector<std::string>* trace) {
    SimulationOptions run = options_.base;
    run.seed = seed;
    run.faults = faults;
    run.check = run.replay = true;
    run.scratch_dir = absl::StrCat(options_.base.scratch_dir, "/", ++runs_);
    if (trace != nullptr) {
      run.on_trace = [trace, start_ms = int64_t{0}](const TraceRecord& record) mutable {
        if (start_ms == 0) start_ms = record.at_ms;
        trace->push_back(record.ToString(start_ms));
      };
    }
    FW_ASSIGN_OR_RETURN(const auto simulation,
                        Simulation::Create(std::move(run), make_bench_(seed)));
    absl::StatusOr<SimulationResult> result = simulation->Run(nullptr);
    SeedRun outcome;
    if (!result.ok()) {
      outcome.violations.push_back(
          absl::StrCat("the run broke off: ", StatusText(result.status())));
      return outcome;
    }
    outcome.violations = result->violations;
    outcome.result = *std::move(result);
    return outcome;
  }

  // Leaves out every fault that is not needed, the last first.
  absl::StatusOr<SeedFinding> Shrink(uint64_t seed, FaultPlan plan) {
    for (bool shorter = true; shorter;) {
      shorter = false;
      for (size_t i = plan.messages.size(); i-- > 0;) {
        FaultPlan fewer = plan;
        fewer.messages.erase(fewer.messages.begin() + static_cast<ptrdiff_t>(i));
        FW_ASSIGN_OR_RETURN(shorter, Keep(seed, fewer, &plan, shorter));
      }
      for (size_t i = plan.kills.size(); i-- > 0;) {
        FaultPlan fewer = plan;
        fewer.kills.erase(fewer.kills.begin() + static_cast<ptrdiff_t>(i));
        FW_ASSIGN_OR_RETURN(shorter, Keep(seed, fewer, &plan, shorter));
      }
      if (plan.sync_delay_ms > 0) {
        FaultPlan fewer = plan;
        fewer.sync_delay_ms = 0;
        FW_ASSIGN_OR_RETURN(shorter, Keep(seed, fewer, &plan, shorter));
      }
    }
    SeedFinding finding{.seed = seed, .faults = plan};
    FW_ASSIGN_OR_RETURN(const SeedRun last, Try(seed, plan, &finding.trace));
    finding.violations = last.violations;
    return finding;
  }

 private:
  // Takes `fewer` for the plan if it still breaks something.
  absl::StatusOr<bool> Keep(uint64_t seed, const FaultPlan& fewer, FaultPlan* plan, bool already) {
    FW_ASSIGN_OR_RETURN(const SeedRun outcome, Try(seed, fewer, nullptr));
    if (outcome.violations.empty()) return already;
    *plan = fewer;
    return true;
  }

  const SeedSearchOptions& options_;
  const std::function<std::unique_ptr<TrainingBench>(uint64_t seed)>& make_bench_;
  uint64_t runs_ = 0;
};

}  // namespace

absl::StatusOr<SeedSearchResult> SearchSeeds(
    const SeedSearchOptions& options,
    const std::function<std::unique_ptr<TrainingBench>(uint64_t seed)>& make_bench,
    const std::function<bool(uint64_t done)>& progress) {
  Search search(options, make_bench);
  SeedSearchResult result;
  for (uint64_t i = 0; i < options.seeds; ++i) {
    const uint64_t seed = options.first_seed + i;
    const FaultPlan faults = RandomFaults(seed, kMessages);
    FW_ASSIGN_OR_RETURN(const SeedRun outcome, search.Try(seed, faults, nullptr));
    ++result.seeds;
    if (!faults.empty()) ++result.with_faults;
    if (outcome.result.has_value()) {
      result.coordinator_deaths += outcome.result->coordinator_lives - 1;
      result.commits += outcome.result->job.rounds_done;
      result.replayed += outcome.result->replayed_commits;
      if (outcome.result->job.state == JobState::kCompleted) ++result.jobs_completed;
    }
    if (!outcome.violations.empty()) {
      FW_ASSIGN_OR_RETURN(result.finding, search.Shrink(seed, faults));
      return result;
    }
    if (progress && !progress(i + 1)) return absl::CancelledError("interrupted");
  }
  return result;
}

}  // namespace fedwatt
