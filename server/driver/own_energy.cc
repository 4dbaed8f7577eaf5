#include "server/driver/own_energy.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"

namespace fedwatt {

OwnEnergy::OwnEnergy(std::unique_ptr<EnergyMeter> meter, double pue)
    : pue_(std::max(pue, 1.0)), meter_(std::move(meter)) {}

void OwnEnergy::Cut() {
  if (open_.empty()) return;
  const EnergySample slice = meter_->End(window_, 0);
  const auto parts = static_cast<double>(open_.size());
  for (auto& [attempt, open] : open_) {
    open.duration_us += slice.duration_us;
    open.shared = open.shared || open_.size() > 1;
    if (!slice.energy_uj) {
      open.reason = slice.reason;
      continue;
    }
    open.quality = slice.quality;
    open.energy_uj += static_cast<double>(*slice.energy_uj) / parts;
    open.sigma_uj += static_cast<double>(slice.sigma_uj.value_or(0)) / parts;
    open.seen_us += static_cast<double>(slice.duration_us) * slice.coverage;
  }
}

void OwnEnergy::Begin(const std::string& attempt, Phase phase) {
  MutexLock lock(&mutex_);
  if (open_.contains(attempt)) return;
  Cut();
  open_[attempt].phase = phase;
  window_ = meter_->Begin(phase);
}

std::vector<EnergySample> OwnEnergy::End(const std::string& attempt) {
  MutexLock lock(&mutex_);
  const auto found = open_.find(attempt);
  if (found == open_.end()) return {};
  Cut();
  EnergySample sample = SampleOf(found->second);
  open_.erase(found);
  if (!open_.empty()) window_ = meter_->Begin(open_.begin()->second.phase);
  return {std::move(sample)};
}

std::vector<EnergySample> OwnEnergy::SoFar(const std::string& attempt) {
  MutexLock lock(&mutex_);
  const auto found = open_.find(attempt);
  if (found == open_.end()) return {};
  Cut();
  window_ = meter_->Begin(open_.begin()->second.phase);
  return {SampleOf(found->second)};
}

EnergySample OwnEnergy::SampleOf(const Open& open) const {
  EnergySample sample;
  sample.source =
      pue_ > 1 ? absl::StrFormat("%s x PUE %.4g", meter_->name(), pue_) : meter_->name();
  sample.scope = meter_->scope();
  sample.phase = open.phase;
  sample.duration_us = open.duration_us;
  if (open.quality == EnergyQuality::kUnavailable) {
    sample.reason = open.reason;
    return sample;
  }
  const bool derived = pue_ > 1 || open.shared;
  sample.quality =
      derived && open.quality == EnergyQuality::kMeasured ? EnergyQuality::kDerived : open.quality;
  sample.energy_uj = std::llround(open.energy_uj * pue_);
  sample.sigma_uj = std::llround(open.sigma_uj * pue_);
  sample.coverage = open.duration_us > 0
                        ? std::clamp(open.seen_us / static_cast<double>(open.duration_us), 0.0, 1.0)
                        : 1;
  return sample;
}

std::vector<EnergySample> AddSpent(std::vector<EnergySample> before,
                                   const std::vector<EnergySample>& since) {
  for (const EnergySample& sample : since) {
    const auto known = std::find_if(before.begin(), before.end(), [&](const EnergySample& other) {
      return other.source == sample.source && other.quality == sample.quality &&
             other.scope == sample.scope && other.phase == sample.phase;
    });
    if (known == before.end()) {
      before.push_back(sample);
      continue;
    }
    const auto us = [](const EnergySample& of) { return static_cast<double>(of.duration_us); };
    if (const double both = us(*known) + us(sample); both > 0) {
      known->coverage = (known->coverage * us(*known) + sample.coverage * us(sample)) / both;
    }
    known->duration_us += sample.duration_us;
    if (!sample.energy_uj || !known->energy_uj) continue;
    known->energy_uj = *known->energy_uj + *sample.energy_uj;
    // One meter errs alike before and after.
    known->sigma_uj = known->sigma_uj.value_or(0) + sample.sigma_uj.value_or(0);
  }
  return before;
}

}  // namespace fedwatt
