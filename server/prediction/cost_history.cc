#include "server/prediction/cost_history.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "server/prediction/device_class.h"

namespace fedwatt {
namespace {

constexpr double kSigmaPerDeviation = 1.4826;
constexpr double kMinCoverage = 0.5;
constexpr double kJoulesPerUj = 1e-6;

double MedianOf(std::span<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// What nobody saw and somebody extrapolated, as clients do of an upload that is still to come.
bool IsExtrapolated(const EnergySample& sample) {
  return sample.coverage == 0 && (sample.quality == EnergyQuality::kEstimated ||
                                  sample.quality == EnergyQuality::kSimulated);
}

bool IsUsable(const EnergySample& sample) {
  const bool seen = sample.coverage >= kMinCoverage && sample.coverage <= 1;
  return sample.energy_uj && *sample.energy_uj >= 0 &&
         sample.quality != EnergyQuality::kUnavailable && (seen || IsExtrapolated(sample));
}

bool IsBetter(const EnergySample& a, const EnergySample& b) {
  return std::make_tuple(-static_cast<int>(a.scope), static_cast<int>(a.quality)) <
         std::make_tuple(-static_cast<int>(b.scope), static_cast<int>(b.quality));
}

}  // namespace

RecentRates::RecentRates(std::span<const float> values) {
  for (const float value : values) Add(value);
}

void RecentRates::Add(double rate) {
  const auto kept = static_cast<float>(rate);
  if (!std::isfinite(kept) || kept < 0) return;
  rates_[next_] = kept;
  next_ = (next_ + 1) % kKept;
  size_ = std::min(size_ + 1, kKept);
}

double RecentRates::Median() const {
  if (size_ == 0) return 0;
  std::array<double, kKept> values{};
  std::copy_n(rates_.begin(), size_, values.begin());
  return MedianOf({values.data(), size_});
}

double RecentRates::Sigma() const {
  if (size_ == 0) return 0;
  const double median = Median();
  std::array<double, kKept> deviations{};
  for (size_t i = 0; i < size_; ++i) deviations[i] = std::abs(rates_[i] - median);
  return kSigmaPerDeviation * MedianOf({deviations.data(), size_});
}

std::vector<float> RecentRates::values() const {
  std::vector<float> values;
  for (size_t i = 0; i < size_; ++i) {
    values.push_back(rates_[(next_ + kKept - size_ + i) % kKept]);
  }
  return values;
}

ScopeFactor FactorToDevice(const std::string& device_class, EnergyScope scope) {
  return TraitsOf(device_class).to_device[static_cast<size_t>(scope) - 1];
}

CostClaim CostClaimOf(const UpdateMetrics& metrics, const std::vector<EnergySample>& energy,
                      const std::string& device_class) {
  CostClaim claim;
  claim.units = std::max<double>(static_cast<double>(metrics.steps), 1);
  std::map<Phase, const EnergySample*> best;
  for (const EnergySample& sample : energy) {
    if (!IsUsable(sample)) continue;
    const EnergySample*& known = best[sample.phase];
    if (known == nullptr || IsBetter(sample, *known)) known = &sample;
  }
  if (best.contains(Phase::kTrain)) {
    double joules = 0;
    for (const auto& [phase, sample] : best) {
      const ScopeFactor to_device = FactorToDevice(device_class, sample->scope);
      const double part = IsExtrapolated(*sample) ? 1 : sample->coverage;
      const double seen = static_cast<double>(*sample->energy_uj) * kJoulesPerUj / part;
      joules += seen * to_device.factor;
      // Added, not in squares: one meter errs alike in all phases.
      claim.joules_sigma += seen * to_device.sigma;
      if (sample->sigma_uj && *sample->sigma_uj > 0) {
        claim.joules_sigma +=
            static_cast<double>(*sample->sigma_uj) * kJoulesPerUj * to_device.factor;
      }
    }
    claim.joules = joules;
  }
  double seconds = 0;
  for (const auto& [phase, spent] : metrics.seconds_by_phase) seconds += spent;
  if (!metrics.seconds_by_phase.empty() && std::isfinite(seconds) && seconds >= 0) {
    claim.seconds = seconds;
  }
  return claim;
}

void AddClaim(const CostClaim& claim, CostHistory* history) {
  history->units = claim.units;
  if (claim.joules) history->joules.Add(*claim.joules / claim.units);
  if (claim.seconds) history->seconds.Add(*claim.seconds / claim.units);
}

}  // namespace fedwatt
