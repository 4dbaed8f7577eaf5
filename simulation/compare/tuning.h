#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/compare/cell.h"
#include "simulation/compare/matrix.h"

// What a setting's sweeps choose: of its variants the one with the fewest censored runs, of those
// the best mean of the outcome, on the tuning seeds alone. It is written down before anything runs
// on other seeds, and what runs there is what is written down.
namespace fedwatt {

struct TunedVariant {
  JobKeys chosen;
  size_t runs = 0;
  size_t censored = 0;  // that ended before the outcome was there
  double mean = 0;      // of the outcome; a censored run counts with what it had come to
};

struct TunedSetting {
  std::string setting;
  std::string code;                    // that ran
  std::vector<TunedVariant> variants;  // in the order of VariantsOf
  size_t best = 0;                     // its index; of equals the first
};

// `results`: of one variant after the other, one for each seed. INVALID_ARGUMENT: a run does not
// have the outcome's measure.
absl::StatusOr<TunedSetting> Tune(const Matrix& matrix, const std::vector<Variant>& variants,
                                  const std::vector<std::vector<CellResult>>& results);

// The file `tuned.toml`: what was chosen, and by which figures.
std::string TunedText(const Matrix& matrix, const std::vector<TunedSetting>& settings);
// By the setting's name. INVALID_ARGUMENT: not such a file.
absl::StatusOr<std::map<std::string, TunedSetting>> ParseTuned(const std::string& text,
                                                               const std::string& path);
// Whether it has a choice for every setting with sweeps, which the matrix as it is now still has.
absl::Status CheckTuned(const Matrix& matrix, const std::map<std::string, TunedSetting>& tuned,
                        const std::string& path);

// Whether runs of this matrix have the measures of its outcome and its claims.
absl::Status CheckMeasures(const Matrix& matrix);

}  // namespace fedwatt
