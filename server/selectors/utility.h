#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "server/selectors/selector.h"

// How much a client's data promise, and how long it takes (Lai et al.: "Oort: efficient federated
// learning via guided participant selection", OSDI'21). Figures that cannot be true (negative, not
// a number, infinite) are unknown.
namespace fedwatt {

// Per example: of the last report, else the middle of the bucket that the client tells.
std::optional<double> MeanLoss(const Candidate& candidate);

// |B| sqrt(1/|B| sum loss^2), of the last report; else from the buckets of loss and example count.
std::optional<double> StatisticalUtility(const Candidate& candidate);

// Predicted seconds, else those of the last report.
std::optional<double> Duration(const Candidate& candidate);

// The value below which that share of `values` (not empty) lies; share in [0, 1].
double Quantile(std::vector<double> values, double share);

// What scoring needs of a candidate, read in one pass.
struct MemberFigures {
  std::optional<double> utility;
  std::optional<double> seconds;
  uint64_t last_round = 0;
};
std::vector<MemberFigures> FiguresOf(const SelectionRequest& request,
                                     std::span<const uint32_t> members);

// Of the durations that are known. Empty: none is.
std::optional<double> DurationQuantile(std::span<const MemberFigures> members, double share);

struct OortScoring {
  double clip = 0.95;          // utilities above this quantile count as it
  double staleness = 0.1;      // of the term that grows while a client does not take part
  double slow_power = 2;       // of T / t
  std::optional<double> pace;  // T, seconds; empty: nobody is slow
};

// Oort's score of each member: its clipped utility, put into [0, 1] between the least and the
// greatest of those known, + sqrt(staleness ln R / last_round), times (T/t)^slow_power where t > T.
// Members without a known utility count as the median of the others (1 if none is known); those
// that never took part get no staleness term.
std::vector<double> OortScores(uint64_t round, std::span<const MemberFigures> members,
                               const OortScoring& scoring);

}  // namespace fedwatt
