#pragma once

// Booking joules: which figures of a report are believed, and how figures are added.
//
// Law 6: figures that differ in source, quality or scope are never added, and a missing figure is
// counted, never taken for zero. Pure functions, thread-safe.

#include <cstdint>
#include <string>
#include <vector>

#include "common/energy/energy_sample.h"
#include "common/model/job_view.h"

namespace fedwatt {

// No device spends 10^9 J (278 kWh) on one phase of one assignment; the bound also keeps
// thousands of samples within int64 microjoules.
inline constexpr int64_t kMaxSampleEnergyUj = 1'000'000'000'000'000;

// The longest believable window: 366 days.
inline constexpr int64_t kMaxSampleDurationUs = int64_t{366} * 24 * 3600 * 1'000'000;

struct Booking {
  // At most bounds::kMaxEnergySamples, one per (phase, source, quality, scope).
  std::vector<EnergySample> samples;
  std::vector<std::string> flags;  // what was refused and why, for a log line
};

// What of a client's claim is booked. A sample with a figure that cannot be true (negative, not a
// number, beyond the limits above) is kept as unavailable with the reason, so that the gap shows.
// A second sample of a (phase, source, quality, scope) and those beyond the limit are dropped: a
// client adds up what is alike. Booking what was booked changes nothing.
Booking BookSamples(const std::vector<EnergySample>& claimed);

// What a further claim of the same assignment adds to what is booked of it. Each claim is of all
// that the work cost so far, yet what one gives as an estimate (an upload, before it is sent) the
// next may give as measured. So (phase, source, scope) by itself, of all qualities together, is
// booked up to the larger of the two sums: no joule is forgotten, none is booked twice. The new
// part is of those qualities that grew, best first. A sample without a figure is new only where
// there was none of its (phase, source).
std::vector<EnergySample> NotBookedYet(const std::vector<EnergySample>& claimed,
                                       const std::vector<EnergySample>& booked);

// Where joules go: to an update that counts, or to work that was thrown away.
enum class JouleUse { kUseful = 1, kWasted };

// Adds one booked sample to the total of its (source, quality, scope). Sums saturate.
void AddSample(const EnergySample& sample, JouleUse use, std::vector<EnergyTotal>* totals);

// Adds each of `from` to the total of its kind.
void AddTotals(const std::vector<EnergyTotal>& from, std::vector<EnergyTotal>* totals);

}  // namespace fedwatt
