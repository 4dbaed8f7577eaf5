#include "server/strategies/server_step.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

float Stepped(double server_lr, float delta, float parameter) {
  return static_cast<float>(static_cast<double>(parameter) +
                            server_lr * static_cast<double>(delta));
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
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!std::isfinite(Stepped(server_lr, mean_delta[i], parameters[i]))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "coordinate ", i, ": ", parameters[i], " + ", server_lr, " x ", mean_delta[i],
          " is not a finite float32; lower server_lr or the clients' "
          "learning rate"));
    }
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    parameters[i] = Stepped(server_lr, mean_delta[i], parameters[i]);
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
