#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/trainers/torch/model_zoo.h"
#include "common/base/bytes.h"
#include "common/bundle/bundle.h"

// Between TorchScript files and bundles; no LibTorch header needed. Bundles made here carry the
// module with placeholders for its tensors (an artifact of some kilobytes) and the tensors beside.
// Functions may be called from one thread at a time.
namespace fedwatt {

// All that BundleWriter::Write needs, and remarks for the person who made it.
struct ModelParts {
  BundleHeader header;  // artifacts: "torchscript", and kGraphFormat where there is a graph
  std::vector<uint8_t> torchscript;
  std::string graph;         // for trainers without LibTorch (docs/portable.md); may be empty
  std::string why_no_graph;  // then: the layer and the operator that have no counterpart
  std::vector<uint8_t> tensors;
  std::vector<std::string> notes;

  // In the header's order, for BundleWriter::Write.
  std::vector<std::span<const uint8_t>> artifacts() const;
};

// Compiles `net` and draws its parameters: equal seeds give equal bytes on every machine.
absl::StatusOr<ModelParts> BuildModel(const ScriptNet& net, uint64_t seed);

struct ImportOptions {
  std::string name;
  std::string description;
  ModelTask task = ModelTask::kClassification;
  std::vector<int64_t> input_shape;  // of one example
  DType input_dtype = DType::kF32;
  std::vector<std::string> allow_ops;
};

// A module that Python exported with torch.jit.script(model).save(...). Checks archive, operators,
// methods and dtypes, then runs forward, loss and backward on two examples of zeros. Errors say
// what to change in Python.
absl::StatusOr<ModelParts> ImportModule(ByteSpan archive, const ImportOptions& options);

struct OperatorCount {
  std::string op;
  uint64_t count = 0;
  std::string method;  // one that uses it
  bool allowed = true;
};

// Every operator that the bundle's module can reach, without running it.
absl::StatusOr<std::vector<OperatorCount>> ListOperators(const Bundle& bundle,
                                                         const std::vector<std::string>& allow_ops);

// Why the bundle carries no training graph, by looking at its module again; empty: it could be
// derived now (a newer program made it), or the bundle carries one.
absl::StatusOr<std::string> WhyNoGraph(const Bundle& bundle,
                                       const std::vector<std::string>& allow_ops);

// A TorchScript archive with the bundle's tensors inside (zeros without `with_tensors`), for
// torch.jit.load.
absl::StatusOr<std::string> ExportModule(const Bundle& bundle, bool with_tensors,
                                         const std::vector<std::string>& allow_ops);

// "1.13.1": the LibTorch in use.
std::string TorchVersion();

}  // namespace fedwatt
