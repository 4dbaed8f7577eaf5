// `fedzero` (Wiesner et al.: "FedZero: leveraging renewable excess energy in federated learning",
// e-Energy'24): clients of one power domain share its surplus of renewable power. The round is
// planned for the shortest duration d, in steps, in which `count` clients can finish on surplus
// alone: each within d seconds, and all of a domain within watts x d joules. The paper solves a
// mixed-integer program; here a greedy plan takes clients by statistical utility per joule and
// skips those that no longer fit their domain. The lower bound for d comes from taking the cheapest
// clients of each domain, which no plan can beat.
//
// watts_<domain>: surplus of that domain, for fleets without a source that tells
// (SelectionRequest::surplus_watts goes first). A client in no domain, or in one of unknown
// surplus, is bound by d alone. Joules or seconds that are unknown count as the median of those
// known.
//
// step_s: default 60. max_s: the longest d, default 3600. If not even that gives `count` clients,
// as many as fit take part.

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/selectors/energy_gate.h"
#include "server/selectors/policy.h"
#include "server/selectors/utility.h"

namespace fedwatt {
namespace {

constexpr char kWattsPrefix[] = "watts_";
constexpr int32_t kUnbound = -1;

// A member as the plan sees it.
struct Job {
  uint32_t place;  // among the members
  int32_t domain;  // position among those with a known surplus
  double joules;
  double seconds;
  double value;  // utility per joule
};

class FedZero final : public SelectionPolicy {
 public:
  FedZero(const std::map<std::string, double>& params, std::map<std::string, double> watts)
      : step_s_(params.at("step_s")), max_s_(params.at("max_s")), watts_(std::move(watts)) {}

  absl::StatusOr<Selection> Pick(const SelectionRequest& request, std::span<const uint32_t> members,
                                 uint32_t count, Rng&) override {
    std::vector<double> surplus;
    std::vector<Job> jobs = MakeJobs(request, members, &surplus);
    const auto last = static_cast<uint64_t>(std::ceil(max_s_ / step_s_));
    uint64_t steps = LeastSteps(jobs, surplus, count, last);
    std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) {
      return a.value != b.value ? a.value > b.value : a.place < b.place;
    });
    std::vector<size_t> plan = Plan(jobs, surplus, count, Seconds(steps));
    while (plan.size() < count && steps < last) {
      // A greedy plan may miss what the bound allows; longer rounds come ever closer.
      steps = std::min(last, steps + std::max<uint64_t>(1, steps / 8));
      plan = Plan(jobs, surplus, count, Seconds(steps));
    }
    if (plan.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("selector \"fedzero\": within ", max_s_, " s no client can finish on the ",
                       "surplus of its power domain; raise selector.params.max_s or wait"));
    }
    for (size_t& chosen : plan) chosen = members[chosen];
    return Selection{std::move(plan), {}};
  }

 private:
  double Seconds(uint64_t steps) const {
    return std::min(static_cast<double>(steps) * step_s_, max_s_);
  }

  std::optional<double> SurplusOf(const SelectionRequest& request,
                                  const std::string& domain) const {
    for (const auto* known : {&request.surplus_watts, &watts_}) {
      const auto found = known->find(domain);
      if (found != known->end() && std::isfinite(found->second))
        return std::max(found->second, 0.0);
    }
    return std::nullopt;
  }

  // In order of joules.
  std::vector<Job> MakeJobs(const SelectionRequest& request, std::span<const uint32_t> members,
                            std::vector<double>* surplus) const {
    std::vector<double> joules;
    std::vector<double> seconds;
    std::vector<double> utilities;
    for (const uint32_t index : members) {
      const Candidate& candidate = request.candidates[index];
      if (const auto cost = BelievableCost(candidate)) joules.push_back(cost->joules);
      if (const auto known = Duration(candidate)) seconds.push_back(*known);
      if (const auto known = StatisticalUtility(candidate)) utilities.push_back(*known);
    }
    const auto middle = [](std::vector<double>& known) {
      return known.empty() ? 0.0 : Quantile(std::move(known), 0.5);
    };
    const double usual_joules = middle(joules);
    const double usual_seconds = middle(seconds);
    const double usual_utility = middle(utilities);
    std::map<std::string, int32_t> domains;
    std::vector<Job> jobs;
    jobs.reserve(members.size());
    for (const uint32_t index : members) {
      const Candidate& candidate = request.candidates[index];
      const auto cost = BelievableCost(candidate);
      Job job{static_cast<uint32_t>(jobs.size()), kUnbound, cost ? cost->joules : usual_joules,
              Duration(candidate).value_or(usual_seconds), 0};
      job.value =
          StatisticalUtility(candidate).value_or(usual_utility) / std::max(job.joules, 1e-9);
      if (!candidate.power_domain.empty()) {
        auto found = domains.find(candidate.power_domain);
        if (found == domains.end()) {
          const std::optional<double> watts = SurplusOf(request, candidate.power_domain);
          const auto next = static_cast<int32_t>(surplus->size());
          if (watts) surplus->push_back(*watts);
          found = domains.emplace(candidate.power_domain, watts ? next : kUnbound).first;
        }
        job.domain = found->second;
      }
      jobs.push_back(job);
    }
    std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) {
      return a.joules != b.joules ? a.joules < b.joules : a.place < b.place;
    });
    return jobs;
  }

  static std::vector<size_t> Plan(std::span<const Job> jobs, std::span<const double> surplus,
                                  uint32_t count, double duration_s) {
    std::vector<double> left;
    for (const double watts : surplus) left.push_back(watts * duration_s);
    std::vector<size_t> plan;
    for (const Job& job : jobs) {
      if (plan.size() == count) break;
      if (job.seconds > duration_s) continue;
      if (job.domain != kUnbound) {
        double& joules = left[static_cast<size_t>(job.domain)];
        if (job.joules > joules || joules <= 0) continue;
        joules -= job.joules;
      }
      plan.push_back(job.place);
    }
    return plan;
  }

  // With `jobs` in order of joules more steps never give fewer clients: halving finds the least.
  uint64_t LeastSteps(std::span<const Job> jobs, std::span<const double> surplus, uint32_t count,
                      uint64_t last) const {
    uint64_t low = 1;
    uint64_t high = last;
    while (low < high) {
      const uint64_t middle = low + (high - low) / 2;
      if (Plan(jobs, surplus, count, Seconds(middle)).size() < count) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  const double step_s_;
  const double max_s_;
  const std::map<std::string, double> watts_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Selector>> MakeFedzero(const PluginSpec& spec) {
  std::vector<ParamRule> rules = {{"step_s", 60, 1, 1e6}, {"max_s", 3600, 1, 1e7}};
  std::map<std::string, double> watts;
  for (const auto& [name, value] : spec.params) {
    if (!absl::StartsWith(name, kWattsPrefix)) continue;
    watts[name.substr(sizeof(kWattsPrefix) - 1)] = value;
    rules.push_back({name, {}, 0, 1e12});
  }
  FW_ASSIGN_OR_RETURN(const auto params, ReadSelectorParams(spec, rules, BatteryGate::kOff));
  return MakePolicySelector(spec.name, params, std::make_unique<FedZero>(params, std::move(watts)));
}

}  // namespace fedwatt
