#include "client/trainers/portable/portable_trainer.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/trainers/portable/graph_run.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/graph/training_graph.h"

namespace fedwatt {
namespace {

using portable::Network;

absl::StatusOr<TrainingGraph> GraphOf(const Bundle& bundle) {
  for (const Artifact& artifact : bundle.header().artifacts) {
    if (artifact.format == kGraphFormat) return ParseTrainingGraph(bundle.ArtifactData(artifact));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("bundle ", bundle.header().name,
                   " carries no training graph; `fedwatt-torch inspect` says why. Train it with "
                   "--trainer torch"));
}

// The bundle that was verified: the open one, or its file.
absl::StatusOr<std::shared_ptr<const Bundle>> BundleOf(const TrainRequest& request) {
  if (request.bundle != nullptr) return request.bundle;
  FW_ASSIGN_OR_RETURN(std::shared_ptr<const Bundle> bundle, Bundle::Open(request.bundle_path));
  if (request.bundle_header_sha256 == Digest{} ||
      request.bundle_header_sha256 == bundle->header_sha256()) {
    return bundle;
  }
  return absl::DataLossError(absl::StrCat("the bundle ", request.bundle_path,
                                          " is not the one whose signature was checked; it was "
                                          "replaced since and is not run"));
}

bool KeepsBuffers(const TrainRequest& request) {
  return request.plan.buffers == BufferMode::kLocal && !request.local_buffers_path.empty();
}

// All of one request.
class PortableRun {
 public:
  PortableRun(const TrainRequest& request, const PortableTrainerOptions& options,
              const Dataset& dataset, std::shared_ptr<const Bundle> bundle, WorkMonitor& monitor)
      : request_(request),
        options_(options),
        plan_(request.plan),
        dataset_(dataset),
        bundle_(std::move(bundle)),
        header_(bundle_->header()),
        monitor_(monitor) {}

  absl::Status Prepare() {
    FW_ASSIGN_OR_RETURN(graph_, GraphOf(*bundle_));
    FW_ASSIGN_OR_RETURN(network_, Network::Create(graph_, header_));
    FW_RETURN_IF_ERROR(CheckInput(header_, dataset_));
    FW_RETURN_IF_ERROR(MapBase());
    FW_RETURN_IF_ERROR(CheckMemory());
    FW_RETURN_IF_ERROR(network_->Load(base_));
    return LoadLocalBuffers();
  }

  absl::Status Evaluate(TrainResult* result) {
    const std::vector<uint64_t> examples =
        FixedSubset(dataset_.size(), plan_.max_examples, EvaluationKey(request_));
    result->metrics.examples = examples.size();
    return EvaluateInto(examples, &result->metrics.after, &result->metrics);
  }

  absl::Status Train(TrainResult* result);

 private:
  absl::Status MapBase();
  absl::Status CheckMemory() const;
  absl::Status LoadLocalBuffers();
  absl::Status KeepLocalBuffers(const UpdateLayout& all) const;
  absl::Status EvaluateInto(const std::vector<uint64_t>& examples, std::optional<LossSums>* sums,
                            UpdateMetrics* metrics);
  absl::Status WriteUpdate(const UpdateLayout& layout, uint64_t* bytes);
  void RestoreFrozenBuffers(const UpdateLayout& all);

  const TrainRequest& request_;
  const PortableTrainerOptions& options_;
  const Plan& plan_;
  const Dataset& dataset_;
  const std::shared_ptr<const Bundle> bundle_;
  const BundleHeader& header_;
  WorkMonitor& monitor_;
  TrainingGraph graph_;
  std::unique_ptr<Network> network_;
  MappedFile model_file_;
  ByteSpan base_;  // the base model's flat tensors
};

absl::Status PortableRun::MapBase() {
  base_ = bundle_->Tensors();
  if (!request_.model_path.empty()) {
    FW_ASSIGN_OR_RETURN(model_file_, MappedFile::Open(request_.model_path));
    base_ = model_file_.bytes();
  }
  if (base_.size() == header_.manifest.TotalBytes()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the tensors in ", request_.model_path.empty() ? request_.bundle_path : request_.model_path,
      " are ", base_.size(), " bytes; model ", header_.name, " has ",
      header_.manifest.TotalBytes()));
}

absl::Status PortableRun::CheckMemory() const {
  uint64_t limit = options_.memory_limit_bytes;
  if (plan_.memory_limit_bytes > 0) limit = std::min(limit, plan_.memory_limit_bytes);
  const uint64_t size = dataset_.size();
  uint64_t needed = network_->BytesFor(std::min(size, kEvaluationBatch), false);
  const bool training = request_.kind != AssignmentKind::kEvaluate;
  if (training) {
    const uint64_t batch = std::min<uint64_t>(size, plan_.batch_size);
    const uint64_t state = portable::Optimizer::StateFloats(plan_.optimizer) * sizeof(float);
    needed = std::max(
        needed, network_->BytesFor(batch, true) + header_.manifest.TrainableElements() * state);
  }
  if (needed <= limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      training ? "training " : "evaluating ", header_.name, " in batches of ",
      training ? plan_.batch_size : kEvaluationBatch, " takes ", HumanBytes(needed), " (", needed,
      " bytes); the trainer's memory limit is ", HumanBytes(limit),
      ". Use a smaller model or batch, or raise the limit (--memory-limit on the client, "
      "plan.memory_limit_bytes in the job)"));
}

absl::Status PortableRun::LoadLocalBuffers() {
  if (!KeepsBuffers(request_) || !FileExists(request_.local_buffers_path)) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const UpdateLayout all,
                      MakeUpdateLayout(header_.manifest, {}, BufferMode::kAverage));
  FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(request_.local_buffers_path));
  if (file.bytes().size() != all.buffer_bytes) return absl::OkStatus();  // of another model
  for (const UpdateLayout::Piece& piece : all.buffers) {
    network_->LoadTensor(piece.tensor, file.bytes().data() + piece.offset);
  }
  return absl::OkStatus();
}

absl::Status PortableRun::KeepLocalBuffers(const UpdateLayout& all) const {
  if (!KeepsBuffers(request_)) return absl::OkStatus();
  std::string kept;
  for (const UpdateLayout::Piece& piece : all.buffers) {
    kept += AsText(network_->TensorBytes(piece.tensor));
  }
  return WriteFileAtomic(request_.local_buffers_path, kept, 0600);
}

void PortableRun::RestoreFrozenBuffers(const UpdateLayout& all) {
  if (plan_.buffers != BufferMode::kFrozen) return;
  for (const UpdateLayout::Piece& piece : all.buffers) {
    network_->LoadTensor(piece.tensor, base_.data() + piece.model_offset);
  }
}

absl::Status PortableRun::EvaluateInto(const std::vector<uint64_t>& examples,
                                       std::optional<LossSums>* sums, UpdateMetrics* metrics) {
  PhaseTimer timer(*options_.clock, "evaluate", metrics);
  FW_ASSIGN_OR_RETURN(
      *sums, portable::EvaluateNetwork(*network_, header_.task, dataset_, examples, monitor_));
  return absl::OkStatus();
}

absl::Status PortableRun::Train(TrainResult* result) {
  FW_ASSIGN_OR_RETURN(const UpdateLayout layout,
                      MakeUpdateLayout(header_.manifest, plan_.frozen, plan_.buffers));
  FW_ASSIGN_OR_RETURN(const UpdateLayout all,
                      MakeUpdateLayout(header_.manifest, {}, BufferMode::kAverage));
  const std::vector<uint64_t> examples =
      FixedSubset(dataset_.size(), plan_.local_evaluation_examples, EvaluationKey(request_));
  UpdateMetrics& metrics = result->metrics;
  const bool both = plan_.local_evaluation == LocalEvaluation::kBoth;
  if (both || plan_.local_evaluation == LocalEvaluation::kBefore) {
    FW_RETURN_IF_ERROR(EvaluateInto(examples, &metrics.before, &metrics));
  }
  {
    PhaseTimer timer(*options_.clock, "train", &metrics);
    const portable::TrainingSetting setting{*network_, header_.manifest, dataset_, plan_, layout,
                                            base_,     *options_.clock,  monitor_};
    FW_RETURN_IF_ERROR(portable::TrainNetwork(setting, KeyFor(request_, "shuffle")));
    metrics.steps = PlannedSteps(plan_, dataset_.size());
    metrics.examples = std::min(dataset_.size(), metrics.steps * plan_.batch_size);
  }
  RestoreFrozenBuffers(all);
  FW_RETURN_IF_ERROR(KeepLocalBuffers(all));
  FW_RETURN_IF_ERROR(WriteUpdate(layout, &result->output_bytes));
  if (both || plan_.local_evaluation == LocalEvaluation::kAfter) {
    FW_RETURN_IF_ERROR(EvaluateInto(examples, &metrics.after, &metrics));
  }
  return absl::OkStatus();
}

absl::Status PortableRun::WriteUpdate(const UpdateLayout& layout, uint64_t* bytes) {
  constexpr size_t kBlock = 16 * 1024;
  FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(request_.output_path));
  std::vector<float> block(kBlock);
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    const float* now = network_->Values(piece.tensor);
    for (uint64_t at = 0; at < piece.elements; at += kBlock) {
      const uint64_t n = std::min<uint64_t>(kBlock, piece.elements - at);
      portable::DeltaFrom(base_.data() + piece.model_offset + at * sizeof(float), {now + at, n},
                          block.data());
      if (!std::all_of(block.begin(), block.begin() + static_cast<ptrdiff_t>(n),
                       [](float value) { return std::isfinite(value); })) {
        return absl::InvalidArgumentError(
            absl::StrCat("parameter ", header_.manifest.tensors()[piece.tensor].name,
                         " is not finite after training (lr ", plan_.optimizer.lr,
                         "): lower plan.optimizer.lr or set plan.clip_grad_norm"));
      }
      FW_RETURN_IF_ERROR(
          writer.Append({reinterpret_cast<const uint8_t*>(block.data()), n * sizeof(float)}));
    }
  }
  for (const UpdateLayout::Piece& piece : layout.buffers) {
    FW_RETURN_IF_ERROR(writer.Append(network_->TensorBytes(piece.tensor)));
  }
  *bytes = writer.size();
  return writer.Close();
}

class PortableTrainer final : public Trainer {
 public:
  explicit PortableTrainer(const PortableTrainerOptions& options) : options_(options) {}

  std::string name() const override { return "portable"; }
  std::vector<std::string> artifact_formats() const override { return {kGraphFormat}; }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override {
    try {
      return RunGuarded(request, cancel, progress);
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError(
          "training ran out of memory; use a smaller model or batch, or raise this process's "
          "limit");
    }
  }

 private:
  absl::StatusOr<TrainResult> RunGuarded(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) {
    const Clock& clock = *options_.clock;
    const int64_t cpu_start_us = SelfCpuTimeUs();
    const int64_t limit_ms = TimeLimitMs(request);
    WorkMonitor monitor(clock, clock.MonotonicUs() + limit_ms * 1000, limit_ms, cancel, progress);
    FW_RETURN_IF_ERROR(monitor.Check());
    FW_RETURN_IF_ERROR(ValidatePlan(request.plan));
    TrainResult result;
    std::optional<PortableRun> run;
    {
      PhaseTimer timer(clock, "load", &result.metrics);
      FW_ASSIGN_OR_RETURN(std::shared_ptr<const Bundle> bundle, BundleOf(request));
      FW_RETURN_IF_ERROR(OpenData(request.dataset));
      run.emplace(request, options_, *dataset_, std::move(bundle), monitor);
      FW_RETURN_IF_ERROR(run->Prepare());
    }
    monitor.Alive();
    if (request.kind == AssignmentKind::kEvaluate) {
      FW_RETURN_IF_ERROR(run->Evaluate(&result));
    } else {
      FW_RETURN_IF_ERROR(run->Train(&result));
    }
    result.weight = request.plan.weight_by == WeightBy::kUniform ? 1 : result.metrics.examples;
    result.metrics.peak_memory_bytes = PeakMemoryBytes();
    result.cpu_time_us = SelfCpuTimeUs() - cpu_start_us;
    return result;
  }

  absl::Status OpenData(const DatasetConfig& config) {
    const std::string key = config.ToString();
    if (dataset_ != nullptr && key == dataset_key_) return absl::OkStatus();
    dataset_.reset();
    FW_ASSIGN_OR_RETURN(dataset_, options_.open_dataset(config));
    dataset_key_ = key;
    return absl::OkStatus();
  }

  const PortableTrainerOptions options_;
  std::string dataset_key_;
  std::shared_ptr<const Dataset> dataset_;
};

}  // namespace

std::unique_ptr<Trainer> MakePortableTrainer(const PortableTrainerOptions& options) {
  return std::make_unique<PortableTrainer>(options);
}

}  // namespace fedwatt
