#include "simulation/battery.h"

#include <algorithm>
#include <cmath>

namespace fedwatt {
namespace {

// A charger feeds the load beside the battery; of a panel's power the load comes first.
double RateW(const BatteryModel& battery, const Plug& plug, const OnOffState& charging,
             double load_w) {
  const double drain_w = battery.idle_w + load_w;
  if (!charging.on) return -drain_w;
  if (plug.model->pattern != OnOffPattern::kSolar) return battery.charge_w;
  return battery.charge_w * charging.level / 1000 - drain_w;
}

// To the end of the stretch or `now_ms`; false: now_ms was reached.
bool AdvanceStretch(const BatteryModel& battery, const Plug& plug, double load_w, int64_t now_ms,
                    BatteryState* state) {
  AdvanceOnOff(*plug.model, plug.key, state->at_ms, &state->charging);
  const int64_t until_ms = std::min(now_ms, state->charging.until_ms);
  const double seconds = static_cast<double>(until_ms - state->at_ms) / 1000;
  state->charge_j =
      std::clamp(state->charge_j + RateW(battery, plug, state->charging, load_w) * seconds, 0.0,
                 battery.capacity_j);
  state->at_ms = until_ms;
  return until_ms < now_ms;
}

// Milliseconds until the charge goes from `from_j` to `to_j`, rounded up.
int64_t MillisTo(double from_j, double to_j, double rate_w) {
  return static_cast<int64_t>(std::ceil((to_j - from_j) / rate_w * 1000));
}

}  // namespace

void AdvanceBattery(const BatteryModel& battery, const Plug& plug, double load_w, int64_t now_ms,
                    BatteryState* state) {
  if (battery.capacity_j <= 0) {
    state->at_ms = now_ms;
    return;
  }
  while (state->at_ms < now_ms && AdvanceStretch(battery, plug, load_w, now_ms, state)) {
  }
  AdvanceOnOff(*plug.model, plug.key, now_ms, &state->charging);
}

std::optional<int64_t> EmptyAtMs(const BatteryModel& battery, const Plug& plug, double load_w,
                                 int64_t horizon_ms, const BatteryState& state) {
  if (battery.capacity_j <= 0) return std::nullopt;
  BatteryState ahead = state;
  const int64_t end_ms = state.at_ms + horizon_ms;
  while (ahead.at_ms < end_ms) {
    AdvanceOnOff(*plug.model, plug.key, ahead.at_ms, &ahead.charging);
    const double rate_w = RateW(battery, plug, ahead.charging, load_w);
    const int64_t until_ms = std::min(end_ms, ahead.charging.until_ms);
    if (rate_w < 0) {
      const int64_t empty_ms = ahead.at_ms + MillisTo(ahead.charge_j, 0, rate_w);
      if (empty_ms <= until_ms) return empty_ms;
    }
    AdvanceStretch(battery, plug, load_w, until_ms, &ahead);
  }
  return std::nullopt;
}

std::optional<int64_t> ChargedAtMs(const BatteryModel& battery, const Plug& plug, double charge_j,
                                   int64_t horizon_ms, const BatteryState& state) {
  if (battery.capacity_j <= 0 || state.charge_j >= charge_j) return state.at_ms;
  BatteryState ahead = state;
  const int64_t end_ms = state.at_ms + horizon_ms;
  while (ahead.at_ms < end_ms) {
    AdvanceOnOff(*plug.model, plug.key, ahead.at_ms, &ahead.charging);
    const double rate_w = RateW(battery, plug, ahead.charging, 0);
    const int64_t until_ms = std::min(end_ms, ahead.charging.until_ms);
    if (rate_w > 0) {
      const int64_t there_ms = ahead.at_ms + MillisTo(ahead.charge_j, charge_j, rate_w);
      if (there_ms <= until_ms) return there_ms;
    }
    AdvanceStretch(battery, plug, 0, until_ms, &ahead);
  }
  return std::nullopt;
}

}  // namespace fedwatt
