#include "server/selectors/utility.h"

#include <algorithm>
#include <cmath>

#include "server/selectors/energy_gate.h"
#include "server/selectors/portable_math.h"

namespace fedwatt {
namespace {

constexpr double kMaxSeconds = 1e9;

bool IsFigure(double value) { return std::isfinite(value) && value >= 0; }

// Examples of a bucket are [2^(b-1), 2^b).
double MiddleOfExamples(uint32_t bucket) {
  return 0.75 * std::ldexp(1.0, static_cast<int>(std::min(bucket, 40u)));
}

}  // namespace

std::optional<double> MeanLoss(const Candidate& candidate) {
  if (candidate.last_loss && candidate.last_loss->examples > 0) {
    const LossSums& sums = *candidate.last_loss;
    const double mean = sums.loss_sum / static_cast<double>(sums.examples);
    if (IsFigure(mean)) return mean;
  }
  if (candidate.telemetry.loss) return LossOf(*candidate.telemetry.loss);
  return std::nullopt;
}

std::optional<double> StatisticalUtility(const Candidate& candidate) {
  if (candidate.last_loss && candidate.last_loss->examples > 0) {
    const auto examples = static_cast<double>(candidate.last_loss->examples);
    const double utility = std::sqrt(examples * candidate.last_loss->loss_sq_sum);
    if (IsFigure(utility)) return utility;
  }
  if (!candidate.telemetry.loss || candidate.example_count_bucket == 0) return std::nullopt;
  return MiddleOfExamples(candidate.example_count_bucket) * LossOf(*candidate.telemetry.loss);
}

std::optional<double> Duration(const Candidate& candidate) {
  if (const auto cost = BelievableCost(candidate); cost && cost->seconds > 0) return cost->seconds;
  if (candidate.last_seconds && *candidate.last_seconds >= 0 &&
      *candidate.last_seconds <= kMaxSeconds) {
    return candidate.last_seconds;
  }
  return std::nullopt;
}

double Quantile(std::vector<double> values, double share) {
  const auto at = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  const auto nth = values.begin() + static_cast<ptrdiff_t>(at);
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

std::optional<double> DurationQuantile(const SelectionRequest& request,
                                       std::span<const uint32_t> members, double share) {
  std::vector<double> durations;
  for (const uint32_t member : members) {
    if (const auto seconds = Duration(request.candidates[member])) durations.push_back(*seconds);
  }
  if (durations.empty()) return std::nullopt;
  return Quantile(std::move(durations), share);
}

std::vector<double> OortScores(const SelectionRequest& request, std::span<const uint32_t> members,
                               const OortScoring& scoring) {
  std::vector<std::optional<double>> utilities;
  std::vector<double> known;
  utilities.reserve(members.size());
  for (const uint32_t member : members) {
    utilities.push_back(StatisticalUtility(request.candidates[member]));
    if (utilities.back()) known.push_back(*utilities.back());
  }
  const double cap = known.empty() ? 1 : Quantile(known, scoring.clip);
  const double least = known.empty() ? 0 : *std::min_element(known.begin(), known.end());
  const double usual = known.empty() ? 1 : std::min(Quantile(known, 0.5), cap);
  const double ln_round = PortableLn(static_cast<double>(std::max<uint64_t>(request.key.round, 1)));
  std::vector<double> scores;
  scores.reserve(members.size());
  for (size_t i = 0; i < members.size(); ++i) {
    const Candidate& candidate = request.candidates[members[i]];
    const double utility = std::min(utilities[i].value_or(usual), cap);
    double score = cap > least ? (utility - least) / (cap - least) : 1;
    if (candidate.last_round > 0) {
      score += std::sqrt(scoring.staleness * ln_round / static_cast<double>(candidate.last_round));
    }
    const std::optional<double> seconds = scoring.pace ? Duration(candidate) : std::nullopt;
    if (seconds && *seconds > *scoring.pace) {
      score *= PortablePow(*scoring.pace / *seconds, scoring.slow_power);
    }
    scores.push_back(score);
  }
  return scores;
}

}  // namespace fedwatt
