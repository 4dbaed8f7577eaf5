#include "client/trainers/torch/model_io.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/version.h>

#include <cstring>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/trainers/torch/graph_derivation.h"
#include "client/trainers/torch/script_module.h"
#include "client/trainers/torch/torch_work.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/graph/training_graph.h"

namespace fedwatt {
namespace {

using torch_internal::GuardTorch;
using torch_internal::NamedTensors;

torch::jit::Module NewModule(const std::string& class_name,
                             const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
  torch::jit::Module module(c10::QualifiedName("__torch__.fedwatt." + class_name), unit);
  module.register_attribute("training", c10::BoolType::get(), true);
  return module;
}

torch::jit::Module CompileNet(const ScriptNet& net) {
  auto unit = std::make_shared<torch::jit::CompilationUnit>();
  torch::jit::Module root = NewModule(net.class_name, unit);
  for (const ScriptLayer& layer : net.layers) {
    torch::jit::Module module = NewModule(layer.class_name, unit);
    for (const ScriptParameter& parameter : layer.parameters) {
      module.register_parameter(parameter.name, torch::zeros(parameter.shape).requires_grad_(true),
                                false);
    }
    module.define(layer.source);
    root.register_module(layer.attribute, module);
  }
  root.define(net.source);
  return root;
}

// Twenty-four bits fit a float exactly: the same value on every machine.
void FillUniform(const at::Tensor& tensor, double bound, Rng rng) {
  float* data = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    const double unit = static_cast<double>(rng.NextU32() >> 8) * 0x1.0p-24;
    data[i] = static_cast<float>((2 * unit - 1) * bound);
  }
}

void DrawParameters(const ScriptNet& net, uint64_t seed, torch::jit::Module& root) {
  torch::NoGradGuard no_grad;
  for (const ScriptLayer& layer : net.layers) {
    torch::jit::Module module = root.attr(layer.attribute).toModule();
    for (const ScriptParameter& parameter : layer.parameters) {
      RngKey key;
      key.client = absl::StrCat(layer.attribute, ".", parameter.name);
      key.purpose = "initial-parameters";
      key.seed = seed;
      FillUniform(module.attr(parameter.name).toTensor(), parameter.bound, Rng(key));
    }
  }
}

std::string Save(const torch::jit::Module& module) {
  std::ostringstream out;
  module.save(out);
  return std::move(out).str();
}

// A model without a graph is trained by LibTorch alone: no error.
void AddGraph(const torch::jit::Module& module, BundleHeader* header, ModelParts* parts) {
  const auto graph = torch_internal::DeriveTrainingGraph(module, *header);
  if (!graph.ok()) {
    parts->why_no_graph = std::string(graph.status().message());
    parts->notes.push_back(
        absl::StrCat("no training graph, so clients need LibTorch: ", parts->why_no_graph));
    return;
  }
  parts->graph = SerializeTrainingGraph(*graph);
  if (torch_internal::HasMethod(module, "metrics", 2)) {
    parts->notes.push_back("clients without LibTorch report no values of the method metrics");
  }
  Artifact artifact;
  artifact.format = kGraphFormat;
  artifact.version = absl::StrCat(kGraphVersion);
  header->artifacts.push_back(artifact);
}

// Moves the tensors of `module` into `parts`; what stays is one element with stride zero each.
absl::Status Pack(torch::jit::Module& module, BundleHeader header, ModelParts* parts) {
  torch::NoGradGuard no_grad;
  const auto named = NamedTensors(module);
  FW_ASSIGN_OR_RETURN(header.manifest, torch_internal::ManifestOf(named));
  std::vector<at::Tensor> tensors;
  for (const auto& entry : named) tensors.push_back(entry.tensor.detach().clone());
  parts->tensors.resize(header.manifest.TotalBytes());
  torch_internal::CopyToFlat(tensors, header.manifest, parts->tensors.data());
  for (const auto& entry : named) {
    at::Tensor handle = entry.tensor;
    handle.set_data(torch::zeros({1}, handle.options().requires_grad(false))
                        .as_strided(handle.sizes(), std::vector<int64_t>(handle.dim(), 0)));
  }
  const std::string archive = Save(module);
  parts->torchscript.assign(archive.begin(), archive.end());
  Artifact artifact;
  artifact.format = kTorchScriptFormat;
  artifact.version = TorchVersion();
  header.artifacts = {artifact};
  AddGraph(module, &header, parts);
  parts->header = std::move(header);
  return absl::OkStatus();
}

at::Tensor ZeroTargets(const BundleHeader& header, const at::Tensor& output) {
  const int64_t n = output.size(0);
  if (header.task == ModelTask::kRegression) return torch::zeros_like(output);
  if (header.task == ModelTask::kClassification) return torch::zeros({n}, at::kLong);
  return torch::zeros({n, output.size(2)}, at::kLong);
}

std::string ShapeOf(const at::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "]");
}

absl::Status CheckOutput(const BundleHeader& header, const at::Tensor& output, int64_t n) {
  const int64_t dims = header.task == ModelTask::kSequence ? 3 : 2;
  const bool right_rank =
      header.task == ModelTask::kRegression ? output.dim() >= 1 : output.dim() == dims;
  if (right_rank && output.size(0) == n) return absl::OkStatus();
  const char* wanted = header.task == ModelTask::kSequence         ? "[n, classes, t]"
                       : header.task == ModelTask::kClassification ? "[n, classes]"
                                                                   : "[n, ...]";
  return absl::InvalidArgumentError(
      absl::StrCat("for ", n, " examples method forward returned shape ", ShapeOf(output), "; a ",
                   TaskName(header.task), " model returns ", wanted, ". Change forward or --task"));
}

absl::Status CheckTrialLoss(const at::Tensor& loss, int64_t n, std::vector<std::string>* notes) {
  if (!loss.is_floating_point() || loss.dim() > 1 || (loss.dim() == 1 && loss.size(0) != n)) {
    return absl::InvalidArgumentError(
        absl::StrCat("for ", n, " examples method loss returned shape ", ShapeOf(loss),
                     "; return one float per example (reduction=\"none\") or their mean"));
  }
  if (loss.dim() == 0) {
    notes->push_back(
        "loss returns a mean: sums of squared losses will be per batch, not per example. "
        "reduction=\"none\" makes them exact");
  }
  if (!loss.requires_grad()) {
    return absl::InvalidArgumentError(
        "the result of method loss has no gradient: it depends on no parameter (is there a "
        "detach or an argmax on the way?)");
  }
  return absl::OkStatus();
}

absl::Status CheckParametersAfter(const std::vector<torch_internal::NamedTensor>& before,
                                  const std::vector<torch_internal::NamedTensor>& after,
                                  std::vector<std::string>* notes) {
  for (size_t i = 0; i < before.size(); ++i) {
    if (!before[i].is_parameter) continue;
    if (!after[i].tensor.is_same(before[i].tensor)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the module assigns a new tensor to parameter ", before[i].name,
                       " while it runs; compute with a local variable instead"));
    }
    if (!before[i].tensor.grad().defined()) {
      notes->push_back(absl::StrCat("the loss does not depend on parameter ", before[i].name,
                                    ": it will never change"));
    }
  }
  return absl::OkStatus();
}

// With leaves of its own: a copy under autograd would not be one.
torch::jit::Module Copy(const torch::jit::Module& module) {
  torch::NoGradGuard no_grad;
  return module.deepcopy();
}

// One forward, loss and backward on zeros.
absl::Status TrialRun(torch::jit::Module& module, const BundleHeader& header,
                      std::vector<std::string>* notes) {
  constexpr int64_t kExamples = 2;
  torch::jit::GraphOptimizerEnabledGuard unoptimised(false);
  torch::jit::Module trial = Copy(module);
  const auto before = NamedTensors(trial);
  for (const auto& entry : before) entry.tensor.set_requires_grad(entry.is_parameter);
  trial.train(true);
  std::vector<int64_t> shape = {kExamples};
  shape.insert(shape.end(), header.input_shape.begin(), header.input_shape.end());
  const at::Tensor x = torch::zeros(shape, torch_internal::ToScalarType(header.input_dtype));
  const std::string what = absl::StrCat("a trial run on zeros of shape [",
                                        absl::StrJoin(shape, ", "), "] failed in method ");
  return GuardTorch(absl::StrCat(what, "forward"), [&]() -> absl::Status {
    const at::Tensor output = trial.get_method("forward")({x}).toTensor();
    FW_RETURN_IF_ERROR(CheckOutput(header, output, kExamples));
    return GuardTorch(absl::StrCat(what, "loss"), [&]() -> absl::Status {
      at::Tensor loss = trial.get_method("loss")({x, ZeroTargets(header, output)}).toTensor();
      FW_RETURN_IF_ERROR(CheckTrialLoss(loss, kExamples, notes));
      loss.mean().backward();
      return CheckParametersAfter(before, NamedTensors(trial), notes);
    });
  });
}

// The TorchScript artifact of a bundle.
absl::StatusOr<ByteSpan> TorchScriptOf(const Bundle& bundle) {
  for (const Artifact& artifact : bundle.header().artifacts) {
    if (artifact.format == kTorchScriptFormat) return bundle.ArtifactData(artifact);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "bundle ", bundle.header().name, " carries no artifact of format ", kTorchScriptFormat));
}

absl::StatusOr<torch::jit::Module> LoadWithTensors(const Bundle& bundle, bool with_tensors,
                                                   const std::vector<std::string>& allow_ops) {
  FW_ASSIGN_OR_RETURN(const ByteSpan archive, TorchScriptOf(bundle));
  FW_ASSIGN_OR_RETURN(torch::jit::Module module,
                      torch_internal::LoadModule(archive, OperatorAllowList(allow_ops)));
  const Manifest& manifest = bundle.header().manifest;
  FW_RETURN_IF_ERROR(torch_internal::CheckAgainstManifest(NamedTensors(module), manifest));
  const auto tensors = torch_internal::Materialise(module, at::Device(at::kCPU));
  if (!with_tensors) return module;
  if (bundle.Tensors().size() != manifest.TotalBytes()) {
    return absl::InvalidArgumentError(
        absl::StrCat("bundle ", bundle.header().name,
                     " carries no tensors; export its module with "
                     "--module-only, or a trained model with fedwatt export JOB"));
  }
  torch_internal::CopyFromFlat(bundle.Tensors(), manifest, tensors);
  return module;
}

}  // namespace

std::string TorchVersion() { return TORCH_VERSION; }

std::vector<std::span<const uint8_t>> ModelParts::artifacts() const {
  std::vector<std::span<const uint8_t>> blobs = {torchscript};
  if (!graph.empty()) blobs.push_back(AsBytes(graph));
  return blobs;
}

absl::StatusOr<std::string> WhyNoGraph(const Bundle& bundle,
                                       const std::vector<std::string>& allow_ops) {
  for (const Artifact& artifact : bundle.header().artifacts) {
    if (artifact.format == kGraphFormat) return std::string();
  }
  return GuardTorch("cannot look at the module", [&]() -> absl::StatusOr<std::string> {
    FW_ASSIGN_OR_RETURN(const ByteSpan archive, TorchScriptOf(bundle));
    const auto module = torch_internal::LoadModule(archive, OperatorAllowList(allow_ops));
    if (!module.ok()) return std::string(module.status().message());
    FW_RETURN_IF_ERROR(torch_internal::CheckMethods(*module, bundle.header()));
    FW_RETURN_IF_ERROR(
        torch_internal::CheckAgainstManifest(NamedTensors(*module), bundle.header().manifest));
    const auto graph = torch_internal::DeriveTrainingGraph(*module, bundle.header());
    return graph.ok() ? std::string() : std::string(graph.status().message());
  });
}

absl::StatusOr<ModelParts> BuildModel(const ScriptNet& net, uint64_t seed) {
  torch_internal::ConfigureProcess();
  return GuardTorch(absl::StrCat("cannot build ", net.name), [&]() -> absl::StatusOr<ModelParts> {
    torch::jit::Module module = CompileNet(net);
    DrawParameters(net, seed, module);
    BundleHeader header;
    header.name = net.name;
    header.description = net.description;
    header.task = net.task;
    header.input_shape = net.input_shape;
    header.input_dtype = net.input_dtype;
    ModelParts parts;
    FW_RETURN_IF_ERROR(Pack(module, std::move(header), &parts));
    return parts;
  });
}

absl::StatusOr<ModelParts> ImportModule(ByteSpan archive, const ImportOptions& options) {
  torch_internal::ConfigureProcess();
  return GuardTorch("cannot import the module", [&]() -> absl::StatusOr<ModelParts> {
    FW_ASSIGN_OR_RETURN(torch::jit::Module module,
                        torch_internal::LoadModule(archive, OperatorAllowList(options.allow_ops)));
    BundleHeader header;
    header.name = options.name;
    header.description = options.description;
    header.task = options.task;
    header.input_shape = options.input_shape;
    header.input_dtype = options.input_dtype;
    FW_RETURN_IF_ERROR(torch_internal::CheckMethods(module, header));
    ModelParts parts;
    FW_RETURN_IF_ERROR(torch_internal::ManifestOf(NamedTensors(module)).status());
    for (const auto& entry : NamedTensors(module)) {
      if (!entry.is_parameter || entry.tensor.requires_grad()) continue;
      parts.notes.push_back(absl::StrCat("parameter ", entry.name,
                                         " has requires_grad=False; it stays as it is only if the ",
                                         "plan says frozen = [\"", entry.name, "\"]"));
    }
    FW_RETURN_IF_ERROR(TrialRun(module, header, &parts.notes));
    FW_RETURN_IF_ERROR(Pack(module, std::move(header), &parts));
    return parts;
  });
}

absl::StatusOr<std::vector<OperatorCount>> ListOperators(
    const Bundle& bundle, const std::vector<std::string>& allow_ops) {
  FW_ASSIGN_OR_RETURN(const ByteSpan archive, TorchScriptOf(bundle));
  FW_ASSIGN_OR_RETURN(const auto uses, torch_internal::OperatorsIn(archive));
  const OperatorAllowList allowed(allow_ops);
  std::vector<OperatorCount> counts;
  for (const auto& [op, use] : uses) {
    counts.push_back({op, use.count, use.method, allowed.Contains(op)});
  }
  return counts;
}

absl::StatusOr<std::string> ExportModule(const Bundle& bundle, bool with_tensors,
                                         const std::vector<std::string>& allow_ops) {
  torch_internal::ConfigureProcess();
  return GuardTorch("cannot export the module", [&]() -> absl::StatusOr<std::string> {
    FW_ASSIGN_OR_RETURN(torch::jit::Module module,
                        LoadWithTensors(bundle, with_tensors, allow_ops));
    for (const auto& entry : NamedTensors(module)) {
      if (entry.is_parameter) entry.tensor.set_requires_grad(true);
    }
    return Save(module);
  });
}

}  // namespace fedwatt
