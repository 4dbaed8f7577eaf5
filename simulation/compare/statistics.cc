#include "simulation/compare/statistics.h"

#include <algorithm>
#include <numeric>

#include "common/base/rng.h"

namespace fedwatt {
namespace {

// 2.5 % of the resamples lie below the one, and above the other.
constexpr size_t kTail = Bootstrap::kResamples / 40;

ConfidenceInterval PercentileInterval(std::vector<double>* figures) {
  const auto at = [figures](size_t index) {
    const auto place = figures->begin() + static_cast<ptrdiff_t>(index);
    std::nth_element(figures->begin(), place, figures->end());
    return *place;
  };
  ConfidenceInterval interval;
  interval.low = at(kTail - 1);
  interval.high = at(figures->size() - kTail);
  return interval;
}

// Whether the one is less than the other, if that is certain.
bool SurelyLess(const Observation& a, const Observation& b) {
  return !a.censored && a.value < b.value;
}

// A censored run adds less to a mean than it would have.
Bound BoundOf(bool ours, bool reference) {
  if (ours && reference) return Bound::kUnknown;
  return ours ? Bound::kAtLeast : reference ? Bound::kAtMost : Bound::kExact;
}

}  // namespace

Bootstrap::Bootstrap(size_t count) : count_(count), drawn_(kResamples * count) {
  Rng rng(RngKey{.job = "", .round = 0, .client = "", .purpose = "bootstrap", .seed = count});
  for (uint32_t& index : drawn_) index = static_cast<uint32_t>(rng.UniformInt(count));
}

Estimate Bootstrap::Mean(std::span<const Observation> runs) const {
  double sum = 0;
  bool censored = false;
  for (const Observation& run : runs) {
    sum += run.value;
    censored |= run.censored;
  }
  Estimate estimate;
  estimate.value = sum / static_cast<double>(count_);
  estimate.bound = BoundOf(censored, false);
  if (count_ < 2) return estimate;
  std::vector<double> means(kResamples);
  for (size_t i = 0; i < kResamples; ++i) {
    for (const uint32_t index : Resample(i)) means[i] += runs[index].value;
    means[i] /= static_cast<double>(count_);
  }
  estimate.interval = PercentileInterval(&means);
  return estimate;
}

Comparison Bootstrap::Compare(std::span<const Pair> pairs) const {
  Comparison comparison{.pairs = count_};
  double ours = 0;
  double reference = 0;
  bool ours_censored = false;
  bool reference_censored = false;
  for (const Pair& pair : pairs) {
    ours += pair.ours.value;
    reference += pair.reference.value;
    ours_censored |= pair.ours.censored;
    reference_censored |= pair.reference.censored;
    if (SurelyLess(pair.ours, pair.reference)) ++comparison.less;
    if (SurelyLess(pair.reference, pair.ours)) ++comparison.more;
  }
  const Bound bound = BoundOf(ours_censored, reference_censored);
  const auto count = static_cast<double>(count_);
  comparison.difference = {(ours - reference) / count, {}, bound};
  if (reference > 0) comparison.change = Estimate{ours / reference - 1, {}, bound};
  if (count_ < 2) return comparison;
  std::vector<double> differences(kResamples);
  std::vector<double> changes(kResamples);
  bool defined = comparison.change.has_value();
  for (size_t i = 0; i < kResamples; ++i) {
    double a = 0;
    double b = 0;
    for (const uint32_t index : Resample(i)) {
      a += pairs[index].ours.value;
      b += pairs[index].reference.value;
    }
    differences[i] = (a - b) / count;
    defined = defined && b > 0;
    if (defined) changes[i] = a / b - 1;
  }
  comparison.difference.interval = PercentileInterval(&differences);
  if (defined) comparison.change->interval = PercentileInterval(&changes);
  return comparison;
}

}  // namespace fedwatt
