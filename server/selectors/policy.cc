#include "server/selectors/policy.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/selectors/canonical_order.h"
#include "server/selectors/draws.h"
#include "server/selectors/energy_gate.h"

namespace fedwatt {
namespace {

constexpr size_t kMaxCandidates = size_t{1} << 24;
constexpr char kCapReached[] = "at selector.params.participation_cap";

struct SharedParams {
  uint64_t participation_cap = 0;
  double fairness_floor = 0;
  std::optional<double> unbiased;
  std::optional<EnergyGate> gate;
};

class PolicySelector final : public Selector {
 public:
  PolicySelector(std::string name, SharedParams params, std::unique_ptr<SelectionPolicy> policy)
      : name_(std::move(name)), params_(params), policy_(std::move(policy)) {}

  absl::StatusOr<Selection> Select(const SelectionRequest& request, Rng& rng) override;
  std::string SaveState() const override { return policy_->SaveState(); }
  absl::Status LoadState(const std::string& state) override { return policy_->LoadState(state); }
  std::optional<double> UnbiasedClip() const override { return params_.unbiased; }
  bool WantsSketches() const override { return policy_->WantsSketches(); }

 private:
  const char* WhyNot(const Candidate& candidate) const {
    if (params_.participation_cap > 0 && candidate.participations >= params_.participation_cap) {
      return kCapReached;
    }
    return params_.gate ? params_.gate->WhyNot(candidate) : nullptr;
  }
  absl::StatusOr<std::vector<uint32_t>> Members(const SelectionRequest& request) const;
  // Takes the places of the least served off `count`, and the least served off `members`.
  Selection PickLeastServed(const SelectionRequest& request, std::vector<uint32_t>* members,
                            uint32_t* count, Rng& rng) const;

  const std::string name_;
  const SharedParams params_;
  const std::unique_ptr<SelectionPolicy> policy_;
};

absl::StatusOr<std::vector<uint32_t>> PolicySelector::Members(
    const SelectionRequest& request) const {
  std::vector<uint32_t> members = CanonicalOrder(request.candidates);
  std::map<std::string, uint64_t> reasons;
  std::erase_if(members, [&](uint32_t index) {
    const char* const why = WhyNot(request.candidates[index]);
    if (why != nullptr) ++reasons[why];
    return why != nullptr;
  });
  if (!members.empty()) return members;
  std::string text = absl::StrCat("selector \"", name_, "\": none of ", request.candidates.size(),
                                  " clients that wait may take part");
  const char* separator = ": ";
  for (const auto& [reason, count] : reasons) {
    absl::StrAppend(&text, separator, count, " ", reason);
    separator = ", ";
  }
  return absl::FailedPreconditionError(text);
}

Selection PolicySelector::PickLeastServed(const SelectionRequest& request,
                                          std::vector<uint32_t>* members, uint32_t* count,
                                          Rng& rng) const {
  const double floor = params_.fairness_floor;
  const size_t there = members->size();
  const auto places = std::min(*count, static_cast<uint32_t>(std::ceil(floor * *count)));
  const size_t share = static_cast<size_t>(std::ceil(floor * static_cast<double>(there)));
  const size_t served_least = std::min(std::max<size_t>(places, share), there - (*count - places));
  struct Turn {
    uint64_t participations;
    uint64_t last_round;
    uint32_t place;  // members stand in the order of names
    auto operator<=>(const Turn&) const = default;
  };
  std::vector<Turn> turns;
  turns.reserve(there);
  for (uint32_t place = 0; place < there; ++place) {
    const Candidate& candidate = request.candidates[(*members)[place]];
    turns.push_back({candidate.participations, candidate.last_round, place});
  }
  const auto split = turns.begin() + static_cast<ptrdiff_t>(served_least);
  if (split != turns.end()) std::nth_element(turns.begin(), split, turns.end());
  std::vector<bool> is_least(there);
  for (auto turn = turns.begin(); turn != split; ++turn) is_least[turn->place] = true;
  std::vector<uint32_t> least;
  std::vector<uint32_t> rest;
  for (uint32_t place = 0; place < there; ++place) {
    (is_least[place] ? least : rest).push_back((*members)[place]);
  }
  *members = std::move(rest);
  Selection selection{DrawUniform(least, places, rng), {}};
  selection.inclusion.assign(places,
                             static_cast<double>(places) / static_cast<double>(served_least));
  *count -= places;
  return selection;
}

absl::StatusOr<Selection> PolicySelector::Select(const SelectionRequest& request, Rng& rng) {
  if (request.candidates.empty() || request.count == 0) return Selection();
  if (request.candidates.size() > kMaxCandidates) {
    return absl::InvalidArgumentError(absl::StrCat(request.candidates.size(),
                                                   " clients wait: one selection is made among ",
                                                   kMaxCandidates, " at most"));
  }
  FW_ASSIGN_OR_RETURN(std::vector<uint32_t> members, Members(request));
  auto count = static_cast<uint32_t>(std::min<size_t>(request.count, members.size()));
  Selection selection;
  if (params_.fairness_floor > 0) {
    selection = PickLeastServed(request, &members, &count, rng);
  }
  if (count > 0) {
    FW_ASSIGN_OR_RETURN(const Selection picked, policy_->Pick(request, members, count, rng));
    selection.chosen.insert(selection.chosen.end(), picked.chosen.begin(), picked.chosen.end());
    selection.inclusion.insert(selection.inclusion.end(), picked.inclusion.begin(),
                               picked.inclusion.end());
  }
  if (!policy_->DefinesInclusion()) selection.inclusion.clear();
  return selection;
}

}  // namespace

absl::Status SelectionPolicy::LoadState(const std::string& state) {
  if (state.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("selector state of ", state.size(), " bytes: this selector keeps no state"));
}

absl::StatusOr<std::map<std::string, double>> ReadSelectorParams(const PluginSpec& spec,
                                                                 std::vector<ParamRule> own,
                                                                 BatteryGate gate) {
  own.push_back({"battery_gate", gate == BatteryGate::kOn ? 1.0 : 0.0, 0, 1});
  for (ParamRule& rule : EnergyGate::Rules()) own.push_back(std::move(rule));
  own.push_back({"participation_cap", 0, 0, 1e9});
  own.push_back({"fairness_floor", 0, 0, 1});
  own.push_back({"unbiased", 0, 0, 1000});
  return ReadParams("selector", spec, own);
}

absl::StatusOr<std::unique_ptr<Selector>> MakePolicySelector(
    const std::string& name, const std::map<std::string, double>& params,
    std::unique_ptr<SelectionPolicy> policy) {
  SharedParams shared;
  shared.participation_cap = static_cast<uint64_t>(params.at("participation_cap"));
  shared.fairness_floor = params.at("fairness_floor");
  if (params.at("battery_gate") > 0) shared.gate = EnergyGate(params);
  if (const double clip = params.at("unbiased"); clip > 0) {
    if (clip < 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "selector.params.unbiased = ", clip,
          ": must be 0 (off), or the greatest ratio of two weights, 1 to 1000; write e.g. 10"));
    }
    if (!policy->DefinesInclusion()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "selector.params.unbiased = ", clip, ": selector \"", name,
          "\" defines no inclusion probabilities, so its choice cannot be weighed out; use "
          "\"uniform\", \"battery_filter\", or \"joule\" with balance_draws = 0, or leave unbiased "
          "out"));
    }
    shared.unbiased = clip;
  }
  return std::make_unique<PolicySelector>(name, shared, std::move(policy));
}

}  // namespace fedwatt
