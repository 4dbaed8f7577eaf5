#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/bytes.h"
#include "common/model/bundle_header.h"

// A model as a list of layers, for trainers that cannot run code: nothing in it loops, branches or
// calls. It is an artifact of a bundle, hence signed; docs/portable.md describes it byte for byte.
//
//   parse:  ParseTrainingGraph (structure), then GraphShapes (does it fit the manifest?)
//   write:  SerializeTrainingGraph
//
// Value 0 is the batch of examples, value i + 1 the result of layer i. Dimensions and axes count
// as PyTorch's do, the batch is dimension 0; shapes here are of one example, without it.
namespace fedwatt {

inline constexpr char kGraphFormat[] = "fedwatt-graph";  // Artifact::format
inline constexpr uint32_t kGraphVersion = 1;
inline constexpr uint32_t kNoTensor = 0xffffffff;

// Limits of a graph, checked by ParseTrainingGraph and GraphShapes.
inline constexpr size_t kMaxGraphBytes = 1 << 20;
inline constexpr size_t kMaxGraphLayers = 4096;
inline constexpr int64_t kMaxGraphNumber = 1 << 24;               // of any size in `ints`
inline constexpr uint64_t kMaxValueElements = uint64_t{1} << 28;  // of one example
inline constexpr uint64_t kMaxMultiplyAdds = uint64_t{1} << 40;   // forward, of one example

// The numbers are the format's: never change one.
enum class LayerKind : uint8_t {
  kLinear = 1,             // weight [out, in], bias?; over the last dimension
  kConv2d = 2,             // weight [out, in / groups, kh, kw], bias?; zero padding
  kBatchNorm = 3,          // weight?, bias?, mean?, variance?, counter?
  kGroupNorm = 4,          // weight?, bias?
  kLayerNorm = 5,          // weight?, bias?; over the last dimensions
  kMaxPool2d = 6,          //
  kAvgPool2d = 7,          //
  kAdaptiveAvgPool2d = 8,  // to a given height and width; 1 x 1 is a global average
  kEmbedding = 9,          // weight [words, width]; takes value 0 of int64
  kReshape = 10,           // flatten, view, squeeze
  kTranspose = 11,         // swaps two dimensions
  kRelu = 12,
  kRelu6 = 13,
  kLeakyRelu = 14,
  kGelu = 15,      // with erf
  kGeluTanh = 16,  // its approximation
  kTanh = 17,
  kSigmoid = 18,
  kSilu = 19,
  kSoftmax = 20,
  kLogSoftmax = 21,
  kAdd = 22,    // a + alpha b, of one shape: residual connections
  kAffine = 23  // scale x + shift, both numbers of the graph
};

// Positions in Layer::ints and Layer::reals.
namespace graph_at {
// kConv2d
inline constexpr size_t kStrideH = 0, kStrideW = 1, kPadH = 2, kPadW = 3, kDilationH = 4,
                        kDilationW = 5, kGroups = 6;
// kBatchNorm: whether a batch is normalised by its own statistics, in training and in evaluation
inline constexpr size_t kBatchStatsTrain = 0, kBatchStatsEval = 1;
inline constexpr size_t kMomentum = 0, kBatchNormEps = 1;  // reals
// kMaxPool2d, kAvgPool2d
inline constexpr size_t kPoolH = 0, kPoolW = 1, kPoolStrideH = 2, kPoolStrideW = 3, kPoolPadH = 4,
                        kPoolPadW = 5, kPoolCeil = 6;
inline constexpr size_t kPoolDilationH = 7, kPoolDilationW = 8;  // kMaxPool2d
inline constexpr size_t kCountPadding = 7;                       // kAvgPool2d
}  // namespace graph_at

struct Layer {
  LayerKind kind = LayerKind::kRelu;
  std::string name;               // for people: "conv1", "layer3.0.bn1"
  std::vector<uint32_t> inputs;   // values
  std::vector<uint32_t> tensors;  // indices in the bundle's manifest, or kNoTensor
  std::vector<int64_t> ints;
  std::vector<double> reals;
  bool operator==(const Layer&) const = default;
};

enum class LossKind : uint8_t {
  kCrossEntropy = 1,  // of scores: log-softmax over dimension 1, then kNll
  kNll = 2,           // of log-probabilities
  kMse = 3,
  kL1 = 4,
  kBceWithLogits = 5
};

// How the losses of one example's elements become one.
enum class LossReduction : uint8_t {
  kMeanPerExample = 1,
  kSumPerExample = 2,
  kMeanOfBatch = 3  // one number for all; targets that are ignored do not count
};

struct LossSpec {
  LossKind kind = LossKind::kCrossEntropy;
  LossReduction reduction = LossReduction::kMeanPerExample;
  int64_t ignore_index = -100;  // kCrossEntropy, kNll: targets that count nothing
  bool operator==(const LossSpec&) const = default;
};

struct TrainingGraph {
  std::vector<Layer> layers;
  uint32_t output = 0;      // the value that predictions are made of
  uint32_t loss_input = 0;  // the value that the loss compares with the targets
  LossSpec loss;
  bool operator==(const TrainingGraph&) const = default;
};

const char* LayerKindName(LayerKind kind);  // "conv2d"

// What a kind carries; `ints` of kReshape vary from one to bounds::kMaxDims.
struct LayerFields {
  size_t inputs, tensors, ints, reals;
};
// INVALID_ARGUMENT: no such kind.
absl::StatusOr<LayerFields> FieldsOf(LayerKind kind);

// Structure alone: sizes, counts, known kinds, inputs that exist before they are used. Takes back
// exactly what SerializeTrainingGraph gives. INVALID_ARGUMENT names the layer and what is wrong;
// FAILED_PRECONDITION: written by a newer version.
absl::StatusOr<TrainingGraph> ParseTrainingGraph(ByteSpan bytes);
std::string SerializeTrainingGraph(const TrainingGraph& graph);

// Checks every layer against `header`'s input and manifest, and gives the shape of each value.
// A graph that passed runs on a batch of such examples without further checks of shapes, provided
// that its memory was counted. INVALID_ARGUMENT names the layer, the value and the limit.
absl::StatusOr<std::vector<std::vector<int64_t>>> GraphShapes(const TrainingGraph& graph,
                                                              const BundleHeader& header);

// Of a shape that passed.
uint64_t ElementsOf(const std::vector<int64_t>& shape);

}  // namespace fedwatt
