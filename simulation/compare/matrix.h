#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/window_target.h"

// A comparison as people write it (docs/comparison.md): settings of one job that are run with the
// same seeds. Values are text as after `--set`.
namespace fedwatt {

using JobKeys = std::map<std::string, std::string>;  // dotted key of the job file -> value

struct Sweep {
  std::string key;
  std::vector<std::string> values;
};

struct Setting {
  std::string name;
  std::string fleet;  // empty: the matrix's
  JobKeys set;        // with those of [base]
  std::vector<Sweep> sweeps;
};

struct PrimaryOutcome {
  std::string measure = "joules_to_target";
  bool less_is_better = true;
  std::string reference;  // setting that the others are compared with; empty: the first
  std::optional<WindowTarget> target;
};

// Said before anything runs: a measure of `setting` less that of another one.
struct Claim {
  std::string setting;
  std::string against;   // empty: the best of the others, by the outcome
  std::string measure;   // empty: the outcome's
  bool relative = true;  // a change of the mean, as a share of the other's; else a difference
  bool at_most = true;   // else at least
  double limit = 0;
  bool interval_excludes_zero = false;  // on the claimed side
};

struct Matrix {
  std::string name;
  std::string path;
  std::string job;
  std::string fleet;  // empty: the default one
  uint64_t clients = 100;
  std::string trainer = "synthetic";
  std::string bundle;  // empty: the job's, or a synthetic one of `parameters`
  uint64_t parameters = 10'000;
  // "{seed}" in them is replaced by a run's seed.
  std::string dataset;
  std::string evaluation_dataset;
  std::string local_evaluation_dataset;
  std::map<std::string, std::vector<uint64_t>> seeds;  // by the set's name
  PrimaryOutcome outcome;
  std::vector<Setting> settings;
  std::vector<Claim> claims;

  bool sweeps() const;
  const Setting* Find(const std::string& setting) const;
};

// The sets of seeds that a matrix with sweeps must have.
inline constexpr char kTuning[] = "tuning";
inline constexpr char kConfirmation[] = "confirmation";

// Paths in it are relative to its folder, and made so that they work from here. INVALID_ARGUMENT
// names file, line, key, value and limit; unknown keys are refused.
absl::StatusOr<Matrix> LoadMatrix(const std::string& path);
absl::StatusOr<Matrix> ParseMatrix(const std::string& text, const std::string& path);

// A setting of which everything is chosen.
struct Variant {
  std::string setting;
  std::string fleet;
  JobKeys set;
  JobKeys chosen;  // of these: what its sweeps chose
};

// Every combination of the setting's sweeps, the last one fastest; one, if it has none.
std::vector<Variant> VariantsOf(const Matrix& matrix, const Setting& setting);

// "KEY=VALUE" each, as after --set.
std::vector<std::string> SetArguments(const JobKeys& keys);
// "round.goal=5 selector.params.gamma=1"; "" for none.
std::string KeysText(const JobKeys& keys);

}  // namespace fedwatt
