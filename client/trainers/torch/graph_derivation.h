#pragma once

// Internal: LibTorch types; see script_module.h.

#include "absl/status/statusor.h"
#include "client/trainers/torch/script_module.h"
#include "common/graph/training_graph.h"
#include "common/model/bundle_header.h"

namespace fedwatt::torch_internal {

// The training graph of a module, found by walking its methods forward and loss with shapes in the
// place of tensors: numbers, lists, branches and loops are followed, nothing is computed. The walk
// is made in training and in evaluation, and for two sizes of a batch; what all four agree on is
// the graph. It passed GraphShapes, and computes what the module does.
//
// UNIMPLEMENTED: the module has no such graph; the message names the layer and the operator. The
// module's operators must be on the allow-list. `header` has its manifest.
absl::StatusOr<TrainingGraph> DeriveTrainingGraph(const torch::jit::Module& module,
                                                  const BundleHeader& header);

}  // namespace fedwatt::torch_internal
