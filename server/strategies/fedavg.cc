// `fedavg` (McMahan et al. 2017): the new model is the old one plus the weighted mean of the
// clients' deltas, times `server_lr` (1: exactly their weighted mean model).

#include "common/base/status_macros.h"
#include "server/strategies/server_step.h"
#include "server/strategies/strategy.h"

namespace fedwatt {
namespace {

class FedAvg final : public Strategy {
 public:
  explicit FedAvg(double server_lr) : server_lr_(server_lr) {}

  absl::Status ConfigurePlan(const RoundKey&, Plan*) const override { return absl::OkStatus(); }

  absl::Status Apply(std::span<const float> mean_delta, std::span<float> parameters) override {
    return AddScaledDelta(server_lr_, mean_delta, parameters);
  }

 private:
  const double server_lr_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Strategy>> MakeFedAvg(const PluginSpec& spec) {
  const ParamRule rule = ServerLrRule();
  FW_ASSIGN_OR_RETURN(auto params, ReadParams("strategy", spec, {&rule, 1}));
  return std::make_unique<FedAvg>(params["server_lr"]);
}

}  // namespace fedwatt
