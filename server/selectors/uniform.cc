// `uniform`: every eligible client with the same probability, without replacement.
// `battery_filter`: the same among those whose battery bears the work.

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/status_macros.h"
#include "server/selectors/draws.h"
#include "server/selectors/energy_gate.h"
#include "server/selectors/policy.h"

namespace fedwatt {
namespace {

class Uniform : public SelectionPolicy {
 public:
  bool DefinesInclusion() const override { return true; }

  absl::StatusOr<Selection> Pick(const SelectionRequest&, std::span<const uint32_t> members,
                                 uint32_t count, Rng& rng) override {
    Selection selection{DrawUniform(members, count, rng), {}};
    selection.inclusion.assign(count,
                               static_cast<double>(count) / static_cast<double>(members.size()));
    return selection;
  }
};

class BatteryFilter final : public Uniform {
 public:
  explicit BatteryFilter(EnergyGate gate) : gate_(gate) {}
  const char* WhyNot(const Candidate& candidate) const override { return gate_.WhyNot(candidate); }

 private:
  const EnergyGate gate_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Selector>> MakeUniform(const PluginSpec& spec) {
  FW_ASSIGN_OR_RETURN(const auto params, ReadSelectorParams(spec, {}));
  return MakePolicySelector(spec.name, params, std::make_unique<Uniform>());
}

absl::StatusOr<std::unique_ptr<Selector>> MakeBatteryFilter(const PluginSpec& spec) {
  FW_ASSIGN_OR_RETURN(const auto params, ReadSelectorParams(spec, EnergyGate::Rules()));
  return MakePolicySelector(spec.name, params, std::make_unique<BatteryFilter>(EnergyGate(params)));
}

}  // namespace fedwatt
