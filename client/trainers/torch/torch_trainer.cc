#include "client/trainers/torch/torch_trainer.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/cuda.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/trainers/local_work/local_work.h"
#include "client/trainers/torch/script_module.h"
#include "client/trainers/torch/training_loop.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle.h"

namespace fedwatt {
namespace {

using torch_internal::EvaluationResult;
using torch_internal::GuardTorch;
using torch_internal::TorchCheckpoint;
using torch_internal::Trainable;
using torch_internal::TrainingStats;
using torch_internal::Workload;

// Checked, and never run itself: every request runs a copy, since a graph may change any attribute
// of its module.
struct LoadedBundle {
  Digest header_sha256{};
  BundleHeader header;
  torch::jit::Module module;
};

// What belongs to one request.
struct RunState {
  std::shared_ptr<const Bundle> bundle;
  MappedFile model_file;
  std::vector<uint8_t> base_copy;
  ByteSpan base;  // the base model's flat tensors, aligned
  torch::jit::Module module;
  std::vector<at::Tensor> tensors;  // of `module`, in manifest order
};

class TorchTrainer final : public Trainer {
 public:
  explicit TorchTrainer(const TorchTrainerOptions& options)
      : options_(options), allowed_(options.allow_ops), dataset_(options.open_dataset) {
    torch_internal::ConfigureProcess();
  }

  std::string name() const override { return "torch"; }
  std::vector<std::string> artifact_formats() const override { return {"torchscript"}; }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override {
    absl::StatusOr<TrainResult> result =
        GuardTorch("training", [&]() { return RunGuarded(request, cancel, progress); });
    run_ = RunState();
    return result;
  }

 private:
  absl::StatusOr<TrainResult> RunGuarded(const TrainRequest& request,
                                         const std::atomic<bool>& cancel,
                                         const std::function<void(const TrainProgress&)>& progress);
  absl::Status Prepare(const TrainRequest& request);
  absl::Status LoadBundle(const TrainRequest& request);
  absl::Status MakeModule();
  absl::Status LoadTensors(const TrainRequest& request);
  absl::Status LoadLocalBuffers(const TrainRequest& request);
  absl::Status KeepLocalBuffers(const TrainRequest& request) const;
  absl::Status RefreshBuffers(BufferMode mode);
  absl::StatusOr<at::Device> PickDevice() const;
  void SeedGenerators(const TrainRequest& request) const;
  absl::Status RunTraining(const TrainRequest& request, const Workload& work, TrainResult* result);
  absl::Status RunEvaluation(const TrainRequest& request, const Workload& work,
                             TrainResult* result);
  absl::StatusOr<Trainable> SelectTrainable(const UpdateLayout& layout);
  absl::Status WriteUpdate(const TrainRequest& request, const UpdateLayout& layout,
                           uint64_t* bytes) const;
  absl::Status EvaluateInto(const Workload& work, const std::vector<uint64_t>& examples,
                            std::optional<LossSums>* sums, UpdateMetrics* metrics) const;

  const TorchTrainerOptions options_;
  const OperatorAllowList allowed_;
  std::unique_ptr<LoadedBundle> loaded_;
  CurrentDataset dataset_;
  RunState run_;
};

absl::StatusOr<at::Device> TorchTrainer::PickDevice() const {
  if (options_.device == "cpu") return at::Device(at::kCPU);
  if (options_.device != "auto" && options_.device != "cuda") {
    return absl::InvalidArgumentError(
        absl::StrCat("device is \"", options_.device, "\"; it must be auto, cpu or cuda"));
  }
  if (torch::cuda::is_available()) return at::Device(at::kCUDA);
  if (options_.device == "auto") return at::Device(at::kCPU);
  return absl::InvalidArgumentError(
      "device is \"cuda\", but this LibTorch finds no CUDA device; use auto or cpu");
}

absl::Status TorchTrainer::LoadBundle(const TrainRequest& request) {
  FW_ASSIGN_OR_RETURN(run_.bundle, Bundle::Open(request.bundle_path));
  if (request.bundle_header_sha256 != Digest{} &&
      request.bundle_header_sha256 != run_.bundle->header_sha256()) {
    return absl::DataLossError(absl::StrCat("the bundle ", request.bundle_path,
                                            " is not the one whose signature was checked: its "
                                            "header has SHA-256 ",
                                            DigestHex(run_.bundle->header_sha256()), ", expected ",
                                            DigestHex(request.bundle_header_sha256),
                                            "; it was replaced since and is not run"));
  }
  if (loaded_ != nullptr && loaded_->header_sha256 == run_.bundle->header_sha256()) {
    return absl::OkStatus();
  }
  loaded_.reset();
  auto loaded = std::make_unique<LoadedBundle>();
  loaded->header_sha256 = run_.bundle->header_sha256();
  loaded->header = run_.bundle->header();
  FW_ASSIGN_OR_RETURN(const ByteSpan archive, torch_internal::TorchScriptOf(*run_.bundle));
  FW_ASSIGN_OR_RETURN(loaded->module, torch_internal::LoadModule(archive, allowed_));
  FW_RETURN_IF_ERROR(torch_internal::CheckMethods(loaded->module, loaded->header));
  FW_RETURN_IF_ERROR(torch_internal::CheckAgainstManifest(
      torch_internal::NamedTensors(loaded->module), loaded->header.manifest));
  loaded_ = std::move(loaded);
  return absl::OkStatus();
}

absl::Status TorchTrainer::MakeModule() {
  FW_ASSIGN_OR_RETURN(const at::Device device, PickDevice());
  torch::NoGradGuard no_grad;
  run_.tensors.clear();
  run_.module = torch::jit::Module();  // frees the old copy before the new one is made
  run_.module = loaded_->module.deepcopy();
  run_.tensors = torch_internal::Materialise(run_.module, device);
  return absl::OkStatus();
}

absl::Status TorchTrainer::LoadTensors(const TrainRequest& request) {
  const Manifest& manifest = loaded_->header.manifest;
  if (request.model_path.empty()) {
    run_.base_copy.assign(run_.bundle->Tensors().begin(), run_.bundle->Tensors().end());
    run_.base = run_.base_copy;
  } else {
    FW_ASSIGN_OR_RETURN(run_.model_file, MappedFile::Open(request.model_path));
    run_.base = run_.model_file.bytes();
  }
  if (run_.base.size() != manifest.TotalBytes()) {
    const std::string& path = request.model_path.empty() ? request.bundle_path : request.model_path;
    return absl::InvalidArgumentError(
        absl::StrCat("the tensors in ", path, " are ", run_.base.size(), " bytes; model ",
                     loaded_->header.name, " has ", manifest.TotalBytes()));
  }
  torch_internal::CopyFromFlat(run_.base, manifest, run_.tensors);
  return LoadLocalBuffers(request);
}

bool KeepsBuffers(const TrainRequest& request) {
  return request.plan.buffers == BufferMode::kLocal && !request.local_buffers_path.empty();
}

absl::Status TorchTrainer::LoadLocalBuffers(const TrainRequest& request) {
  if (!KeepsBuffers(request) || !FileExists(request.local_buffers_path)) return absl::OkStatus();
  const Manifest& manifest = loaded_->header.manifest;
  FW_ASSIGN_OR_RETURN(const UpdateLayout all, MakeUpdateLayout(manifest, {}, BufferMode::kAverage));
  FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(request.local_buffers_path));
  if (file.bytes().size() != all.buffer_bytes) return absl::OkStatus();  // of another model
  std::vector<uint8_t> flat(manifest.TotalBytes());
  for (const UpdateLayout::Piece& piece : all.buffers) {
    const uint64_t bytes = manifest.tensors()[piece.tensor].Bytes();
    std::memcpy(flat.data() + piece.model_offset, file.bytes().data() + piece.offset, bytes);
    torch_internal::CopyFromFlat(flat, manifest, piece.tensor, run_.tensors[piece.tensor]);
  }
  return absl::OkStatus();
}

absl::Status TorchTrainer::KeepLocalBuffers(const TrainRequest& request) const {
  if (!KeepsBuffers(request)) return absl::OkStatus();
  const Manifest& manifest = loaded_->header.manifest;
  FW_ASSIGN_OR_RETURN(const UpdateLayout all, MakeUpdateLayout(manifest, {}, BufferMode::kAverage));
  std::string kept;
  for (const UpdateLayout::Piece& piece : all.buffers) {
    const at::Tensor host = run_.tensors[piece.tensor].detach().cpu().contiguous();
    kept.append(static_cast<const char*>(host.data_ptr()),
                manifest.tensors()[piece.tensor].Bytes());
  }
  return WriteFileAtomic(request.local_buffers_path, kept, 0600);
}

absl::Status TorchTrainer::Prepare(const TrainRequest& request) {
  FW_RETURN_IF_ERROR(ValidatePlan(request.plan));
  FW_RETURN_IF_ERROR(LoadBundle(request));
  FW_RETURN_IF_ERROR(MakeModule());
  FW_RETURN_IF_ERROR(LoadTensors(request));
  FW_RETURN_IF_ERROR(dataset_.Switch(request.dataset));
  return CheckInput(loaded_->header, dataset_.get());
}

void TorchTrainer::SeedGenerators(const TrainRequest& request) const {
  Rng rng(KeyFor(request, "train"));
  torch::manual_seed(rng.NextU64());
}

absl::StatusOr<TrainResult> TorchTrainer::RunGuarded(
    const TrainRequest& request, const std::atomic<bool>& cancel,
    const std::function<void(const TrainProgress&)>& progress) {
  torch::jit::GraphOptimizerEnabledGuard unoptimised(false);
  LocalSteps steps;
  steps.load = [&](WorkMonitor&) { return Prepare(request); };
  steps.work = [&](WorkMonitor& monitor, TrainResult* result) {
    SeedGenerators(request);
    const Workload work{run_.module, loaded_->header, dataset_.get(), run_.tensors.front().device(),
                        monitor};
    return request.kind == AssignmentKind::kEvaluate ? RunEvaluation(request, work, result)
                                                     : RunTraining(request, work, result);
  };
  return RunLocalWork(*options_.clock, request, cancel, progress, steps);
}

absl::Status TorchTrainer::EvaluateInto(const Workload& work, const std::vector<uint64_t>& examples,
                                        std::optional<LossSums>* sums,
                                        UpdateMetrics* metrics) const {
  PhaseTimer timer(*options_.clock, "evaluate", metrics);
  FW_ASSIGN_OR_RETURN(EvaluationResult result, torch_internal::Evaluate(work, examples));
  *sums = result.sums;
  metrics->named = std::move(result.named);
  return absl::OkStatus();
}

absl::Status TorchTrainer::RunEvaluation(const TrainRequest& request, const Workload& work,
                                         TrainResult* result) {
  const std::vector<uint64_t> examples =
      FixedSubset(work.dataset.size(), request.plan.max_examples, EvaluationKey(request));
  result->metrics.examples = examples.size();
  return EvaluateInto(work, examples, &result->metrics.after, &result->metrics);
}

absl::StatusOr<Trainable> TorchTrainer::SelectTrainable(const UpdateLayout& layout) {
  for (at::Tensor& tensor : run_.tensors) tensor.set_requires_grad(false);
  Trainable trainable;
  const Manifest& manifest = loaded_->header.manifest;
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    at::Tensor parameter = run_.tensors[piece.tensor];
    parameter.set_requires_grad(true);
    // The mapped file is only read: no copy on the CPU.
    const at::Tensor base =
        torch::from_blob(const_cast<uint8_t*>(run_.base.data()) + piece.model_offset,
                         manifest.tensors()[piece.tensor].shape, at::kFloat);
    trainable.parameters.push_back(parameter);
    trainable.base.push_back(base.to(parameter.device()));
  }
  return trainable;
}

// A graph may assign a new tensor to an attribute instead of changing the old one.
absl::Status TorchTrainer::RefreshBuffers(BufferMode mode) {
  const Manifest& manifest = loaded_->header.manifest;
  const auto now = torch_internal::NamedTensors(run_.module);
  FW_RETURN_IF_ERROR(torch_internal::CheckAgainstManifest(now, manifest));
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i].is_parameter && !now[i].tensor.is_same(run_.tensors[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("the model assigns a new tensor to parameter ", now[i].name,
                       " while it runs; use a buffer for what changes outside of training"));
    }
    run_.tensors[i] = now[i].tensor;
    if (!now[i].is_parameter && mode == BufferMode::kFrozen) {
      torch_internal::CopyFromFlat(run_.base, manifest, i, run_.tensors[i]);
    }
  }
  return absl::OkStatus();
}

absl::Status TorchTrainer::RunTraining(const TrainRequest& request, const Workload& work,
                                       TrainResult* result) {
  const Plan& plan = request.plan;
  FW_ASSIGN_OR_RETURN(const UpdateLayout layout,
                      MakeUpdateLayout(loaded_->header.manifest, plan.frozen, plan.buffers));
  const std::vector<uint64_t> examples =
      FixedSubset(work.dataset.size(), plan.local_evaluation_examples, EvaluationKey(request));
  UpdateMetrics& metrics = result->metrics;
  const bool both = plan.local_evaluation == LocalEvaluation::kBoth;
  // A GPU's random numbers are not in a checkpoint either.
  const bool saves = !request.checkpoint_path.empty() && work.device.is_cpu() &&
                     !torch_internal::SetsAttributes(run_.module);
  CheckpointFile file(request.checkpoint_path, request.checkpoint_identity);
  TorchCheckpoint checkpoint(saves ? &file : nullptr, loaded_->header.manifest,
                             work.dataset.size());
  if (checkpoint.Open()) {
    metrics.before = checkpoint.first().sums;
    metrics.named = checkpoint.first().named;
  } else if (both || plan.local_evaluation == LocalEvaluation::kBefore) {
    FW_RETURN_IF_ERROR(EvaluateInto(work, examples, &metrics.before, &metrics));
    checkpoint.set_first({metrics.before, metrics.named});
    // What an evaluation changed must not reach the update.
    FW_RETURN_IF_ERROR(MakeModule());
    FW_RETURN_IF_ERROR(LoadTensors(request));
    SeedGenerators(request);
  }
  FW_ASSIGN_OR_RETURN(const Trainable trainable, SelectTrainable(layout));
  {
    PhaseTimer timer(*options_.clock, "train", &metrics);
    FW_ASSIGN_OR_RETURN(
        const TrainingStats stats,
        torch_internal::Train(
            work, plan, trainable, KeyFor(request, "shuffle"), &checkpoint,
            CheckpointPace(*options_.clock, saves ? request.checkpoint_every_ms : 0)));
    metrics.examples = stats.examples;
    metrics.steps = stats.steps;
  }
  FW_RETURN_IF_ERROR(RefreshBuffers(plan.buffers));
  FW_RETURN_IF_ERROR(KeepLocalBuffers(request));
  FW_RETURN_IF_ERROR(WriteUpdate(request, layout, &result->output_bytes));
  if (both || plan.local_evaluation == LocalEvaluation::kAfter) {
    FW_RETURN_IF_ERROR(EvaluateInto(work, examples, &metrics.after, &metrics));
  }
  return absl::OkStatus();
}

absl::Status TorchTrainer::WriteUpdate(const TrainRequest& request, const UpdateLayout& layout,
                                       uint64_t* bytes) const {
  const Manifest& manifest = loaded_->header.manifest;
  FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(request.output_path));
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    const at::Tensor host = run_.tensors[piece.tensor].detach().cpu().contiguous();
    const at::Tensor base = torch::from_blob(
        const_cast<uint8_t*>(run_.base.data()) + piece.model_offset, host.sizes(), at::kFloat);
    const at::Tensor delta = host - base;
    if (!delta.isfinite().all().item<bool>()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "parameter ", manifest.tensors()[piece.tensor].name, " is not finite after training (lr ",
          request.plan.optimizer.lr, "): lower plan.optimizer.lr or set plan.clip_grad_norm"));
    }
    FW_RETURN_IF_ERROR(writer.Append(
        {reinterpret_cast<const uint8_t*>(delta.data_ptr()), piece.elements * sizeof(float)}));
  }
  for (const UpdateLayout::Piece& piece : layout.buffers) {
    const at::Tensor host = run_.tensors[piece.tensor].detach().cpu().contiguous();
    FW_RETURN_IF_ERROR(writer.Append(
        {static_cast<const uint8_t*>(host.data_ptr()), manifest.tensors()[piece.tensor].Bytes()}));
  }
  *bytes = writer.size();
  return writer.Close();
}

}  // namespace

std::unique_ptr<Trainer> MakeTorchTrainer(const TorchTrainerOptions& options) {
  return std::make_unique<TorchTrainer>(options);
}

}  // namespace fedwatt
