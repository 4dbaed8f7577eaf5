// `uniform`: every eligible client with the same probability, without replacement.
// `battery_filter`: the same with battery_gate = 1: among those whose battery bears the work.

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/status_macros.h"
#include "server/selectors/draws.h"
#include "server/selectors/policy.h"

namespace fedwatt {
namespace {

class Uniform final : public SelectionPolicy {
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

}  // namespace

absl::StatusOr<std::unique_ptr<Selector>> MakeUniform(const PluginSpec& spec) {
  FW_ASSIGN_OR_RETURN(const auto params, ReadSelectorParams(spec, {}, BatteryGate::kOff));
  return MakePolicySelector(spec.name, params, std::make_unique<Uniform>());
}

absl::StatusOr<std::unique_ptr<Selector>> MakeBatteryFilter(const PluginSpec& spec) {
  FW_ASSIGN_OR_RETURN(const auto params, ReadSelectorParams(spec, {}, BatteryGate::kOn));
  return MakePolicySelector(spec.name, params, std::make_unique<Uniform>());
}

}  // namespace fedwatt
