#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/plugin_params.h"
#include "server/selectors/selector.h"

// What all built-in selectors share, so that each is only its own choice: the order of names, who
// may take part at all, the participation cap, the fairness floor, and refusing to be unbiased
// where that has no meaning.
//
// Parameters that each of them takes besides its own:
//   participation_cap  reports of one client that a job counts; 0 (default): any number.
//   fairness_floor     0 to 1, default 0: this share of the places goes to the least served share
//   of
//                      the candidates (fewest participations, then longest ago, then by name),
//                      every one of these equally likely. So none waits for ever, whatever the
//                      choice thinks of it. Inclusion probabilities take it into account.
//   unbiased           0 (default), or 1 to 1000: Selector::UnbiasedClip.
//   battery_gate       1: only those take part whose battery bears the work (energy_gate.h, with
//                      battery_floor and drain_watts); 0: anyone.
namespace fedwatt {

// What battery_gate is where a job does not say it.
enum class BatteryGate { kOff, kOn };

// The choice itself.
class SelectionPolicy {
 public:
  virtual ~SelectionPolicy() = default;
  virtual bool DefinesInclusion() const { return false; }
  virtual bool WantsSketches() const { return false; }  // as of Selector
  // `count` (at most members.size(), at least 1) of `members`, which are indices of
  // request.candidates in the order of names. Fewer only if the policy has its reasons.
  virtual absl::StatusOr<Selection> Pick(const SelectionRequest& request,
                                         std::span<const uint32_t> members, uint32_t count,
                                         Rng& rng) = 0;
  // As of Selector.
  virtual std::string SaveState() const { return ""; }
  virtual absl::Status LoadState(const std::string& state);
};

// As ReadParams, for the policy's own parameters and the shared ones.
absl::StatusOr<std::map<std::string, double>> ReadSelectorParams(const PluginSpec& spec,
                                                                 std::vector<ParamRule> own,
                                                                 BatteryGate gate);

// `params` as ReadSelectorParams gave them. INVALID_ARGUMENT: unbiased, and the policy defines no
// inclusion probabilities.
absl::StatusOr<std::unique_ptr<Selector>> MakePolicySelector(
    const std::string& name, const std::map<std::string, double>& params,
    std::unique_ptr<SelectionPolicy> policy);

}  // namespace fedwatt
