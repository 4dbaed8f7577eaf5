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

std::vector<MemberFigures> FiguresOf(const SelectionRequest& request,
                                     std::span<const uint32_t> members) {
  std::vector<MemberFigures> figures;
  figures.reserve(members.size());
  for (const uint32_t member : members) {
    const Candidate& candidate = request.candidates[member];
    figures.push_back({StatisticalUtility(candidate), Duration(candidate), candidate.last_round});
  }
  return figures;
}

std::optional<double> DurationQuantile(std::span<const MemberFigures> members, double share) {
  std::vector<double> durations;
  for (const MemberFigures& member : members) {
    if (member.seconds) durations.push_back(*member.seconds);
  }
  if (durations.empty()) return std::nullopt;
  return Quantile(std::move(durations), share);
}

std::vector<double> OortScores(uint64_t round, std::span<const MemberFigures> members,
                               const OortScoring& scoring) {
  std::vector<double> known;
  for (const MemberFigures& member : members) {
    if (member.utility) known.push_back(*member.utility);
  }
  const double cap = known.empty() ? 1 : Quantile(known, scoring.clip);
  const double least = known.empty() ? 0 : *std::min_element(known.begin(), known.end());
  const double usual = known.empty() ? 1 : std::min(Quantile(std::move(known), 0.5), cap);
  const double ln_round = PortableLn(static_cast<double>(std::max<uint64_t>(round, 1)));
  std::vector<double> scores;
  scores.reserve(members.size());
  for (const MemberFigures& member : members) {
    const double utility = std::min(member.utility.value_or(usual), cap);
    double score = cap > least ? (utility - least) / (cap - least) : 1;
    if (member.last_round > 0) {
      score += std::sqrt(scoring.staleness * ln_round / static_cast<double>(member.last_round));
    }
    if (scoring.pace && member.seconds && *member.seconds > *scoring.pace) {
      score *= PortablePow(*scoring.pace / *member.seconds, scoring.slow_power);
    }
    scores.push_back(score);
  }
  return scores;
}

}  // namespace fedwatt
