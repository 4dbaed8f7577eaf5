#include "server/strategies/server_step.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

constexpr size_t kBlock = 1024;

float Stepped(double server_lr, float delta, float parameter) {
  return static_cast<float>(static_cast<double>(parameter) +
                            server_lr * static_cast<double>(delta));
}

// Of a fixed length, without branches and aliases: only so are they compiled to vector
// instructions.
void StepBlock(double server_lr, const float* __restrict delta, const float* __restrict parameters,
               float* __restrict out) {
  for (size_t i = 0; i < kBlock; ++i) out[i] = Stepped(server_lr, delta[i], parameters[i]);
}

bool BlockIsFinite(const float* values) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t bad = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const auto bits = std::bit_cast<uint32_t>(values[i]);
    bad |= static_cast<uint32_t>((bits & kExponent) == kExponent);
  }
  return bad == 0;
}

// Its index, or the number of parameters.
size_t FirstNotFinite(double server_lr, std::span<const float> delta,
                      std::span<const float> parameters) {
  float stepped[kBlock];
  size_t i = 0;
  for (; i + kBlock <= parameters.size(); i += kBlock) {
    StepBlock(server_lr, delta.data() + i, parameters.data() + i, stepped);
    if (!BlockIsFinite(stepped)) break;
  }
  while (i < parameters.size() && std::isfinite(Stepped(server_lr, delta[i], parameters[i]))) ++i;
  return i;
}

}  // namespace

ParamRule ServerLrRule() { return {"server_lr", 1.0, 1e-9, 1e3}; }

absl::Status AddScaledDelta(double server_lr, std::span<const float> mean_delta,
                            std::span<float> parameters) {
  if (mean_delta.size() != parameters.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the mean delta has ", mean_delta.size(),
                                                   " coordinates; the model has ",
                                                   parameters.size()));
  }
  // A non-finite input cannot give a finite sum.
  const size_t bad = FirstNotFinite(server_lr, mean_delta, parameters);
  if (bad < parameters.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "coordinate ", bad, ": ", parameters[bad], " + ", server_lr, " x ", mean_delta[bad],
        " is not a finite float32; lower server_lr or the clients' "
        "learning rate"));
  }
  float stepped[kBlock];
  size_t i = 0;
  for (; i + kBlock <= parameters.size(); i += kBlock) {
    StepBlock(server_lr, mean_delta.data() + i, parameters.data() + i, stepped);
    std::copy_n(stepped, kBlock, parameters.data() + i);
  }
  for (; i < parameters.size(); ++i) {
    parameters[i] = Stepped(server_lr, mean_delta[i], parameters[i]);
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
