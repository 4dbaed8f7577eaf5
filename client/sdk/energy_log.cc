#include "client/sdk/energy_log.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fedwatt {
namespace {

bool SameMeter(const EnergySample& a, const EnergySample& b) {
  return a.source == b.source && a.scope == b.scope && a.phase == b.phase;
}

bool SameKind(const EnergySample& a, const EnergySample& b) {
  if (!SameMeter(a, b)) return false;
  if (!a.energy_uj.has_value() || !b.energy_uj.has_value()) return false;
  return a.quality == b.quality && a.idle_subtracted == b.idle_subtracted;
}

// A sum with an unknown part is unknown.
std::optional<int64_t> Sum(const std::optional<int64_t>& a, const std::optional<int64_t>& b) {
  if (!a.has_value() || !b.has_value()) return std::nullopt;
  return *a + *b;
}

}  // namespace

void PhaseMeter::Begin(Phase phase) {
  phase_ = phase;
  begin_us_ = clock_->MonotonicUs();
  if (meter_ != nullptr) window_ = meter_->Begin(phase);
}

EnergySample PhaseMeter::End(uint64_t bytes) {
  if (meter_ != nullptr) return meter_->End(window_, bytes);
  EnergySample sample;
  sample.source = "none";
  sample.phase = phase_;
  sample.duration_us = clock_->MonotonicUs() - begin_us_;
  sample.bytes = bytes;
  sample.reason = "this client has no energy meter";
  return sample;
}

namespace {

void AddTimeAndBytes(const EnergySample& sample, EnergySample* known) {
  const double total_us = static_cast<double>(known->duration_us + sample.duration_us);
  if (total_us > 0) {
    known->coverage = (known->coverage * static_cast<double>(known->duration_us) +
                       sample.coverage * static_cast<double>(sample.duration_us)) /
                      total_us;
  }
  known->duration_us += sample.duration_us;
  known->bytes += sample.bytes;
}

// True if one of the two has no figure: the one that has it stays, and covers less of the time.
bool MergeGap(const EnergySample& sample, EnergySample* known) {
  if (!SameMeter(sample, *known)) return false;
  if (sample.energy_uj.has_value() && known->energy_uj.has_value()) return false;
  if (!sample.energy_uj.has_value()) {
    AddTimeAndBytes(sample, known);
    return true;
  }
  EnergySample merged = sample;
  merged.beside.clear();
  AddTimeAndBytes(*known, &merged);
  *known = std::move(merged);
  return true;
}

// Without regard to what is beside it.
void AddOne(const EnergySample& sample, std::vector<EnergySample>* samples) {
  for (EnergySample& known : *samples) {
    if (MergeGap(sample, &known)) return;
    if (!SameKind(known, sample)) continue;
    AddTimeAndBytes(sample, &known);
    known.energy_uj = Sum(known.energy_uj, sample.energy_uj);
    known.machine_energy_uj = Sum(known.machine_energy_uj, sample.machine_energy_uj);
    if (known.sigma_uj.has_value() && sample.sigma_uj.has_value()) {
      known.sigma_uj = std::llround(
          std::hypot(static_cast<double>(*known.sigma_uj), static_cast<double>(*sample.sigma_uj)));
    } else {
      known.sigma_uj.reset();
    }
    return;
  }
  samples->push_back(sample);
  samples->back().beside.clear();
}

}  // namespace

void AddEnergySample(const EnergySample& sample, std::vector<EnergySample>* samples) {
  AddOne(sample, samples);
  for (const EnergySample& other : sample.beside) AddOne(other, samples);
}

void UploadEnergyEstimate::Learn(const EnergySample& upload) {
  for (const EnergySample& other : upload.beside) {
    const auto known = std::find_if(beside_.begin(), beside_.end(), [&](const auto& estimate) {
      return estimate.latest_.source == other.source;
    });
    (known == beside_.end() ? beside_.emplace_back() : *known).Learn(other);
  }
  if (!upload.energy_uj.has_value() || upload.bytes == 0) return;
  if (uploads_ > 0 && (latest_.source != upload.source || latest_.scope != upload.scope)) {
    UploadEnergyEstimate fresh;
    fresh.beside_ = std::move(beside_);
    *this = std::move(fresh);
  }
  latest_ = upload;
  latest_.beside.clear();
  ++uploads_;
  const double bytes = static_cast<double>(upload.bytes);
  const double rate = static_cast<double>(*upload.energy_uj) / bytes;
  energy_uj_ += static_cast<double>(*upload.energy_uj);
  duration_us_ += static_cast<double>(upload.duration_us);
  bytes_ += bytes;
  rate_sum_ += rate;
  rate_sum_sq_ += rate * rate;
}

EnergySample UploadEnergyEstimate::Estimate(uint64_t bytes) const {
  EnergySample sample;
  for (const UploadEnergyEstimate& other : beside_) {
    if (other.uploads_ > 0) sample.beside.push_back(other.Estimate(bytes));
  }
  sample.phase = Phase::kUpload;
  sample.bytes = bytes;
  if (uploads_ == 0) {
    sample.source = "none";
    sample.reason = "a report is sent before its upload is metered, and no earlier upload is known";
    return sample;
  }
  const double share = static_cast<double>(bytes) / bytes_;
  const double count = static_cast<double>(uploads_);
  sample.source = latest_.source;
  sample.scope = latest_.scope;
  sample.quality = latest_.quality == EnergyQuality::kSimulated ? EnergyQuality::kSimulated
                                                                : EnergyQuality::kEstimated;
  sample.idle_subtracted = latest_.idle_subtracted;
  sample.energy_uj = std::llround(energy_uj_ * share);
  sample.duration_us = std::llround(duration_us_ * share);
  if (uploads_ > 1) {
    const double mean = rate_sum_ / count;
    const double variance = std::max(0.0, (rate_sum_sq_ - count * mean * mean) / (count - 1));
    sample.sigma_uj = std::llround(std::sqrt(variance) * static_cast<double>(bytes));
  }
  return sample;
}

}  // namespace fedwatt
