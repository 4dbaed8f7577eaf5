#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

// Surplus of renewable power by domain over time, for selector "fedzero": what the sites of a
// domain could draw now without anybody burning anything for it. From a file that its operator
// keeps, measured or forecast:
//
//   time,domain,watts
//   2026-06-01T10:00:00Z,solar-south,3500
//   2026-06-01T10:00:00Z,wind-coast,0
//   2026-06-01T11:00:00Z,solar-south,4100
namespace fedwatt {

// Times ascend within a domain; a figure holds until the domain's next one, but not longer than the
// usual step between its figures (an hour where there is one alone). Beyond, and before the first,
// the surplus is unknown, which is not zero. Immutable, thread-safe.
class SurplusSeries {
 public:
  // `name` leads the errors, which give the line. INVALID_ARGUMENT: not these columns, a time that
  // goes back, watts that are negative or above 10^12, more than 1,000 domains or 500,000 figures.
  static absl::StatusOr<SurplusSeries> Parse(const std::string& text, const std::string& name);

  // Watts of each domain of which they are known.
  std::map<std::string, double> At(int64_t now_ms) const;

 private:
  struct Point {
    int64_t time_ms = 0;
    double watts = 0;
  };
  struct Domain {
    std::vector<Point> points;
    int64_t hold_ms = 0;
  };

  std::map<std::string, Domain> domains_;
};

}  // namespace fedwatt
