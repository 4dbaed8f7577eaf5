// `fedprox` (Li et al. 2020): FedAvg whose clients add mu/2 ||w - w_t||^2 to their local loss,
// which holds them near the round's base. The trainer adds its gradient.

#include <array>

#include "common/base/status_macros.h"
#include "server/strategies/server_step.h"
#include "server/strategies/strategy.h"

namespace fedwatt {
namespace {

class FedProx final : public Strategy {
 public:
  FedProx(double mu, double server_lr) : mu_(mu), server_lr_(server_lr) {}

  absl::Status ConfigurePlan(const RoundKey&, Plan* plan) const override {
    plan->proximal_mu = mu_;
    return absl::OkStatus();
  }

  absl::Status Apply(std::span<const float> mean_delta, std::span<float> parameters) override {
    return AddScaledDelta(server_lr_, mean_delta, parameters);
  }

 private:
  const double mu_;
  const double server_lr_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Strategy>> MakeFedProx(const PluginSpec& spec) {
  const std::array<ParamRule, 2> rules = {ParamRule{"mu", {}, 1e-9, 1e6}, ServerLrRule()};
  FW_ASSIGN_OR_RETURN(auto params, ReadParams("strategy", spec, rules));
  return std::make_unique<FedProx>(params["mu"], params["server_lr"]);
}

}  // namespace fedwatt
