#include "client/trainers/local_work/local_work.h"

#include <sys/resource.h>

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/cpu_time.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

int64_t Product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// Of this process, so far.
uint64_t PeakMemoryBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

RngKey KeyFor(const TrainRequest& request, const std::string& purpose) {
  return {request.key.job, request.key.round, request.seed_key, purpose, request.plan.seed};
}

RngKey EvaluationKey(const TrainRequest& request) {
  RngKey key = KeyFor(request, "local-evaluation");
  key.round = 0;
  return key;
}

std::vector<uint64_t> FixedSubset(uint64_t size, uint64_t limit, const RngKey& key) {
  std::vector<uint64_t> indices(size);
  std::iota(indices.begin(), indices.end(), uint64_t{0});
  if (limit == 0 || limit >= size) return indices;
  Rng rng(key);
  for (uint64_t i = 0; i < limit; ++i) {
    std::swap(indices[i], indices[i + rng.UniformInt(size - i)]);
  }
  indices.resize(limit);
  std::sort(indices.begin(), indices.end());
  return indices;
}

uint64_t PlannedSteps(const Plan& plan, uint64_t examples) {
  const uint64_t per_epoch = (examples + plan.batch_size - 1) / plan.batch_size;
  return plan.local_steps > 0 ? plan.local_steps : plan.local_epochs * per_epoch;
}

EpochOrder::EpochOrder(uint64_t size, uint64_t batch_size, const RngKey& key)
    : order_(size), batch_size_(batch_size), next_(size), rng_(key) {
  std::iota(order_.begin(), order_.end(), uint64_t{0});
}

std::pair<const uint64_t*, size_t> EpochOrder::NextBatch() {
  if (next_ == order_.size()) {
    rng_.Shuffle(order_);
    next_ = 0;
  }
  const size_t count = std::min<uint64_t>(batch_size_, order_.size() - next_);
  const uint64_t* first = order_.data() + next_;
  next_ += count;
  return {first, count};
}

absl::Status CheckInput(const BundleHeader& header, const Dataset& dataset) {
  if (dataset.size() == 0) {
    return absl::InvalidArgumentError("the dataset has no examples for this client");
  }
  const std::vector<int64_t> shape = dataset.input_shape();
  if (Product(shape) != Product(header.input_shape)) {
    return absl::InvalidArgumentError(
        absl::StrCat("examples have shape [", absl::StrJoin(shape, ", "), "], model ", header.name,
                     " takes [", absl::StrJoin(header.input_shape, ", "), "]"));
  }
  if (dataset.input_dtype() != header.input_dtype) {
    return absl::InvalidArgumentError(
        absl::StrCat("examples are ", DTypeName(dataset.input_dtype()), ", model ", header.name,
                     " takes ", DTypeName(header.input_dtype)));
  }
  return absl::OkStatus();
}

absl::Status LossNotFinite(double loss, uint64_t step, const Plan& plan) {
  return absl::InvalidArgumentError(absl::StrCat(
      "the loss is ", loss, " at step ", step + 1, " (lr ", plan.optimizer.lr, ", batch size ",
      plan.batch_size, "): lower plan.optimizer.lr or set plan.clip_grad_norm"));
}

int64_t TimeLimitMs(const TrainRequest& request) {
  const int64_t limit_ms = request.plan.time_limit_ms;
  return request.time_left_ms == 0 ? limit_ms : std::min(limit_ms, request.time_left_ms);
}

WorkMonitor::WorkMonitor(const Clock& clock, int64_t deadline_us, int64_t limit_ms,
                         CancelFn cancelled, ProgressFn progress)
    : clock_(clock),
      deadline_us_(deadline_us),
      limit_ms_(limit_ms),
      cancelled_(std::move(cancelled)),
      progress_(std::move(progress)) {}

WorkMonitor::WorkMonitor(const Clock& clock, int64_t deadline_us, int64_t limit_ms,
                         const std::atomic<bool>& cancel, ProgressFn progress)
    : WorkMonitor(
          clock, deadline_us, limit_ms,
          [&cancel] { return cancel.load(std::memory_order_relaxed); }, std::move(progress)) {}

absl::Status WorkMonitor::Check() const {
  if (cancelled_()) {
    return absl::CancelledError(
        absl::StrCat("training was cancelled after ", state_.steps_done, " steps"));
  }
  if (clock_.MonotonicUs() < deadline_us_) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("the time limit of ", limit_ms_, " ms ended after ", state_.steps_done, " of ",
                   state_.steps_total,
                   " steps: raise plan.time_limit_ms or the round's deadline, or plan fewer "
                   "local steps"));
}

void WorkMonitor::Alive() const {
  if (progress_) progress_(state_);
}

void WorkMonitor::ResumeAt(uint64_t steps) {
  state_.steps_done = state_.steps_saved = steps;
  Alive();
}

void WorkMonitor::Saved() {
  state_.steps_saved = state_.steps_done;
  Alive();
}

void WorkMonitor::StepDone(double loss) {
  ++state_.steps_done;
  state_.loss = loss;
  Alive();
}

PhaseTimer::PhaseTimer(const Clock& clock, std::string phase, UpdateMetrics* metrics)
    : clock_(clock), phase_(std::move(phase)), metrics_(metrics), start_us_(clock.MonotonicUs()) {}

PhaseTimer::~PhaseTimer() {
  metrics_->seconds_by_phase[phase_] +=
      static_cast<double>(clock_.MonotonicUs() - start_us_) * 1e-6;
}

absl::StatusOr<TrainResult> RunLocalWork(const Clock& clock, const TrainRequest& request,
                                         const std::atomic<bool>& cancel,
                                         const WorkMonitor::ProgressFn& progress,
                                         const LocalSteps& steps) {
  const int64_t cpu_start_us = SelfCpuTimeUs();
  const int64_t limit_ms = TimeLimitMs(request);
  WorkMonitor monitor(clock, clock.MonotonicUs() + limit_ms * 1000, limit_ms, cancel, progress);
  FW_RETURN_IF_ERROR(monitor.Check());
  TrainResult result;
  {
    PhaseTimer timer(clock, "load", &result.metrics);
    FW_RETURN_IF_ERROR(steps.load(monitor));
  }
  monitor.Alive();
  FW_RETURN_IF_ERROR(steps.work(monitor, &result));
  result.weight = request.plan.weight_by == WeightBy::kUniform ? 1 : result.metrics.examples;
  result.metrics.peak_memory_bytes = PeakMemoryBytes();
  result.cpu_time_us = SelfCpuTimeUs() - cpu_start_us;
  return result;
}

absl::Status CurrentDataset::Switch(const DatasetConfig& config) {
  const std::string key = config.ToString();
  if (dataset_ != nullptr && key == key_) return absl::OkStatus();
  dataset_.reset();
  FW_ASSIGN_OR_RETURN(dataset_, open_(config));
  key_ = key;
  return absl::OkStatus();
}

}  // namespace fedwatt
