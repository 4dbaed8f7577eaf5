#pragma once

#include <optional>
#include <string>
#include <vector>

#include "simulation/compare/report.h"
#include "simulation/compare/tipping_point.h"

// What a matrix claimed before it was run, and what became of it.
namespace fedwatt {

enum class ClaimVerdict {
  kHolds,
  kFails,
  kOpen  // runs are missing or censored so that it cannot be told
};
const char* VerdictName(ClaimVerdict verdict);

struct ClaimReport {
  Claim claim;      // its measure and `against` filled in
  Estimate figure;  // the change or difference that it is about
  size_t pairs = 0;
  ClaimVerdict verdict = ClaimVerdict::kOpen;
  std::string why;  // of kOpen
  // Of kOpen by censored runs: up to where the claim holds all the same.
  std::optional<TippingPoint> tipping_point;

  // "joule's joules_to_target is at least 10 % less than oort's, its interval excludes 0".
  std::string Text() const;
};

std::vector<ClaimReport> JudgeClaims(const Matrix& matrix, const ReportInput& input);

}  // namespace fedwatt
