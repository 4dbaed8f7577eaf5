#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/sdk/device_conditions.h"

// When the device's owner lets it work. The decision is a pure function of the rules and of what
// the device says of itself.
//
// A figure that is unknown breaks no rule: a device without a thermometer takes part all the same.
// What could not be checked is said (Verdict::unchecked), so that nobody relies on it.
//
// Work that is stopped half-way is energy wasted. So a device has to be better than its rules by a
// margin when it begins (or takes on work), and meets them with none while it works.
namespace fedwatt {

// What a rule is about; all that leaves the device of why it stopped (never the figures).
enum class Condition { kNone, kPower, kBattery, kTemperature, kNetwork, kBusy, kHost };
const char* ConditionName(Condition condition);  // "battery"

struct ConditionRules {
  bool require_charging = false;
  // 0 to 1: the battery's floor. Does not bind on external power.
  std::optional<double> min_charge;
  std::optional<double> max_temperature_c;
  bool allow_metered = false;  // a network that is known to be metered
  // 0 to 1: of the processors, busy with other things than this client.
  std::optional<double> max_load;
  // The app's own: why it should not work now, or empty. Called as DeviceConditions::Read is. Its
  // text stays on the device.
  std::function<std::string()> host;

  static constexpr double kChargeMargin = 0.05;
  static constexpr double kTemperatureMarginC = 5;
};

enum class Moment { kBegin, kWork };

struct Verdict {
  Condition broken = Condition::kNone;
  std::string text;                    // "charge 14 %, the floor is 20 %"; stays on the device
  std::vector<std::string> unchecked;  // "the battery's floor: the charge is unknown"

  bool ok() const { return broken == Condition::kNone; }
};

// The first broken rule, in the order of Condition.
Verdict Judge(const ConditionRules& rules, const DeviceState& state, Moment moment);

// Whether bytes may go over the network: of the rules, that of metered networks alone. For an
// update that is trained already, the energy is spent, and what is left to do is small.
Verdict JudgeNetwork(const ConditionRules& rules, const DeviceState& state);

}  // namespace fedwatt
