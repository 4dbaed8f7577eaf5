#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "simulation/time_series.h"

// Something of a device that is on and off: its being available, its charging. Deterministic: the
// changes are a function of (seed, device, purpose). Times are virtual wall-clock milliseconds.
namespace fedwatt {

enum class OnOffPattern {
  kAlways,
  kNever,
  kDiurnal,      // every day from start_hour, local time, for `hours`, both give or take jitter
  kExponential,  // on and off for exponential times
  kTrace,        // intervals of a file; over after the last
  kSolar         // on while the sun of the device's region gives anything
};

struct Interval {
  int64_t begin_ms = 0;  // since the simulation's start
  int64_t end_ms = 0;    // excluded
};

struct OnOff {
  OnOffPattern pattern = OnOffPattern::kAlways;
  double start_hour = 22;
  double hours = 8;
  double jitter_hours = 1;
  double mean_on_s = 3600;
  double mean_off_s = 3600;
  std::string path;                           // kTrace, kSolar
  std::vector<std::vector<Interval>> traces;  // read from it; device i has the (i mod n)-th
  std::map<std::string, TimeSeries> sun;      // watts by region; one alone is everybody's
};

// Which device, for what. `hour_offset`: its local time.
struct OnOffKey {
  uint64_t seed = 0;
  uint64_t device = 0;
  const char* purpose = "";
  double hour_offset = 0;
  int64_t start_ms = 0;  // of the simulation
  const std::string* region = nullptr;
};

// Where a device stands: 16 bytes, kept while it is dormant.
struct OnOffState {
  int64_t until_ms =
      INT64_MIN;  // of the present stretch; INT64_MIN: not begun; INT64_MAX: for ever
  uint32_t stretch = 0;
  uint16_t level = 1000;  // kSolar: power, in thousandths of the series' most
  bool on = false;
};

// The sun of that region. Null: there is none.
const TimeSeries* SunOf(const OnOff& model, const std::string& region);

// Moves on to the stretch that `now_ms` is in, which must not be before the last one asked for.
void AdvanceOnOff(const OnOff& model, const OnOffKey& key, int64_t now_ms, OnOffState* state);

}  // namespace fedwatt
