#include "common/graph/training_graph.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr char kMagic[] = "FWTGRAPH";
constexpr size_t kMagicBytes = 8;

struct KindRow {
  const char* name;
  LayerFields fields;
};

// By LayerKind, from 1.
constexpr KindRow kKinds[] = {
    {"linear", {1, 2, 0, 0}},      {"conv2d", {1, 2, 7, 0}},
    {"batch_norm", {1, 5, 2, 2}},  {"group_norm", {1, 2, 1, 1}},
    {"layer_norm", {1, 2, 1, 1}},  {"max_pool2d", {1, 0, 9, 0}},
    {"avg_pool2d", {1, 0, 8, 0}},  {"adaptive_avg_pool2d", {1, 0, 2, 0}},
    {"embedding", {1, 1, 1, 0}},   {"reshape", {1, 0, bounds::kMaxDims, 0}},
    {"transpose", {1, 0, 2, 0}},   {"relu", {1, 0, 0, 0}},
    {"relu6", {1, 0, 0, 0}},       {"leaky_relu", {1, 0, 0, 1}},
    {"gelu", {1, 0, 0, 0}},        {"gelu_tanh", {1, 0, 0, 0}},
    {"tanh", {1, 0, 0, 0}},        {"sigmoid", {1, 0, 0, 0}},
    {"silu", {1, 0, 0, 0}},        {"softmax", {1, 0, 1, 0}},
    {"log_softmax", {1, 0, 1, 0}}, {"add", {2, 0, 0, 1}},
    {"affine", {1, 0, 0, 2}},
};

template <typename T>
void Put(T value, std::string* out) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xff));
  }
}

class Reader {
 public:
  explicit Reader(ByteSpan bytes) : bytes_(bytes) {}

  size_t left() const { return bytes_.size() - at_; }

  // Callers have checked left().
  uint64_t Take(size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t{bytes_[at_ + i]} << (8 * i);
    at_ += size;
    return value;
  }
  std::string TakeText(size_t size) {
    std::string text(AsText(bytes_.subspan(at_, size)));
    at_ += size;
    return text;
  }

 private:
  ByteSpan bytes_;
  size_t at_ = 0;
};

absl::Status Bad(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("training graph: ", what));
}

absl::Status CheckCounts(const std::string& where, LayerKind kind, const LayerFields& found) {
  FW_ASSIGN_OR_RETURN(const LayerFields wanted, FieldsOf(kind));
  const bool ints = kind == LayerKind::kReshape ? found.ints >= 1 && found.ints <= wanted.ints
                                                : found.ints == wanted.ints;
  if (found.inputs == wanted.inputs && found.tensors == wanted.tensors && ints &&
      found.reals == wanted.reals) {
    return absl::OkStatus();
  }
  return Bad(absl::StrCat(where, " (", LayerKindName(kind), ") has ", found.inputs, " inputs, ",
                          found.tensors, " tensors, ", found.ints, " integers and ", found.reals,
                          " reals; expected ", wanted.inputs, ", ", wanted.tensors, ", ",
                          wanted.ints, " and ", wanted.reals));
}

absl::StatusOr<Layer> TakeLayer(size_t index, Reader* reader) {
  constexpr size_t kLayerHead = 6;
  const std::string where = absl::StrCat("layer ", index);
  if (reader->left() < kLayerHead) return Bad(absl::StrCat("ends within ", where));
  Layer layer;
  layer.kind = static_cast<LayerKind>(reader->Take(1));
  LayerFields counts{};
  counts.inputs = reader->Take(1);
  counts.tensors = reader->Take(1);
  counts.ints = reader->Take(1);
  counts.reals = reader->Take(1);
  const size_t name = reader->Take(1);
  FW_RETURN_IF_ERROR(CheckCounts(where, layer.kind, counts));
  if (reader->left() <
      name + 4 * (counts.inputs + counts.tensors) + 8 * (counts.ints + counts.reals)) {
    return Bad(absl::StrCat("ends within ", where));
  }
  layer.name = reader->TakeText(name);
  for (size_t i = 0; i < counts.inputs; ++i) {
    layer.inputs.push_back(static_cast<uint32_t>(reader->Take(4)));
    if (layer.inputs.back() > index) {
      return Bad(absl::StrCat(where, " takes value ", layer.inputs.back(), ", which comes later"));
    }
  }
  for (size_t i = 0; i < counts.tensors; ++i) {
    layer.tensors.push_back(static_cast<uint32_t>(reader->Take(4)));
  }
  for (size_t i = 0; i < counts.ints; ++i) {
    layer.ints.push_back(static_cast<int64_t>(reader->Take(8)));
  }
  for (size_t i = 0; i < counts.reals; ++i) {
    layer.reals.push_back(std::bit_cast<double>(reader->Take(8)));
    if (!std::isfinite(layer.reals.back()))
      return Bad(absl::StrCat(where, " has a real that is not finite"));
  }
  return layer;
}

absl::StatusOr<LossSpec> TakeLoss(Reader* reader) {
  LossSpec loss;
  const uint64_t kind = reader->Take(1);
  const uint64_t reduction = reader->Take(1);
  const uint64_t reserved = reader->Take(2);
  loss.ignore_index = static_cast<int64_t>(reader->Take(8));
  if (kind < 1 || kind > static_cast<uint64_t>(LossKind::kBceWithLogits)) {
    return Bad(absl::StrCat("loss ", kind, " is unknown"));
  }
  if (reduction < 1 || reduction > static_cast<uint64_t>(LossReduction::kMeanOfBatch)) {
    return Bad(absl::StrCat("loss reduction ", reduction, " is unknown"));
  }
  if (reserved != 0) return Bad("reserved bytes of the loss are not zero");
  loss.kind = static_cast<LossKind>(kind);
  loss.reduction = static_cast<LossReduction>(reduction);
  return loss;
}

}  // namespace

const char* LayerKindName(LayerKind kind) {
  const auto number = static_cast<size_t>(kind);
  return number >= 1 && number <= std::size(kKinds) ? kKinds[number - 1].name : "unknown";
}

absl::StatusOr<LayerFields> FieldsOf(LayerKind kind) {
  const auto number = static_cast<size_t>(kind);
  if (number >= 1 && number <= std::size(kKinds)) return kKinds[number - 1].fields;
  return Bad(absl::StrCat("layer kind ", number, " is unknown; upgrade fedwatt"));
}

absl::StatusOr<TrainingGraph> ParseTrainingGraph(ByteSpan bytes) {
  constexpr size_t kHead = kMagicBytes + 4 + 12 + 4 + 4 + 4;
  if (bytes.size() > kMaxGraphBytes) {
    return Bad(absl::StrCat(bytes.size(), " bytes; at most ", kMaxGraphBytes, " are allowed"));
  }
  if (bytes.size() < kHead || std::memcmp(bytes.data(), kMagic, kMagicBytes) != 0) {
    return Bad(absl::StrCat("does not begin with ", kMagic));
  }
  Reader reader(bytes.subspan(kMagicBytes));
  const uint64_t version = reader.Take(4);
  if (version > kGraphVersion) {
    return absl::FailedPreconditionError(absl::StrCat("training graph: version ", version,
                                                      ", this program reads up to ", kGraphVersion,
                                                      "; upgrade fedwatt"));
  }
  if (version != kGraphVersion) return Bad(absl::StrCat("version ", version, " does not exist"));
  TrainingGraph graph;
  FW_ASSIGN_OR_RETURN(graph.loss, TakeLoss(&reader));
  graph.output = static_cast<uint32_t>(reader.Take(4));
  graph.loss_input = static_cast<uint32_t>(reader.Take(4));
  const uint64_t layers = reader.Take(4);
  if (layers < 1 || layers > kMaxGraphLayers) {
    return Bad(absl::StrCat(layers, " layers; 1 to ", kMaxGraphLayers, " are allowed"));
  }
  for (size_t i = 0; i < layers; ++i) {
    FW_ASSIGN_OR_RETURN(Layer layer, TakeLayer(i, &reader));
    graph.layers.push_back(std::move(layer));
  }
  if (reader.left() != 0) return Bad(absl::StrCat(reader.left(), " bytes behind its last layer"));
  for (const uint32_t value : {graph.output, graph.loss_input}) {
    if (value < 1 || value > layers) return Bad(absl::StrCat("no layer gives value ", value));
  }
  return graph;
}

std::string SerializeTrainingGraph(const TrainingGraph& graph) {
  std::string out(kMagic, kMagicBytes);
  Put(kGraphVersion, &out);
  Put(static_cast<uint8_t>(graph.loss.kind), &out);
  Put(static_cast<uint8_t>(graph.loss.reduction), &out);
  Put(uint16_t{0}, &out);
  Put(graph.loss.ignore_index, &out);
  Put(graph.output, &out);
  Put(graph.loss_input, &out);
  Put(static_cast<uint32_t>(graph.layers.size()), &out);
  for (const Layer& layer : graph.layers) {
    const std::string name = layer.name.substr(0, 0xff);
    Put(static_cast<uint8_t>(layer.kind), &out);
    for (const size_t count : {layer.inputs.size(), layer.tensors.size(), layer.ints.size(),
                               layer.reals.size(), name.size()}) {
      Put(static_cast<uint8_t>(count), &out);
    }
    out += name;
    for (const uint32_t value : layer.inputs) Put(value, &out);
    for (const uint32_t tensor : layer.tensors) Put(tensor, &out);
    for (const int64_t number : layer.ints) Put(number, &out);
    for (const double number : layer.reals) Put(std::bit_cast<uint64_t>(number), &out);
  }
  return out;
}

uint64_t ElementsOf(const std::vector<int64_t>& shape) {
  uint64_t elements = 1;
  for (const int64_t dim : shape) elements *= static_cast<uint64_t>(dim);
  return elements;
}

}  // namespace fedwatt
