#include "client/trainers/torch/torch_checkpoint.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/serialize/input-archive.h>
#include <torch/serialize/output-archive.h>

#include <cstring>
#include <sstream>
#include <utility>

#include "client/trainers/torch/script_module.h"

namespace fedwatt::torch_internal {
namespace {

ByteSpan BytesOf(const at::Tensor& host) {
  return {static_cast<const uint8_t*>(host.data_ptr()),
          static_cast<size_t>(host.numel()) * host.element_size()};
}

// Without the generator's lock, here and below: one thread trains, and nobody else draws.
at::Tensor GeneratorState() { return at::detail::getDefaultCPUGenerator().get_state(); }

void SetGeneratorState(ByteSpan bytes) {
  at::Tensor state = torch::empty({static_cast<int64_t>(bytes.size())}, at::kByte);
  std::memcpy(state.data_ptr(), bytes.data(), bytes.size());
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_state(state);
}

bool SetsAttributesIn(const torch::jit::Block* block) {
  for (const torch::jit::Node* node : block->nodes()) {
    if (node->kind() == c10::prim::SetAttr) return true;
    for (const torch::jit::Block* inner : node->blocks()) {
      if (SetsAttributesIn(inner)) return true;
    }
  }
  return false;
}

}  // namespace

bool SetsAttributes(const torch::jit::Module& module) {
  for (const torch::jit::Module& part : module.modules()) {
    for (const torch::jit::Method& method : part.get_methods()) {
      if (SetsAttributesIn(method.graph()->block())) return true;
    }
  }
  return false;
}

bool TorchCheckpoint::Open() {
  if (checkpoints_ == nullptr) return false;
  CheckpointReader reader(checkpoints_->Found());
  const bool same_data = reader.U64() == examples_;
  const uint64_t steps = reader.U64();
  FirstLosses first;
  first.sums = reader.Losses();
  const uint64_t named = reader.U64();
  for (uint64_t i = 0; reader.ok() && i < named; ++i) {
    const uint64_t length = reader.U64();
    const std::string name(AsText(reader.Bytes(length)));
    first.named[name] = reader.Real();
  }
  tensors_ = reader.Bytes(manifest_.TotalBytes());
  generator_ = reader.Bytes(reader.U64());
  optimizer_ = reader.Bytes(reader.U64());
  if (!reader.Complete() || !same_data) return false;
  steps_ = saved_steps_ = steps;
  first_ = std::move(first);
  return true;
}

void TorchCheckpoint::Restore(const std::vector<at::Tensor>& tensors,
                              torch::optim::Optimizer& optimizer) const {
  torch::NoGradGuard no_grad;
  torch::serialize::InputArchive archive;
  archive.load_from(reinterpret_cast<const char*>(optimizer_.data()), optimizer_.size());
  optimizer.load(archive);
  std::vector<uint8_t> flat(tensors_.begin(), tensors_.end());
  CopyFromFlat(flat, manifest_, tensors);
  SetGeneratorState(generator_);
}

bool TorchCheckpoint::Save(uint64_t steps, const std::vector<at::Tensor>& tensors,
                           const torch::optim::Optimizer& optimizer) {
  if (checkpoints_ == nullptr) return false;
  CheckpointPieces content;
  content.U64(examples_);
  content.U64(steps);
  content.Losses(first_.sums);
  content.U64(first_.named.size());
  for (const auto& [name, value] : first_.named) {
    content.U64(name.size());
    content.Bytes(AsBytes(name));
    content.Real(value);
  }
  std::vector<at::Tensor> hosts;
  for (const at::Tensor& tensor : tensors) {
    hosts.push_back(tensor.detach().cpu().contiguous());
    content.Bytes(BytesOf(hosts.back()));
  }
  const at::Tensor generator = GeneratorState().contiguous();
  content.U64(BytesOf(generator).size());
  content.Bytes(BytesOf(generator));
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  std::ostringstream stream;
  archive.save_to(stream);
  const std::string optimizer_bytes = std::move(stream).str();
  content.U64(optimizer_bytes.size());
  content.Bytes(AsBytes(optimizer_bytes));
  if (!checkpoints_->Save(content.pieces(), steps).ok()) return false;
  saved_steps_ = steps;
  return true;
}

}  // namespace fedwatt::torch_internal
