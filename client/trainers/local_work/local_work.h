#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "client/sdk/trainer.h"
#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/model/bundle_header.h"

// What all trainers do alike, whatever computes their gradients: the order of examples, the
// examples that evaluations see, limits and progress. Equal requests see equal batches.
namespace fedwatt {

// Large enough to keep a core busy, small enough that a check for cancellation comes soon.
inline constexpr uint64_t kEvaluationBatch = 128;

// The stream of random numbers for one purpose of a request.
RngKey KeyFor(const TrainRequest& request, const std::string& purpose);
// For FixedSubset: the same examples in every round, so that losses of rounds compare.
RngKey EvaluationKey(const TrainRequest& request);

// At most `limit` (0: all) of a dataset's examples, sorted: always the same ones for a key.
std::vector<uint64_t> FixedSubset(uint64_t size, uint64_t limit, const RngKey& key);

// Steps of a plan on so many examples.
uint64_t PlannedSteps(const Plan& plan, uint64_t examples);

// Indices in the order of training: one permutation after the other. Every example of an epoch is
// seen once, the last batch of an epoch may be smaller.
class EpochOrder {
 public:
  // `key`: KeyFor(request, "shuffle").
  EpochOrder(uint64_t size, uint64_t batch_size, const RngKey& key);

  // Valid until the next call.
  std::pair<const uint64_t*, size_t> NextBatch();

 private:
  std::vector<uint64_t> order_;
  uint64_t batch_size_;
  size_t next_;
  Rng rng_;
};

// OK when one example fits the bundle's input (equal dtype; equal shape, or as many elements).
absl::Status CheckInput(const BundleHeader& header, const Dataset& dataset);

// INVALID_ARGUMENT: training went astray at this step (from 0).
absl::Status LossNotFinite(double loss, uint64_t step, const Plan& plan);

// The smaller of the plan's time limit and what the request has left.
int64_t TimeLimitMs(const TrainRequest& request);

// Decides between two steps whether work goes on, and tells who waits how far it is.
class WorkMonitor {
 public:
  using ProgressFn = std::function<void(const TrainProgress&)>;

  using CancelFn = std::function<bool()>;

  // `deadline_us` on clock.MonotonicUs(); `limit_ms` is for the message. `cancelled` is asked
  // often.
  WorkMonitor(const Clock& clock, int64_t deadline_us, int64_t limit_ms, CancelFn cancelled,
              ProgressFn progress);
  // Clock and `cancel` outlive the monitor.
  WorkMonitor(const Clock& clock, int64_t deadline_us, int64_t limit_ms,
              const std::atomic<bool>& cancel, ProgressFn progress);

  void ExpectSteps(uint64_t total) { state_.steps_total = total; }
  // A checkpoint holds so many: they are not done again.
  void ResumeAt(uint64_t steps);
  // A checkpoint with all steps done so far was written.
  void Saved();

  // CANCELLED or DEADLINE_EXCEEDED.
  absl::Status Check() const;

  // A batch was evaluated (or something else ended that is no training step).
  void Alive() const;
  void StepDone(double loss);

  uint64_t steps_done() const { return state_.steps_done; }

 private:
  const Clock& clock_;
  const int64_t deadline_us_;
  const int64_t limit_ms_;
  const CancelFn cancelled_;
  const ProgressFn progress_;
  TrainProgress state_;
};

// Adds to a label of UpdateMetrics::seconds_by_phase when it goes out of scope.
class PhaseTimer {
 public:
  PhaseTimer(const Clock& clock, std::string phase, UpdateMetrics* metrics);
  ~PhaseTimer();
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  const Clock& clock_;
  const std::string phase_;
  UpdateMetrics* const metrics_;
  const int64_t start_us_;
};

// What a trainer does for one request, within what is alike for all: the time limit, the seconds of
// "load", and in the end weight, peak memory and processor time of this process.
struct LocalSteps {
  std::function<absl::Status(WorkMonitor&)> load;
  std::function<absl::Status(WorkMonitor&, TrainResult*)> work;
};
absl::StatusOr<TrainResult> RunLocalWork(const Clock& clock, const TrainRequest& request,
                                         const std::atomic<bool>& cancel,
                                         const WorkMonitor::ProgressFn& progress,
                                         const LocalSteps& steps);

// The dataset of the last request, kept open for the next one.
class CurrentDataset {
 public:
  explicit CurrentDataset(DatasetOpener open) : open_(std::move(open)) {}

  // Opens it unless it is the one that is open. After an error none is.
  absl::Status Switch(const DatasetConfig& config);

  // After Switch.
  const Dataset& get() const { return *dataset_; }

 private:
  const DatasetOpener open_;
  std::string key_;
  std::shared_ptr<const Dataset> dataset_;
};

}  // namespace fedwatt
