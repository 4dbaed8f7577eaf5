#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/compare/cell.h"
#include "simulation/compare/matrix.h"
#include "simulation/compare/statistics.h"

// What the runs of a comparison say together. Pure functions.
//
// A censored run counts with what it had come to (CellResult's `at_least`), a restricted mean, and
// makes a bound of every figure that it is in: it is never left out.
namespace fedwatt {

struct SeedRun {
  uint64_t seed = 0;
  CellResult result;
};

struct SettingRuns {
  Variant variant;
  std::vector<SeedRun> runs;  // those that there are
};

struct MeasureReport {
  std::string name;
  std::string unit;
  size_t runs = 0;  // that have it, known or censored
  size_t censored = 0;
  std::optional<Estimate> mean;  // none without runs
  // With the reference, over the seeds that both have; none of the reference itself.
  std::optional<Comparison> against;
};

// One level of the job's metric, and what it took to get there.
struct CurvePoint {
  double level = 0;
  Estimate joules;  // mean over the runs, all of which got there
};

struct SettingReport {
  Variant variant;
  size_t runs = 0;
  std::vector<std::pair<uint64_t, Observation>> outcome;  // by seed
  std::vector<MeasureReport> measures;                    // the outcome's first
  std::vector<CurvePoint> curve;

  const MeasureReport* Find(const std::string& measure) const;
};

struct ComparisonReport {
  std::string name;
  std::string code;
  std::string seeds_name;
  size_t seeds = 0;
  PrimaryOutcome outcome;  // its reference filled in
  std::string metric;      // of the curves
  uint32_t window = 5;
  std::vector<SettingReport> settings;

  const SettingReport* Find(const std::string& setting) const;
};

struct ReportInput {
  std::string code;
  std::string seeds_name;
  size_t seeds = 0;
  std::vector<SettingRuns> settings;  // the matrix's reference, or else the first, compares
};
ComparisonReport MakeReport(const Matrix& matrix, const ReportInput& input);

// What a run says of a measure; none where it does not have it.
std::optional<Observation> Observe(const CellResult& result, const std::string& measure);
// Of the seeds that both have, in the order of ours.
std::vector<Pair> PairsOf(const SettingRuns& ours, const SettingRuns& reference,
                          const std::string& measure);

// The joules with which the mean of the last `window` values first is at `level` (`less`: or
// below). None: it never was.
std::optional<double> JoulesToLevel(const std::vector<MeasuredRound>& rounds, uint32_t window,
                                    double level, bool less);

}  // namespace fedwatt
