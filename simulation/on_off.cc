#include "simulation/on_off.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

constexpr double kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * 3'600'000;

Rng StretchRng(const OnOffKey& key, uint64_t number) {
  return Rng(RngKey{.job = "",
                    .round = number,
                    .client = absl::StrCat(key.device),
                    .purpose = key.purpose,
                    .seed = key.seed});
}

// The window that begins on the device's `day`.
Interval WindowOf(const OnOff& model, const OnOffKey& key, int64_t day) {
  Rng rng = StretchRng(key, static_cast<uint64_t>(day));
  const double begin = model.start_hour + model.jitter_hours * (2 * rng.Uniform01() - 1);
  const double hours =
      std::clamp(model.hours + model.jitter_hours * (2 * rng.Uniform01() - 1), 0.0, 23.0);
  const int64_t begin_ms = day * kDayMs + static_cast<int64_t>((begin - key.hour_offset) * kHourMs);
  return {begin_ms, begin_ms + static_cast<int64_t>(hours * kHourMs)};
}

void AdvanceDiurnal(const OnOff& model, const OnOffKey& key, int64_t now_ms, OnOffState* state) {
  const int64_t today = now_ms / kDayMs;
  // Windows reach at most two days beyond the day that they are named after.
  for (int64_t day = today - 2; day <= today + 2; ++day) {
    const Interval window = WindowOf(model, key, day);
    if (now_ms < window.begin_ms || now_ms < window.end_ms) {
      state->on = now_ms >= window.begin_ms;
      state->until_ms = state->on ? window.end_ms : window.begin_ms;
      return;
    }
  }
  state->on = false;
  state->until_ms = now_ms + kDayMs;
}

void AdvanceExponential(const OnOff& model, const OnOffKey& key, int64_t now_ms,
                        OnOffState* state) {
  if (state->until_ms == INT64_MIN) {
    Rng rng = StretchRng(key, 0);
    state->on = rng.Uniform01() * (model.mean_on_s + model.mean_off_s) < model.mean_on_s;
    state->on = !state->on;  // turned below
    state->until_ms = key.start_ms;
  }
  while (state->until_ms <= now_ms) {
    Rng rng = StretchRng(key, ++state->stretch);
    state->on = !state->on;
    const double mean_s = state->on ? model.mean_on_s : model.mean_off_s;
    const double stretch_ms = -mean_s * 1000 * std::log1p(-rng.Uniform01());
    state->until_ms += std::max<int64_t>(1, static_cast<int64_t>(stretch_ms));
  }
}

void AdvanceTrace(const OnOff& model, const OnOffKey& key, int64_t now_ms, OnOffState* state) {
  state->on = false;
  state->until_ms = INT64_MAX;
  if (model.traces.empty()) return;
  const std::vector<Interval>& trace = model.traces[key.device % model.traces.size()];
  const int64_t at_ms = now_ms - key.start_ms;
  while (state->stretch < trace.size() && trace[state->stretch].end_ms <= at_ms) ++state->stretch;
  if (state->stretch == trace.size()) return;
  const Interval& next = trace[state->stretch];
  state->on = at_ms >= next.begin_ms;
  state->until_ms = key.start_ms + (state->on ? next.end_ms : next.begin_ms);
}

void AdvanceSolar(const OnOff& model, const OnOffKey& key, int64_t now_ms, OnOffState* state) {
  const TimeSeries* const sun = SunOf(model, key.region == nullptr ? "" : *key.region);
  state->on = false;
  state->until_ms = INT64_MAX;
  if (sun == nullptr) return;
  const int64_t midnight_ms = MidnightOf(key.start_ms);
  const double share = sun->At(now_ms - midnight_ms) / sun->Most();
  state->level = static_cast<uint16_t>(std::lround(share * 1000));
  state->on = state->level > 0;
  state->until_ms = midnight_ms + sun->EndOf(now_ms - midnight_ms);
}

}  // namespace

const TimeSeries* SunOf(const OnOff& model, const std::string& region) {
  const auto found = model.sun.size() == 1 ? model.sun.begin() : model.sun.find(region);
  return found == model.sun.end() ? nullptr : &found->second;
}

void AdvanceOnOff(const OnOff& model, const OnOffKey& key, int64_t now_ms, OnOffState* state) {
  if (now_ms < state->until_ms) return;
  switch (model.pattern) {
    case OnOffPattern::kAlways:
    case OnOffPattern::kNever:
      state->on = model.pattern == OnOffPattern::kAlways;
      state->until_ms = INT64_MAX;
      return;
    case OnOffPattern::kDiurnal:
      return AdvanceDiurnal(model, key, now_ms, state);
    case OnOffPattern::kExponential:
      return AdvanceExponential(model, key, now_ms, state);
    case OnOffPattern::kTrace:
      return AdvanceTrace(model, key, now_ms, state);
    case OnOffPattern::kSolar:
      return AdvanceSolar(model, key, now_ms, state);
  }
}

}  // namespace fedwatt
