#include "client/sdk/condition_rules.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fedwatt {
namespace {

std::string Percent(double share) { return absl::StrFormat("%.4g %%", share * 100); }

void Break(Verdict* verdict, Condition condition, std::string text) {
  if (!verdict->ok()) return;
  verdict->broken = condition;
  verdict->text = std::move(text);
}

void JudgePower(const ConditionRules& rules, const DeviceState& state, Verdict* verdict) {
  if (!rules.require_charging) return;
  if (!state.charging.has_value()) {
    verdict->unchecked.emplace_back("external power: unknown");
  } else if (!*state.charging) {
    Break(verdict, Condition::kPower, "on battery, external power is required");
  }
}

void JudgeBattery(const ConditionRules& rules, const DeviceState& state, Moment moment,
                  Verdict* verdict) {
  if (!rules.min_charge.has_value() || state.charging.value_or(false)) return;
  if (!state.charge.has_value()) {
    verdict->unchecked.emplace_back("the battery's floor: the charge is unknown");
    return;
  }
  const double floor = *rules.min_charge;
  if (*state.charge < floor) {
    Break(verdict, Condition::kBattery,
          absl::StrCat("charge ", Percent(*state.charge), ", the floor is ", Percent(floor)));
  } else if (moment == Moment::kBegin &&
             *state.charge < std::min(floor + ConditionRules::kChargeMargin, 1.0)) {
    Break(verdict, Condition::kBattery,
          absl::StrCat("charge ", Percent(*state.charge), ", too near the floor of ",
                       Percent(floor), " to begin"));
  }
}

void JudgeTemperature(const ConditionRules& rules, const DeviceState& state, Moment moment,
                      Verdict* verdict) {
  if (!rules.max_temperature_c.has_value()) return;
  if (!state.temperature_c.has_value()) {
    verdict->unchecked.emplace_back("the limit of temperature: no sensor tells it");
    return;
  }
  const double limit = *rules.max_temperature_c;
  const std::string is = absl::StrFormat("%s %.1f C", state.hottest, *state.temperature_c);
  if (*state.temperature_c > limit) {
    Break(verdict, Condition::kTemperature, absl::StrFormat("%s, the limit is %.1f C", is, limit));
  } else if (moment == Moment::kBegin &&
             *state.temperature_c > limit - ConditionRules::kTemperatureMarginC) {
    Break(verdict, Condition::kTemperature,
          absl::StrFormat("%s, too near the limit of %.1f C to begin", is, limit));
  }
}

void JudgeMetered(const ConditionRules& rules, const DeviceState& state, Verdict* verdict) {
  // Most hosts do not know, and nobody asked: not worth a word.
  if (rules.allow_metered || !state.metered.value_or(false)) return;
  Break(verdict, Condition::kNetwork, "the network is metered");
}

void JudgeLoad(const ConditionRules& rules, const DeviceState& state, Verdict* verdict) {
  if (!rules.max_load.has_value()) return;
  if (!state.load.has_value()) {
    verdict->unchecked.emplace_back("whether the device is idle: its load is unknown");
  } else if (*state.load > *rules.max_load) {
    Break(verdict, Condition::kBusy,
          absl::StrCat("busy, others use ", Percent(*state.load),
                       " of the processors, the limit is ", Percent(*rules.max_load)));
  }
}

}  // namespace

const char* ConditionName(Condition condition) {
  switch (condition) {
    case Condition::kNone:
      return "none";
    case Condition::kPower:
      return "power";
    case Condition::kBattery:
      return "battery";
    case Condition::kTemperature:
      return "temperature";
    case Condition::kNetwork:
      return "network";
    case Condition::kBusy:
      return "busy";
    case Condition::kHost:
      return "app";
  }
  return "unknown";
}

Verdict Judge(const ConditionRules& rules, const DeviceState& state, Moment moment) {
  Verdict verdict;
  JudgePower(rules, state, &verdict);
  JudgeBattery(rules, state, moment, &verdict);
  JudgeTemperature(rules, state, moment, &verdict);
  JudgeMetered(rules, state, &verdict);
  JudgeLoad(rules, state, &verdict);
  if (rules.host != nullptr) {
    if (std::string reason = rules.host(); !reason.empty()) {
      Break(&verdict, Condition::kHost, std::move(reason));
    }
  }
  return verdict;
}

Verdict JudgeNetwork(const ConditionRules& rules, const DeviceState& state) {
  Verdict verdict;
  JudgeMetered(rules, state, &verdict);
  return verdict;
}

}  // namespace fedwatt
