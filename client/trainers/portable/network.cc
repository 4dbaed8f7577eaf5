#include "client/trainers/portable/network.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt::portable {
namespace {

absl::Status NoMemory(uint64_t bytes) {
  return absl::ResourceExhaustedError(absl::StrCat("no memory for ", HumanBytes(bytes),
                                                   " of the model's values (", bytes,
                                                   " bytes): use a smaller model or batch"));
}

}  // namespace

Network::Network(const TrainingGraph& graph, const BundleHeader& header, std::vector<Shape> shapes)
    : graph_(graph), header_(header), shapes_(std::move(shapes)) {
  for (const Layer& layer : graph_.layers) {
    LayerPlace place{layer, {}, shapes_[ops_.size() + 1], header_.manifest.tensors()};
    for (const uint32_t value : layer.inputs) place.in.push_back(shapes_[value]);
    ops_.push_back(MakeLayerOp(place));
  }
  std::vector<bool> needed(shapes_.size());
  needed[graph_.loss_input] = true;
  in_loss_.resize(ops_.size());
  for (size_t i = ops_.size(); i-- > 0;) {
    in_loss_[i] = needed[i + 1];
    if (!in_loss_[i]) continue;
    for (const uint32_t value : graph_.layers[i].inputs) needed[value] = true;
  }
}

absl::StatusOr<std::unique_ptr<Network>> Network::Create(const TrainingGraph& graph,
                                                         const BundleHeader& header) {
  FW_ASSIGN_OR_RETURN(std::vector<Shape> shapes, GraphShapes(graph, header));
  return std::unique_ptr<Network>(new Network(graph, header, std::move(shapes)));
}

uint64_t Network::ScratchFloats() const {
  uint64_t scratch = 0;
  for (const auto& op : ops_) scratch = std::max(scratch, op->Memory().scratch);
  return scratch;
}

// At most 4096 layers of 2^28 floats and 2^32 examples, and a scratch below 2^57: no overflow when
// each sum stops at the limit.
uint64_t Network::FloatsFor(uint64_t n, bool training) const {
  constexpr uint64_t kTooMany = uint64_t{1} << 58;
  uint64_t fixed = ScratchFloats();
  uint64_t per_example = 0;
  for (size_t i = 0; i < ops_.size(); ++i) {
    const LayerMemory memory = ops_[i]->Memory();
    fixed += memory.kept;
    per_example += ElementsOf(shapes_[i + 1]) * (training ? 2 : 1) + memory.kept_per_example;
  }
  if (n != 0 && per_example > kTooMany / n) return kTooMany;
  return std::min(kTooMany, fixed + per_example * n);
}

uint64_t Network::BytesFor(uint64_t n, bool training) const {
  const uint64_t copies = training ? 2 : 1;  // gradients
  return header_.manifest.TotalBytes() * copies + FloatsFor(n, training) * sizeof(float);
}

absl::Status Network::Load(const std::vector<const uint8_t*>& tensors) {
  try {
    tensors_.resize(header_.manifest.tensors().size());
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const TensorSpec& spec = header_.manifest.tensors()[i];
      if (spec.dtype == DType::kF32) {
        tensors_[i].floats.resize(spec.Elements());
      } else {
        tensors_[i].bytes.resize(spec.Bytes());
      }
      LoadTensor(i, tensors[i]);
    }
  } catch (const std::bad_alloc&) {
    return NoMemory(header_.manifest.TotalBytes());
  }
  return absl::OkStatus();
}

void Network::LoadTensor(size_t tensor, const uint8_t* data) {
  const TensorSpec& spec = header_.manifest.tensors()[tensor];
  if (spec.Bytes() == 0) return;
  void* to = spec.dtype == DType::kF32 ? static_cast<void*>(tensors_[tensor].floats.data())
                                       : tensors_[tensor].bytes.data();
  std::memcpy(to, data, spec.Bytes());
}

ByteSpan Network::TensorBytes(size_t tensor) const {
  const Tensor& t = tensors_[tensor];
  if (header_.manifest.tensors()[tensor].dtype != DType::kF32) return t.bytes;
  return {reinterpret_cast<const uint8_t*>(t.floats.data()), t.floats.size() * sizeof(float)};
}

float* Network::Values(size_t tensor) {
  return header_.manifest.tensors()[tensor].dtype == DType::kF32 ? tensors_[tensor].floats.data()
                                                                 : nullptr;
}

float* Network::Gradient(size_t tensor) {
  return tensor_grads_[tensor].empty() ? nullptr : tensor_grads_[tensor].data();
}

void Network::MarkNeeded(const std::vector<size_t>& trained) {
  std::vector<bool> is_trained(tensors_.size());
  for (const size_t tensor : trained) is_trained[tensor] = true;
  needs_grad_.assign(shapes_.size(), false);
  tensor_grads_.assign(tensors_.size(), {});
  for (size_t i = 0; i < ops_.size(); ++i) {
    if (!in_loss_[i]) continue;
    const Layer& layer = graph_.layers[i];
    bool needs = false;
    for (const uint32_t value : layer.inputs) needs = needs || needs_grad_[value];
    for (const uint32_t tensor : layer.tensors) {
      if (tensor == kNoTensor || !is_trained[tensor]) continue;
      needs = true;
      tensor_grads_[tensor].resize(tensors_[tensor].floats.size());
    }
    needs_grad_[i + 1] = needs;
  }
}

absl::Status Network::Reserve(uint64_t n, bool training, const std::vector<size_t>& trained) {
  training_ = training;
  block_ = Block();
  const uint64_t floats = FloatsFor(n, training);
  try {
    MarkNeeded(trained);
  } catch (const std::bad_alloc&) {
    return NoMemory(header_.manifest.TotalBytes());
  }
  if (training && !needs_grad_[graph_.loss_input]) {
    return absl::InvalidArgumentError(absl::StrCat("method ", header_.loss_method,
                                                   " does not depend on any trained parameter; "
                                                   "check plan.frozen"));
  }
  block_.floats.reset(new (std::nothrow) float[floats]);
  if (block_.floats == nullptr) return NoMemory(floats * sizeof(float));
  block_.size = floats;
  capacity_ = n;
  LayOut(n);
  return absl::OkStatus();
}

void Network::LayOut(uint64_t n) {
  float* next = block_.floats.get();
  const auto take = [&next](uint64_t floats) { return std::exchange(next, next + floats); };
  values_.assign(shapes_.size(), nullptr);
  value_grads_.assign(shapes_.size(), nullptr);
  kept_.assign(ops_.size(), nullptr);
  scratch_ = take(ScratchFloats());
  for (size_t i = 0; i < ops_.size(); ++i) {
    const LayerMemory memory = ops_[i]->Memory();
    const uint64_t size = n * ElementsOf(shapes_[i + 1]);
    values_[i + 1] = take(size);
    if (training_) value_grads_[i + 1] = take(size);
    kept_[i] = take(memory.kept + n * memory.kept_per_example);
  }
}

LayerIo Network::IoFor(size_t index, const Batch& batch, const WorkMonitor& monitor) {
  const Layer& layer = graph_.layers[index];
  LayerIo io;
  io.n = batch.n;
  io.training = training_;
  io.monitor = &monitor;
  io.words = reinterpret_cast<const int64_t*>(batch.x.data());
  for (size_t k = 0; k < layer.inputs.size(); ++k) {
    const uint32_t value = layer.inputs[k];
    io.in[k] = value == 0 ? reinterpret_cast<const float*>(batch.x.data()) : values_[value];
    if (needs_grad_[value]) io.in_grad[k] = value_grads_[value];
  }
  for (size_t k = 0; k < std::min(layer.tensors.size(), io.tensors.size()); ++k) {
    const uint32_t tensor = layer.tensors[k];
    if (tensor == kNoTensor) continue;
    io.tensors[k] = Values(tensor);
    io.tensor_grads[k] = Gradient(tensor);
  }
  io.out = values_[index + 1];
  io.out_grad = value_grads_[index + 1];
  io.kept = kept_[index];
  io.scratch = scratch_;
  return io;
}

void Network::CountBatch(const Layer& layer) {
  constexpr size_t kCounter = 4;
  if (layer.kind != LayerKind::kBatchNorm || layer.tensors[kCounter] == kNoTensor) return;
  std::vector<uint8_t>& bytes = tensors_[layer.tensors[kCounter]].bytes;
  uint64_t count = 0;
  std::memcpy(&count, bytes.data(), sizeof(count));
  ++count;
  std::memcpy(bytes.data(), &count, sizeof(count));
}

absl::Status Network::Forward(const Batch& batch, const WorkMonitor& monitor) {
  const uint64_t element = header_.input_dtype == DType::kI64 ? sizeof(int64_t) : sizeof(float);
  if (batch.n > capacity_ || batch.x.size() != batch.n * ElementsOf(shapes_[0]) * element) {
    return absl::InvalidArgumentError(absl::StrCat("the dataset gave ", batch.x.size(),
                                                   " bytes for a batch of ", batch.n, " examples"));
  }
  for (size_t i = 0; i < ops_.size(); ++i) {
    if (training_ && !in_loss_[i]) continue;
    FW_RETURN_IF_ERROR(monitor.Check());
    if (training_) CountBatch(graph_.layers[i]);
    FW_RETURN_IF_ERROR(ops_[i]->Forward(IoFor(i, batch, monitor)));
  }
  return absl::OkStatus();
}

void Network::ClearGradients(uint64_t n) {
  for (std::vector<float>& grad : tensor_grads_) std::fill(grad.begin(), grad.end(), 0.0F);
  for (size_t value = 1; value < shapes_.size(); ++value) {
    if (needs_grad_[value]) std::fill_n(value_grads_[value], n * ElementsOf(shapes_[value]), 0.0F);
  }
}

absl::Status Network::Backward(const Batch& batch, const WorkMonitor& monitor) {
  for (size_t i = ops_.size(); i-- > 0;) {
    if (!needs_grad_[i + 1]) continue;
    FW_RETURN_IF_ERROR(monitor.Check());
    FW_RETURN_IF_ERROR(ops_[i]->Backward(IoFor(i, batch, monitor)));
  }
  return absl::OkStatus();
}

}  // namespace fedwatt::portable
