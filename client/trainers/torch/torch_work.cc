#include "client/trainers/torch/torch_work.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/cuda.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/trainers/torch/script_module.h"
#include "client/trainers/torch/training_loop.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/crypto/sha256.h"

namespace fedwatt {

using torch_internal::EvaluationResult;
using torch_internal::GuardTorch;
using torch_internal::TorchCheckpoint;
using torch_internal::Trainable;
using torch_internal::TrainingStats;
using torch_internal::Workload;

namespace {

// Checked, and never run itself: every request runs a copy, since a graph may change any attribute
// of its module.
struct LoadedModule {
  Digest archive_sha256{};
  torch::jit::Module module;
};

// What belongs to one request.
struct RunState {
  explicit RunState(TorchInputs inputs) : in(std::move(inputs)) {}

  const TorchInputs in;
  UpdateLayout layout;
  UpdateLayout buffers;
  torch::jit::Module module;
  std::vector<at::Tensor> tensors;  // of `module`, in manifest order
};

absl::Status EvaluateInto(const TorchInputs& in, const Workload& work,
                          const std::vector<uint64_t>& examples, std::optional<LossSums>* sums,
                          UpdateMetrics* metrics) {
  PhaseTimer timer(in.clock, "evaluate", metrics);
  FW_ASSIGN_OR_RETURN(EvaluationResult result, torch_internal::Evaluate(work, examples));
  *sums = result.sums;
  metrics->named = std::move(result.named);
  return absl::OkStatus();
}

}  // namespace

class TorchWork::Impl {
 public:
  Impl(std::string device, const std::vector<std::string>& allow_ops)
      : device_(std::move(device)), allowed_(allow_ops) {
    torch_internal::ConfigureProcess();
  }

  absl::Status Prepare(TorchInputs inputs);
  absl::Status Evaluate(UpdateMetrics* metrics);
  absl::Status Train(const std::function<absl::Status()>& write, UpdateMetrics* metrics);
  void Forget() { run_.reset(); }
  absl::Status Delta(const UpdateLayout::Piece& piece, std::span<float> out) const;

  const RunState& run() const { return *run_; }

 private:
  absl::StatusOr<at::Device> PickDevice() const;
  absl::Status LoadModule();
  absl::Status MakeModule();
  absl::Status RefreshBuffers();
  Trainable SelectTrainable();
  at::Tensor BaseOf(size_t tensor) const;
  void SeedGenerators() const;
  absl::Status TrainFrom(const Workload& work, const std::vector<uint64_t>& evaluated,
                         UpdateMetrics* metrics);
  Workload MakeWorkload() {
    return {run_->module, run_->in.header, run_->in.dataset, run_->tensors.front().device(),
            run_->in.monitor};
  }

  const std::string device_;
  const OperatorAllowList allowed_;
  std::optional<LoadedModule> loaded_;
  std::optional<RunState> run_;
};

absl::StatusOr<at::Device> TorchWork::Impl::PickDevice() const {
  if (device_ == "cpu") return at::Device(at::kCPU);
  if (device_ != "auto" && device_ != "cuda") {
    return absl::InvalidArgumentError(
        absl::StrCat("device is \"", device_, "\"; it must be auto, cpu or cuda"));
  }
  if (torch::cuda::is_available()) return at::Device(at::kCUDA);
  if (device_ == "auto") return at::Device(at::kCPU);
  return absl::InvalidArgumentError(
      "device is \"cuda\", but this LibTorch finds no CUDA device; use auto or cpu");
}

absl::Status TorchWork::Impl::LoadModule() {
  const TorchInputs& in = run_->in;
  if (in.archive.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "bundle ", in.header.name, " carries no artifact of format ", kTorchScriptFormat));
  }
  const Digest sha256 = Sha256Of(in.archive);
  if (!loaded_.has_value() || loaded_->archive_sha256 != sha256) {
    loaded_.reset();
    FW_ASSIGN_OR_RETURN(torch::jit::Module module,
                        torch_internal::LoadModule(in.archive, allowed_));
    loaded_ = LoadedModule{sha256, std::move(module)};
  }
  FW_RETURN_IF_ERROR(torch_internal::CheckMethods(loaded_->module, in.header));
  return torch_internal::CheckAgainstManifest(torch_internal::NamedTensors(loaded_->module),
                                              in.header.manifest);
}

absl::Status TorchWork::Impl::MakeModule() {
  FW_ASSIGN_OR_RETURN(const at::Device device, PickDevice());
  torch::NoGradGuard no_grad;
  run_->tensors.clear();
  run_->module = torch::jit::Module();  // frees the old copy before the new one is made
  run_->module = loaded_->module.deepcopy();
  run_->tensors = torch_internal::Materialise(run_->module, device);
  for (size_t i = 0; i < run_->tensors.size(); ++i) run_->tensors[i].copy_(BaseOf(i));
  return absl::OkStatus();
}

// The base is only read. Flat data of mixed dtypes is not aligned: then it is a copy.
at::Tensor TorchWork::Impl::BaseOf(size_t tensor) const {
  const TensorSpec& spec = run_->in.header.manifest.tensors()[tensor];
  auto* const data = const_cast<uint8_t*>(run_->in.base[tensor]);
  const at::ScalarType type = torch_internal::ToScalarType(spec.dtype);
  if (reinterpret_cast<uintptr_t>(data) % DTypeBytes(spec.dtype) == 0) {
    return torch::from_blob(data, spec.shape, type);
  }
  at::Tensor copy = torch::empty(spec.shape, type);
  std::memcpy(copy.data_ptr(), data, spec.Bytes());
  return copy;
}

absl::Status TorchWork::Impl::Prepare(TorchInputs inputs) {
  run_.emplace(std::move(inputs));
  const TorchInputs& in = run_->in;
  FW_RETURN_IF_ERROR(ValidatePlan(in.request.plan));
  FW_RETURN_IF_ERROR(LoadModule());
  FW_RETURN_IF_ERROR(MakeModule());
  return CheckInput(in.header, in.dataset);
}

void TorchWork::Impl::SeedGenerators() const {
  Rng rng(KeyFor(run_->in.request, "train"));
  torch::manual_seed(rng.NextU64());
}

absl::Status TorchWork::Impl::Evaluate(UpdateMetrics* metrics) {
  const TorchInputs& in = run_->in;
  SeedGenerators();
  const std::vector<uint64_t> examples =
      FixedSubset(in.dataset.size(), in.request.plan.max_examples, EvaluationKey(in.request));
  metrics->examples = examples.size();
  return EvaluateInto(in, MakeWorkload(), examples, &metrics->after, metrics);
}

Trainable TorchWork::Impl::SelectTrainable() {
  for (at::Tensor& tensor : run_->tensors) tensor.set_requires_grad(false);
  Trainable trainable;
  for (const UpdateLayout::Piece& piece : run_->layout.trainable) {
    at::Tensor parameter = run_->tensors[piece.tensor];
    parameter.set_requires_grad(true);
    trainable.parameters.push_back(parameter);
    trainable.base.push_back(BaseOf(piece.tensor).to(parameter.device()));
  }
  return trainable;
}

// A graph may assign a new tensor to an attribute instead of changing the old one.
absl::Status TorchWork::Impl::RefreshBuffers() {
  torch::NoGradGuard no_grad;
  const bool frozen = run_->in.request.plan.buffers == BufferMode::kFrozen;
  const auto now = torch_internal::NamedTensors(run_->module);
  FW_RETURN_IF_ERROR(torch_internal::CheckAgainstManifest(now, run_->in.header.manifest));
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i].is_parameter && !now[i].tensor.is_same(run_->tensors[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("the model assigns a new tensor to parameter ", now[i].name,
                       " while it runs; use a buffer for what changes outside of training"));
    }
    run_->tensors[i] = now[i].tensor;
    if (!now[i].is_parameter && frozen) run_->tensors[i].copy_(BaseOf(i));
  }
  return absl::OkStatus();
}

absl::Status TorchWork::Impl::TrainFrom(const Workload& work,
                                        const std::vector<uint64_t>& evaluated,
                                        UpdateMetrics* metrics) {
  const TorchInputs& in = run_->in;
  const LocalEvaluation when = in.request.plan.local_evaluation;
  // A GPU's random numbers are not in a checkpoint either.
  const bool saves = in.checkpoints != nullptr && work.device.is_cpu() &&
                     !torch_internal::SetsAttributes(run_->module);
  TorchCheckpoint checkpoint(saves ? in.checkpoints : nullptr, in.header.manifest,
                             in.dataset.size());
  if (checkpoint.Open()) {
    metrics->before = checkpoint.first().sums;
    metrics->named = checkpoint.first().named;
  } else if (when == LocalEvaluation::kBoth || when == LocalEvaluation::kBefore) {
    FW_RETURN_IF_ERROR(EvaluateInto(in, work, evaluated, &metrics->before, metrics));
    checkpoint.set_first({metrics->before, metrics->named});
    // What an evaluation changed must not reach the update.
    FW_RETURN_IF_ERROR(MakeModule());
    SeedGenerators();
  }
  const Trainable trainable = SelectTrainable();
  PhaseTimer timer(in.clock, "train", metrics);
  FW_ASSIGN_OR_RETURN(
      const TrainingStats stats,
      torch_internal::Train(work, in.request.plan, trainable, KeyFor(in.request, "shuffle"),
                            &checkpoint,
                            CheckpointPace(in.clock, saves ? in.request.checkpoint_every_ms : 0)));
  metrics->examples = stats.examples;
  metrics->steps = stats.steps;
  return absl::OkStatus();
}

absl::Status TorchWork::Impl::Train(const std::function<absl::Status()>& write,
                                    UpdateMetrics* metrics) {
  const TorchInputs& in = run_->in;
  const Plan& plan = in.request.plan;
  FW_ASSIGN_OR_RETURN(run_->layout,
                      MakeUpdateLayout(in.header.manifest, plan.frozen, plan.buffers));
  FW_ASSIGN_OR_RETURN(run_->buffers,
                      MakeUpdateLayout(in.header.manifest, {}, BufferMode::kAverage));
  const std::vector<uint64_t> examples =
      FixedSubset(in.dataset.size(), plan.local_evaluation_examples, EvaluationKey(in.request));
  SeedGenerators();
  const Workload work = MakeWorkload();
  FW_RETURN_IF_ERROR(TrainFrom(work, examples, metrics));
  FW_RETURN_IF_ERROR(RefreshBuffers());
  FW_RETURN_IF_ERROR(write());
  const bool after = plan.local_evaluation == LocalEvaluation::kBoth ||
                     plan.local_evaluation == LocalEvaluation::kAfter;
  return after ? EvaluateInto(in, work, examples, &metrics->after, metrics) : absl::OkStatus();
}

absl::Status TorchWork::Impl::Delta(const UpdateLayout::Piece& piece, std::span<float> out) const {
  torch::NoGradGuard no_grad;
  const TensorSpec& spec = run_->in.header.manifest.tensors()[piece.tensor];
  const at::Tensor host = run_->tensors[piece.tensor].detach().cpu().contiguous();
  at::Tensor delta = torch::from_blob(out.data(), spec.shape, at::kFloat);
  at::sub_out(delta, host, BaseOf(piece.tensor));
  if (std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); })) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "parameter ", spec.name, " is not finite after training (lr ",
      run_->in.request.plan.optimizer.lr, "): lower plan.optimizer.lr or set plan.clip_grad_norm"));
}

TorchWork::TorchWork(const std::string& device, const std::vector<std::string>& allow_ops)
    : impl_(std::make_unique<Impl>(device, allow_ops)) {}

TorchWork::~TorchWork() = default;

absl::Status TorchWork::Prepare(TorchInputs inputs) {
  return GuardTorch("training", [&] { return impl_->Prepare(std::move(inputs)); });
}

// A profiling executor would make results depend on what ran before.
absl::Status TorchWork::Evaluate(UpdateMetrics* metrics) {
  const torch::jit::GraphOptimizerEnabledGuard unoptimised(false);
  return GuardTorch("training", [&] { return impl_->Evaluate(metrics); });
}

absl::Status TorchWork::Train(const std::function<absl::Status()>& write, UpdateMetrics* metrics) {
  const torch::jit::GraphOptimizerEnabledGuard unoptimised(false);
  return GuardTorch("training", [&] { return impl_->Train(write, metrics); });
}

void TorchWork::Forget() { impl_->Forget(); }

const UpdateLayout& TorchWork::layout() const { return impl_->run().layout; }

const UpdateLayout& TorchWork::buffers() const { return impl_->run().buffers; }

void TorchWork::CopyTensor(size_t tensor, uint8_t* out) const {
  const at::Tensor host = impl_->run().tensors[tensor].detach().cpu().contiguous();
  std::memcpy(out, host.data_ptr(), impl_->run().in.header.manifest.tensors()[tensor].Bytes());
}

absl::Status TorchWork::Delta(const UpdateLayout::Piece& piece, std::span<float> out) const {
  return impl_->Delta(piece, out);
}

}  // namespace fedwatt
