#include "simulation/compare/claims.h"

#include <algorithm>
#include <optional>
#include <span>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fedwatt {
namespace {

const SettingRuns* FindRuns(const ReportInput& input, const std::string& setting) {
  const auto found =
      std::find_if(input.settings.begin(), input.settings.end(),
                   [&](const SettingRuns& one) { return one.variant.setting == setting; });
  return found == input.settings.end() ? nullptr : &*found;
}

// By the outcome: the fewest censored runs, then the mean, as tuning chooses.
const SettingRuns* BestOther(const PrimaryOutcome& outcome, const ReportInput& input,
                             const std::string& setting) {
  const SettingRuns* best = nullptr;
  size_t best_censored = 0;
  double best_mean = 0;
  for (const SettingRuns& one : input.settings) {
    if (one.variant.setting == setting) continue;
    size_t censored = 0;
    double sum = 0;
    size_t runs = 0;
    for (const SeedRun& run : one.runs) {
      const auto observed = Observe(run.result, outcome.measure);
      if (!observed.has_value()) continue;
      ++runs;
      sum += observed->value;
      if (observed->censored) ++censored;
    }
    if (runs == 0) continue;
    const double mean = sum / static_cast<double>(runs);
    const bool better = outcome.less_is_better ? mean < best_mean : mean > best_mean;
    if (best == nullptr || censored < best_censored || (censored == best_censored && better)) {
      best = &one;
      best_censored = censored;
      best_mean = mean;
    }
  }
  return best;
}

// Whether a figure that is known up to its bound is on the claimed side of the line.
ClaimVerdict SideOf(const Claim& claim, const Estimate& figure) {
  const bool inside = claim.at_most ? figure.value <= claim.limit : figure.value >= claim.limit;
  // What censored runs would have added can only help, or can only harm.
  const Bound helps = claim.at_most ? Bound::kAtMost : Bound::kAtLeast;
  if (figure.bound == Bound::kExact) return inside ? ClaimVerdict::kHolds : ClaimVerdict::kFails;
  if (figure.bound == Bound::kUnknown) return ClaimVerdict::kOpen;
  if (figure.bound == helps) return inside ? ClaimVerdict::kHolds : ClaimVerdict::kOpen;
  return inside ? ClaimVerdict::kOpen : ClaimVerdict::kFails;
}

ClaimVerdict VerdictOf(const Claim& claim, const Estimate& figure) {
  const ClaimVerdict side = SideOf(claim, figure);
  if (side != ClaimVerdict::kHolds || !claim.interval_excludes_zero) return side;
  const auto& interval = figure.interval;
  const bool excluded =
      interval.has_value() && (claim.at_most ? interval->high < 0 : interval->low > 0);
  return excluded ? ClaimVerdict::kHolds : ClaimVerdict::kFails;
}

// None: a change against a mean that is not above zero.
std::optional<Estimate> FigureOf(const Claim& claim, const Comparison& comparison) {
  return claim.relative ? comparison.change : comparison.difference;
}

// Larger figures of ours harm what is at most something, of the reference what is at least it.
std::optional<TippingPoint> TippingPointOf(const Claim& claim, const Bootstrap& bootstrap,
                                           std::span<const Pair> pairs) {
  return FindTippingPoint(pairs, claim.at_most ? Side::kOurs : Side::kReference,
                          [&](std::span<const Pair> known) {
                            const auto figure = FigureOf(claim, bootstrap.Compare(known));
                            return figure && VerdictOf(claim, *figure) == ClaimVerdict::kHolds;
                          });
}

ClaimReport JudgeOne(const Matrix& matrix, const ReportInput& input, const Claim& claim) {
  ClaimReport report{.claim = claim};
  if (report.claim.measure.empty()) report.claim.measure = matrix.outcome.measure;
  const SettingRuns* const ours = FindRuns(input, claim.setting);
  const SettingRuns* const other = claim.against.empty()
                                       ? BestOther(matrix.outcome, input, claim.setting)
                                       : FindRuns(input, claim.against);
  if (ours == nullptr || other == nullptr) {
    report.why = "not all of its settings were looked at";
    return report;
  }
  report.claim.against = other->variant.setting;
  const std::vector<Pair> pairs = PairsOf(*ours, *other, report.claim.measure);
  if (pairs.empty()) {
    report.why = absl::StrCat("no pair of runs has ", report.claim.measure);
    return report;
  }
  const Bootstrap bootstrap(pairs.size());
  const std::optional<Estimate> figure = FigureOf(claim, bootstrap.Compare(pairs));
  if (!figure.has_value()) {
    report.why = "the other's mean is not above zero";
    return report;
  }
  report.pairs = pairs.size();
  report.figure = *figure;
  if (report.pairs < input.seeds) {
    report.why = absl::StrCat(report.pairs, " of ", input.seeds, " pairs are there");
    return report;
  }
  report.verdict = VerdictOf(claim, *figure);
  if (report.verdict != ClaimVerdict::kOpen) return report;
  report.why = "censored runs could change it";
  report.tipping_point = TippingPointOf(claim, bootstrap, pairs);
  return report;
}

}  // namespace

const char* VerdictName(ClaimVerdict verdict) {
  switch (verdict) {
    case ClaimVerdict::kHolds:
      return "holds";
    case ClaimVerdict::kFails:
      return "fails";
    case ClaimVerdict::kOpen:
      return "open";
  }
  return "open";
}

std::string ClaimReport::Text() const {
  const std::string limit = claim.relative ? absl::StrFormat("%g %%", claim.limit * 100)
                                           : absl::StrFormat("%g", claim.limit);
  return absl::StrCat(claim.measure, " of ", claim.setting, " less that of ",
                      claim.against.empty() ? "the best other" : claim.against, ": at ",
                      claim.at_most ? "most " : "least ", limit,
                      claim.interval_excludes_zero ? ", the interval without 0" : "");
}

std::vector<ClaimReport> JudgeClaims(const Matrix& matrix, const ReportInput& input) {
  std::vector<ClaimReport> reports;
  for (const Claim& claim : matrix.claims) reports.push_back(JudgeOne(matrix, input, claim));
  return reports;
}

}  // namespace fedwatt
