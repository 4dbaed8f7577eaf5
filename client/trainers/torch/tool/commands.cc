#include "client/trainers/torch/tool/commands.h"

#include <cinttypes>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/datasets/dataset.h"
#include "client/trainers/torch/model_io.h"
#include "client/trainers/torch/torch_trainer.h"
#include "common/base/bounds.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/bundle/bundle.h"
#include "common/crypto/ed25519.h"
#include "common/graph/training_graph.h"

namespace fedwatt::tool {
namespace {

using nlohmann::json;

constexpr ModelTask kTasks[] = {ModelTask::kClassification, ModelTask::kSequence,
                                ModelTask::kRegression};
constexpr DType kDTypes[] = {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI64,
                             DType::kI32, DType::kI16, DType::kI8,  DType::kU8,   DType::kBool};

// "1,663,370"
std::string Grouped(uint64_t value) {
  const std::string digits = absl::StrCat(value);
  std::string grouped;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::Status UnknownWord(const std::string& option, const std::string& word,
                         const std::vector<std::string>& known) {
  return absl::InvalidArgumentError(
      absl::StrCat(option, " is \"", word, "\"", DidYouMean(word, known)));
}

absl::StatusOr<ModelTask> ParseTask(const std::string& word) {
  std::vector<std::string> known;
  for (const ModelTask task : kTasks) {
    known.push_back(TaskName(task));
    if (known.back() == word) return task;
  }
  return UnknownWord("--task", word, known);
}

absl::StatusOr<DType> ParseDType(const std::string& word) {
  std::vector<std::string> known;
  for (const DType dtype : kDTypes) {
    known.push_back(DTypeName(dtype));
    if (known.back() == word) return dtype;
  }
  return UnknownWord("--input-dtype", word, known);
}

void Print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void PrintJson(const json& value) { Print(value.dump() + "\n"); }

absl::Status WriteParts(const std::string& output, const std::string& key_path,
                        const ModelParts& parts, const CommonArgs& common) {
  std::optional<SigningKey> key;
  if (!key_path.empty()) {
    FW_ASSIGN_OR_RETURN(key, SigningKey::Load(key_path));
  }
  FW_RETURN_IF_ERROR(BundleWriter::Write(output, parts.header, parts.artifacts(), parts.tensors,
                                         key ? &*key : nullptr));
  FW_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(output));
  const uint64_t parameters = parts.header.manifest.TrainableElements();
  FW_ASSIGN_OR_RETURN(const uint64_t size, FileSize(output));
  const std::string signer = key ? key->public_key().KeyId() : "";
  if (common.json) {
    PrintJson({{"file", output},
               {"name", parts.header.name},
               {"parameters", parameters},
               {"bytes", size},
               {"header_sha256", DigestHex(bundle->header_sha256())},
               {"tensors_sha256", DigestHex(bundle->tensors_sha256())},
               {"signed_by", signer},
               {"training_graph", !parts.graph.empty()},
               {"why_no_graph", parts.why_no_graph},
               {"notes", parts.notes}});
    return absl::OkStatus();
  }
  Print(absl::StrCat(output, ": ", parts.header.name, ", ", Grouped(parameters), " parameters, ",
                     HumanBytes(size), ", ",
                     key ? absl::StrCat("signed by key ", signer)
                         : "not signed (clients refuse it; pass --key certs/owner.key)",
                     "\n"));
  for (const std::string& note : parts.notes) Print(absl::StrCat("note: ", note, "\n"));
  return absl::OkStatus();
}

json TensorsJson(const Manifest& manifest) {
  json tensors = json::array();
  for (const TensorSpec& spec : manifest.tensors()) {
    tensors.push_back({{"name", spec.name},
                       {"dtype", DTypeName(spec.dtype)},
                       {"shape", spec.shape},
                       {"role", spec.role == TensorRole::kTrainable ? "trainable" : "buffer"}});
  }
  return tensors;
}

// What inspect tells of the training graph.
struct GraphNote {
  std::vector<std::string> layers;  // "conv1: conv2d"
  std::string why_none;
};

absl::StatusOr<GraphNote> NoteGraph(const Bundle& bundle, const CommonArgs& common) {
  GraphNote note;
  for (const Artifact& artifact : bundle.header().artifacts) {
    if (artifact.format != kGraphFormat) continue;
    FW_ASSIGN_OR_RETURN(const TrainingGraph graph,
                        ParseTrainingGraph(bundle.ArtifactData(artifact)));
    FW_RETURN_IF_ERROR(GraphShapes(graph, bundle.header()).status());
    for (const Layer& layer : graph.layers) {
      note.layers.push_back(absl::StrCat(layer.name, ": ", LayerKindName(layer.kind)));
    }
    return note;
  }
  FW_ASSIGN_OR_RETURN(note.why_none, WhyNoGraph(bundle, common.allow_ops));
  if (note.why_none.empty()) {
    note.why_none = "an older fedwatt-torch made this bundle; make it again";
  }
  return note;
}

json InspectJson(const std::string& file, const Bundle& bundle,
                 const std::vector<OperatorCount>& operators, const GraphNote& graph) {
  const BundleHeader& header = bundle.header();
  json artifacts = json::array();
  for (const Artifact& artifact : header.artifacts) {
    artifacts.push_back({{"format", artifact.format},
                         {"version", artifact.version},
                         {"bytes", artifact.size},
                         {"sha256", DigestHex(artifact.sha256)}});
  }
  json ops = json::array();
  for (const OperatorCount& op : operators) {
    ops.push_back({{"op", op.op}, {"count", op.count}, {"allowed", op.allowed}});
  }
  return {{"file", file},
          {"name", header.name},
          {"description", header.description},
          {"task", TaskName(header.task)},
          {"input_shape", header.input_shape},
          {"input_dtype", DTypeName(header.input_dtype)},
          {"parameters", header.manifest.TrainableElements()},
          {"tensors", TensorsJson(header.manifest)},
          {"tensor_bytes", bundle.Tensors().size()},
          {"tensors_sha256", DigestHex(bundle.tensors_sha256())},
          {"header_sha256", DigestHex(bundle.header_sha256())},
          {"artifacts", artifacts},
          {"signed_by", bundle.signer_key_ids()},
          {"operators", ops},
          {"training_graph", graph.layers},
          {"why_no_graph", graph.why_none}};
}

std::string TensorTable(const Manifest& manifest) {
  std::string text = absl::StrFormat("  %-32s %-9s %-20s %-10s %12s\n", "tensor", "dtype", "shape",
                                     "role", "elements");
  for (const TensorSpec& spec : manifest.tensors()) {
    absl::StrAppendFormat(&text, "  %-32s %-9s %-20s %-10s %12s\n", spec.name,
                          DTypeName(spec.dtype), ShapeText(spec.shape),
                          spec.role == TensorRole::kTrainable ? "trainable" : "buffer",
                          Grouped(spec.Elements()));
  }
  return text;
}

std::string InspectText(const std::string& file, const Bundle& bundle,
                        const std::vector<OperatorCount>& operators, const GraphNote& graph) {
  const BundleHeader& header = bundle.header();
  std::string text = absl::StrCat(file, ": ", header.name, header.description.empty() ? "" : ", ",
                                  header.description, "\n", "  task        ", TaskName(header.task),
                                  "\n", "  input       ", DTypeName(header.input_dtype), " ",
                                  ShapeText(header.input_shape), " per example\n", "  parameters  ",
                                  Grouped(header.manifest.TrainableElements()), " trainable\n",
                                  "  tensors     ", HumanBytes(bundle.Tensors().size()),
                                  ", sha256 ", DigestHex(bundle.tensors_sha256()), "\n",
                                  "  header      sha256 ", DigestHex(bundle.header_sha256()), "\n");
  for (const Artifact& artifact : header.artifacts) {
    absl::StrAppend(&text, "  artifact    ", artifact.format, " ", artifact.version, ", ",
                    HumanBytes(artifact.size), ", sha256 ", DigestHex(artifact.sha256), "\n");
  }
  const std::vector<std::string> signers = bundle.signer_key_ids();
  absl::StrAppend(&text, "  signed by   ",
                  signers.empty() ? "nobody: clients refuse it" : absl::StrJoin(signers, ", "),
                  "\n", TensorTable(header.manifest), "  operators  ");
  std::string refused;
  for (const OperatorCount& op : operators) {
    absl::StrAppend(&text, " ", op.op, op.count > 1 ? absl::StrCat("(", op.count, ")") : "");
    if (!op.allowed) absl::StrAppend(&refused, " ", op.op, " in ", op.method);
  }
  absl::StrAppend(&text, "\n  graph       ",
                  graph.layers.empty()
                      ? absl::StrCat("none, clients need LibTorch: ", graph.why_none)
                      : absl::StrJoin(graph.layers, ", "),
                  "\n");
  if (!refused.empty()) absl::StrAppend(&text, "  NOT ALLOWED on clients:", refused, "\n");
  return text;
}

}  // namespace

absl::Status RunNew(const NewArgs& args, const CommonArgs& common) {
  FW_ASSIGN_OR_RETURN(ScriptNet net, ZooModel(args.model, args.zoo));
  if (!args.name.empty()) net.name = args.name;
  FW_ASSIGN_OR_RETURN(const ModelParts parts, BuildModel(net, args.seed));
  return WriteParts(args.output, args.key, parts, common);
}

absl::Status RunImport(const ImportArgs& args, const CommonArgs& common) {
  ImportOptions options;
  options.name = args.name;
  options.description = args.description;
  FW_ASSIGN_OR_RETURN(options.task, ParseTask(args.task));
  FW_ASSIGN_OR_RETURN(options.input_dtype, ParseDType(args.input_dtype));
  options.input_shape = args.input_shape;
  options.allow_ops = common.allow_ops;
  FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(args.file));
  const absl::StatusOr<ModelParts> parts = ImportModule(file.bytes(), options);
  if (!parts.ok()) {
    return absl::Status(parts.status().code(),
                        absl::StrCat(args.file, ": ", parts.status().message()));
  }
  return WriteParts(args.output, args.key, *parts, common);
}

absl::Status RunInspect(const std::string& file, const CommonArgs& common) {
  FW_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(file));
  FW_ASSIGN_OR_RETURN(const auto operators, ListOperators(*bundle, common.allow_ops));
  FW_ASSIGN_OR_RETURN(const GraphNote graph, NoteGraph(*bundle, common));
  if (common.json) {
    PrintJson(InspectJson(file, *bundle, operators, graph));
  } else {
    Print(InspectText(file, *bundle, operators, graph));
  }
  return absl::OkStatus();
}

absl::Status RunExport(const ExportArgs& args, const CommonArgs& common) {
  FW_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(args.file));
  FW_ASSIGN_OR_RETURN(const std::string archive,
                      ExportModule(*bundle, !args.module_only, common.allow_ops));
  FW_RETURN_IF_ERROR(WriteFileAtomic(args.output, archive));
  if (common.json) {
    PrintJson({{"file", args.output},
               {"bytes", archive.size()},
               {"tensors_sha256", DigestHex(bundle->tensors_sha256())}});
  } else {
    Print(absl::StrCat(args.output, ": ", HumanBytes(archive.size()),
                       "; open it in Python with torch.jit.load(\"", args.output, "\")\n"));
  }
  return absl::OkStatus();
}

absl::Status RunEvaluate(const EvaluateArgs& args, const CommonArgs& common) {
  SystemClock clock;
  TrainRequest request;
  request.assignment_id = "evaluate";
  request.key.job = "evaluate";
  request.kind = AssignmentKind::kEvaluate;
  request.bundle_path = args.file;
  FW_ASSIGN_OR_RETURN(request.dataset, DatasetConfig::Parse(args.dataset));
  request.plan.max_examples = args.max_examples;
  const std::unique_ptr<Trainer> trainer = MakeTorchTrainer({.open_dataset = OpenDataset,
                                                             .clock = &clock,
                                                             .device = args.device,
                                                             .allow_ops = common.allow_ops});
  const std::atomic<bool> cancel = false;
  FW_ASSIGN_OR_RETURN(const TrainResult result, trainer->Run(request, cancel, nullptr));
  const LossSums& sums = *result.metrics.after;
  const double examples = static_cast<double>(sums.examples);
  const double loss = sums.loss_sum / examples;
  const double seconds = result.metrics.seconds_by_phase.at("evaluate");
  json out = {{"file", args.file}, {"dataset", args.dataset}, {"examples", sums.examples},
              {"loss", loss},      {"seconds", seconds},      {"named", result.metrics.named}};
  std::string text =
      absl::StrFormat("%s: %s examples, loss %.6f", args.file, Grouped(sums.examples), loss);
  if (sums.predictions > 0) {
    const double accuracy =
        static_cast<double>(sums.correct) / static_cast<double>(sums.predictions);
    out["accuracy"] = accuracy;
    out["predictions"] = sums.predictions;
    absl::StrAppendFormat(&text, ", accuracy %.4f (%s of %s)", accuracy, Grouped(sums.correct),
                          Grouped(sums.predictions));
  }
  for (const auto& [name, value] : result.metrics.named) {
    absl::StrAppendFormat(&text, ", %s %.6f", name, value);
  }
  absl::StrAppendFormat(&text, "; %.2f s, %.0f examples/s\n", seconds, examples / seconds);
  if (common.json) {
    PrintJson(out);
  } else {
    Print(text);
  }
  return absl::OkStatus();
}

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kDataLoss:
      return 3;
    case absl::StatusCode::kNotFound:
      return 4;
    default:
      return 1;
  }
}

}  // namespace fedwatt::tool
