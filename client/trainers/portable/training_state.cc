#include "client/trainers/portable/training_state.h"

namespace fedwatt::portable {

TrainingState::TrainingState(const Manifest& manifest, const OptimizerSpec& spec, uint64_t examples,
                             Checkpoints* checkpoints)
    : manifest_(manifest),
      examples_(examples),
      checkpoints_(checkpoints),
      optimizer_(spec, manifest.tensors().size()),
      buffers_(manifest.tensors().size()) {}

bool TrainingState::Restore(Network& network) {
  if (checkpoints_ == nullptr) return false;
  CheckpointReader reader(checkpoints_->Found());
  const bool same_data = reader.U64() == examples_;
  const uint64_t steps = reader.U64();
  const std::optional<LossSums> before = reader.Losses();
  const ByteSpan tensors = reader.Bytes(manifest_.TotalBytes());
  // The last part: a content of another size changes nothing.
  if (!reader.ok() || !same_data || !optimizer_.Restore(manifest_, &reader) || !reader.Complete()) {
    optimizer_.Clear();
    return false;
  }
  for (size_t i = 0; i < manifest_.tensors().size(); ++i) {
    network.LoadTensor(i, tensors.data() + manifest_.OffsetBytes(i));
  }
  steps_ = saved_steps_ = steps;
  before_ = before;
  return true;
}

bool TrainingState::Save(Network& network) {
  if (checkpoints_ == nullptr) return false;
  CheckpointPieces content;
  content.U64(examples_);
  content.U64(steps_);
  content.Losses(before_);
  for (size_t i = 0; i < manifest_.tensors().size(); ++i) content.Bytes(network.TensorBytes(i));
  optimizer_.Describe(&content);
  if (!checkpoints_->Save(content.pieces(), steps_).ok()) return false;
  saved_steps_ = steps_;
  return true;
}

void TrainingState::BeginStep(Network& network) {
  if (checkpoints_ == nullptr) return;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (manifest_.tensors()[i].role == TensorRole::kTrainable) continue;
    const ByteSpan bytes = network.TensorBytes(i);
    buffers_[i].assign(bytes.begin(), bytes.end());
  }
}

void TrainingState::UndoStep(Network& network) {
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (!buffers_[i].empty()) network.LoadTensor(i, buffers_[i].data());
  }
}

}  // namespace fedwatt::portable
