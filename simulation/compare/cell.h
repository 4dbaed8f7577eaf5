#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/compare/matrix.h"
#include "simulation/measures.h"

// One run of a comparison: this code, one variant, one seed. Its file is written once, when the
// run is over, and says all that is ever asked of it.
namespace fedwatt {

struct Cell {
  Variant variant;
  uint64_t seed = 0;
  std::string code;
  // Of everything that decides the run but code and seed: the job with all overrides, the bytes of
  // the fleet's file, of the files that it names, and of the bundle, and the text of the datasets.
  std::string setting_hash;
  // `fedwatt` and its arguments, without the program's path.
  std::vector<std::string> arguments;

  std::string FileName() const;  // "uniform-1f0c55d1a9e2-b59cd80d1f6a-101.json"
};

// The cells of one variant, one for each seed. What is wrong with its job or files is told here,
// before anything runs.
absl::StatusOr<std::vector<Cell>> MakeCells(const Matrix& matrix, const Variant& variant,
                                            const std::vector<uint64_t>& seeds,
                                            const std::string& code);

// What such a run came to.
struct CellResult {
  std::vector<Measure> measures;
  std::string metric;
  bool less = false;  // is better, of the metric
  std::vector<MeasuredRound> rounds;
  std::string limited_by;
  std::vector<std::string> violations;
  std::string trace_sha256;
  double wall_s = 0;

  const Measure* Find(const std::string& name) const;
};

// `measures_json`: as `fedwatt simulate --measures` writes it.
absl::StatusOr<CellResult> ParseMeasures(const std::string& measures_json,
                                         const std::string& source);
std::string CellText(const Cell& cell, const std::string& measures_json, double wall_s);

// NOT_FOUND: it has not been run. DATA_LOSS: not a cell's file, or another cell's.
absl::StatusOr<CellResult> ReadCell(const std::string& folder, const Cell& cell);

}  // namespace fedwatt
