#include "server/ledger/energy_ledger.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"

namespace fedwatt {
namespace {

template <typename Int>
Int SaturatingAdd(Int a, Int b) {
  Int sum;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<Int>::max() : sum;
}

std::string RangeFault(const char* name, int64_t value, int64_t max) {
  if (value >= 0 && value <= max) return "";
  return absl::StrCat(name, " = ", value, ": must be 0 to ", max);
}

// Why the sample is not believed; empty if it is.
std::string Fault(const EnergySample& sample) {
  std::string fault;
  const auto check = [&fault](const char* name, const std::optional<int64_t>& value, int64_t max) {
    if (fault.empty() && value.has_value()) fault = RangeFault(name, *value, max);
  };
  check("energy_uj", sample.energy_uj, kMaxSampleEnergyUj);
  check("sigma_uj", sample.sigma_uj, kMaxSampleEnergyUj);
  check("machine_energy_uj", sample.machine_energy_uj, kMaxSampleEnergyUj);
  check("duration_us", sample.duration_us, kMaxSampleDurationUs);
  if (fault.empty() && !(sample.coverage >= 0 && sample.coverage <= 1)) {  // also NaN
    fault = absl::StrCat("coverage = ", sample.coverage, ": must be 0 to 1");
  }
  if (fault.empty() && sample.quality == EnergyQuality::kUnavailable && sample.energy_uj) {
    fault = absl::StrCat("energy_uj = ", *sample.energy_uj, " of quality unavailable");
  }
  return fault;
}

EnergySample Refused(EnergySample sample, const std::string& fault) {
  sample.quality = EnergyQuality::kUnavailable;
  sample.energy_uj.reset();
  sample.sigma_uj.reset();
  sample.machine_energy_uj.reset();
  sample.coverage = 0;
  sample.duration_us = std::clamp<int64_t>(sample.duration_us, 0, kMaxSampleDurationUs);
  sample.reason = absl::StrCat("refused: ", fault);
  return sample;
}

EnergyTotal& TotalOf(const std::string& source, EnergyQuality quality, EnergyScope scope,
                     std::vector<EnergyTotal>* totals) {
  for (EnergyTotal& total : *totals) {
    if (total.source == source && total.quality == quality && total.scope == scope) return total;
  }
  EnergyTotal total;
  total.source = source;
  total.quality = quality;
  total.scope = scope;
  return totals->emplace_back(std::move(total));
}

}  // namespace

Booking BookSamples(const std::vector<EnergySample>& claimed) {
  Booking booking;
  std::set<std::tuple<Phase, std::string, EnergyQuality, EnergyScope>> seen;
  for (const EnergySample& sample : claimed) {
    const std::string name = absl::StrCat(sample.source, "/", PhaseName(sample.phase));
    if (sample.source.empty() || sample.source.size() > bounds::kMaxNameLength) {
      booking.flags.push_back(absl::StrCat("dropped a sample whose source has ",
                                           sample.source.size(), " bytes; the limit is 1 to ",
                                           bounds::kMaxNameLength));
    } else if (booking.samples.size() == bounds::kMaxEnergySamples) {
      booking.flags.push_back(absl::StrCat("dropped the samples from ", name,
                                           " on: more than the limit of ",
                                           bounds::kMaxEnergySamples));
      break;
    } else if (!seen.emplace(sample.phase, sample.source, sample.quality, sample.scope).second) {
      booking.flags.push_back(absl::StrCat("dropped a second sample of ", name));
    } else if (const std::string fault = Fault(sample); !fault.empty()) {
      booking.flags.push_back(absl::StrCat(name, ": ", fault));
      booking.samples.push_back(Refused(sample, fault));
    } else {
      booking.samples.push_back(sample);
      if (!sample.energy_uj) booking.samples.back().quality = EnergyQuality::kUnavailable;
    }
  }
  return booking;
}

namespace {

// Sum of what is known of the samples that `match`.
template <typename Match>
int64_t SumOf(const std::vector<EnergySample>& samples, const Match& match) {
  int64_t sum = 0;
  for (const EnergySample& sample : samples) {
    if (match(sample)) sum = SaturatingAdd(sum, sample.energy_uj.value_or(0));
  }
  return sum;
}

bool SameMeter(const EnergySample& a, const EnergySample& b) {
  return a.phase == b.phase && a.source == b.source && a.scope == b.scope;
}

// `share` of what the sample says.
EnergySample PartOf(const EnergySample& sample, int64_t energy_uj) {
  EnergySample part = sample;
  if (energy_uj == *sample.energy_uj) return part;
  const double share = static_cast<double>(energy_uj) / static_cast<double>(*sample.energy_uj);
  const auto of = [share](int64_t all) { return std::llround(static_cast<double>(all) * share); };
  part.energy_uj = energy_uj;
  if (part.sigma_uj) part.sigma_uj = of(*part.sigma_uj);
  if (part.machine_energy_uj) part.machine_energy_uj = of(*part.machine_energy_uj);
  part.duration_us = of(part.duration_us);
  part.bytes = static_cast<uint64_t>(of(static_cast<int64_t>(part.bytes)));
  return part;
}

}  // namespace

std::vector<EnergySample> NotBookedYet(const std::vector<EnergySample>& claimed,
                                       const std::vector<EnergySample>& booked) {
  if (booked.empty()) return claimed;
  std::vector<EnergySample> by_quality = claimed;
  std::stable_sort(by_quality.begin(), by_quality.end(),
                   [](const auto& a, const auto& b) { return a.quality < b.quality; });
  std::vector<EnergySample> added;
  for (const EnergySample& sample : by_quality) {
    if (!sample.energy_uj) {
      const bool known = std::any_of(booked.begin(), booked.end(), [&](const EnergySample& other) {
        return other.phase == sample.phase && other.source == sample.source;
      });
      if (!known) added.push_back(sample);
      continue;
    }
    const auto same = [&](const EnergySample& other) { return SameMeter(sample, other); };
    const auto alike = [&](const EnergySample& other) {
      return same(other) && other.quality == sample.quality;
    };
    const int64_t grew = *sample.energy_uj - SumOf(booked, alike);
    const int64_t room =
        SumOf(claimed, same) - SaturatingAdd(SumOf(booked, same), SumOf(added, same));
    const int64_t more = std::min(grew, room);
    if (more > 0) added.push_back(PartOf(sample, more));
  }
  return added;
}

void AddSample(const EnergySample& sample, JouleUse use, std::vector<EnergyTotal>* totals) {
  EnergyTotal& total = TotalOf(sample.source, sample.quality, sample.scope, totals);
  ++total.samples;
  if (!sample.energy_uj) {
    ++total.unavailable;
    return;
  }
  int64_t& sum = use == JouleUse::kUseful ? total.useful_uj : total.wasted_uj;
  sum = SaturatingAdd(sum, *sample.energy_uj);
}

void AddTotals(const std::vector<EnergyTotal>& from, std::vector<EnergyTotal>* totals) {
  for (const EnergyTotal& more : from) {
    EnergyTotal& total = TotalOf(more.source, more.quality, more.scope, totals);
    total.useful_uj = SaturatingAdd(total.useful_uj, more.useful_uj);
    total.wasted_uj = SaturatingAdd(total.wasted_uj, more.wasted_uj);
    total.samples = SaturatingAdd(total.samples, more.samples);
    total.unavailable = SaturatingAdd(total.unavailable, more.unavailable);
  }
}

}  // namespace fedwatt
