#include "client/app/condition_setup.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/sdk/linux_conditions.h"
#include "common/base/cpu_time.h"

namespace fedwatt::client {
namespace {

// What a desktop's background takes at most; a person at work takes more.
constexpr double kIdleLoad = 0.25;

}  // namespace

ConditionRules RulesOf(const ClientConfig& config) {
  ConditionRules rules;
  rules.require_charging = config.require_charging;
  if (config.min_charge_percent.has_value()) rules.min_charge = *config.min_charge_percent / 100;
  rules.max_temperature_c = config.max_temperature_c;
  rules.allow_metered = config.allow_metered;
  if (config.require_idle) rules.max_load = kIdleLoad;
  return rules;
}

std::unique_ptr<DeviceConditions> FindConditions(const ClientConfig& config, const Clock* clock,
                                                 const Trainer* trainer) {
  LinuxConditionsOptions options;
  options.root = config.sysfs_root;
  options.clock = clock;
  options.own_cpu_time_us = [trainer] { return SelfCpuTimeUs() + trainer->ChildCpuTimeUs(); };
  if (config.metered != "auto") options.metered = config.metered == "yes";
  options.metered_file = config.metered_file;
  return MakeLinuxConditions(std::move(options));
}

std::string DescribeConditions(const ClientConfig& config, const DeviceState& state) {
  std::vector<std::string> known;
  if (state.charging.has_value()) {
    known.emplace_back(*state.charging ? "on external power" : "on battery");
  }
  if (state.charge.has_value()) {
    known.push_back(absl::StrFormat("charge %.0f %%", *state.charge * 100));
  }
  if (state.temperature_c.has_value()) {
    known.push_back(absl::StrFormat("%s %.1f C", state.hottest, *state.temperature_c));
  }
  if (state.load.has_value()) {
    known.push_back(absl::StrFormat("processors busy to %.0f %%", *state.load * 100));
  }
  if (state.metered.has_value()) {
    known.emplace_back(*state.metered ? "network metered" : "network not metered");
  }
  known.insert(known.end(), state.flaws.begin(), state.flaws.end());
  const Verdict verdict = Judge(RulesOf(config), state, Moment::kBegin);
  for (const std::string& unchecked : verdict.unchecked) {
    known.push_back(absl::StrCat("NOT CHECKED: ", unchecked));
  }
  known.push_back(verdict.ok() ? "would take part now"
                               : absl::StrCat("would not take part now: ", verdict.text));
  return absl::StrJoin(known, "; ");
}

}  // namespace fedwatt::client
