#include "client/trainers/portable/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace fedwatt::portable {

uint64_t Optimizer::StateFloats(const OptimizerSpec& spec) {
  if (spec.kind != OptimizerKind::kSgd) return 2;
  return spec.momentum != 0 ? 1 : 0;
}

void Optimizer::Apply(size_t tensor, std::span<float> values, std::span<const float> gradient) {
  if (spec_.kind == OptimizerKind::kSgd) {
    ApplySgd(states_[tensor], values, gradient);
  } else {
    ApplyAdam(states_[tensor], values, gradient);
  }
}

void Optimizer::ApplySgd(State& state, std::span<float> values,
                         std::span<const float> gradient) const {
  const auto lr = static_cast<float>(spec_.lr);
  const auto momentum = static_cast<float>(spec_.momentum);
  const auto decay = static_cast<float>(spec_.weight_decay);
  const bool first_step = state.first.empty();
  if (momentum != 0) state.first.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    float slope = gradient[i] + decay * values[i];
    if (momentum != 0) {
      float& velocity = state.first[i];
      velocity = first_step ? slope : momentum * velocity + slope;
      slope = spec_.nesterov ? slope + momentum * velocity : velocity;
    }
    values[i] -= lr * slope;
  }
}

void Optimizer::ApplyAdam(State& state, std::span<float> values,
                          std::span<const float> gradient) const {
  const bool decoupled = spec_.kind == OptimizerKind::kAdamW;
  const auto decay = static_cast<float>(decoupled ? 0 : spec_.weight_decay);
  const auto shrink = static_cast<float>(decoupled ? 1 - spec_.lr * spec_.weight_decay : 1);
  const auto beta1 = static_cast<float>(spec_.beta1);
  const auto beta2 = static_cast<float>(spec_.beta2);
  const auto rest1 = static_cast<float>(1 - spec_.beta1);
  const auto rest2 = static_cast<float>(1 - spec_.beta2);
  const auto eps = static_cast<float>(spec_.eps);
  const double steps = static_cast<double>(step_);
  const auto size = static_cast<float>(spec_.lr / (1 - std::pow(spec_.beta1, steps)));
  const auto root = static_cast<float>(std::sqrt(1 - std::pow(spec_.beta2, steps)));
  state.first.resize(values.size());
  state.second.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const float slope = gradient[i] + decay * values[i];
    float& mean = state.first[i];
    float& square = state.second[i];
    mean = mean * beta1 + slope * rest1;
    square = square * beta2 + rest2 * slope * slope;
    values[i] = values[i] * shrink - size * mean / (std::sqrt(square) / root + eps);
  }
}

void Optimizer::Describe(CheckpointPieces* content) const {
  content->U64(step_);
  for (const State& state : states_) {
    for (const std::vector<float>* floats : {&state.first, &state.second}) {
      content->U64(floats->size());
      content->Bytes(
          {reinterpret_cast<const uint8_t*>(floats->data()), floats->size() * sizeof(float)});
    }
  }
}

bool Optimizer::Restore(const Manifest& manifest, CheckpointReader* reader) {
  step_ = reader->U64();
  for (size_t i = 0; i < states_.size(); ++i) {
    for (std::vector<float>* floats : {&states_[i].first, &states_[i].second}) {
      const uint64_t size = reader->U64();
      if (size != 0 && size != manifest.tensors()[i].Elements()) return false;
      const ByteSpan bytes = reader->Bytes(size * sizeof(float));
      if (!reader->ok()) return false;
      floats->resize(size);
      if (size > 0) std::memcpy(floats->data(), bytes.data(), bytes.size());
    }
  }
  return true;
}

void Optimizer::Clear() {
  step_ = 0;
  std::fill(states_.begin(), states_.end(), State{});
}

}  // namespace fedwatt::portable
