#pragma once

#include <string>

#include "absl/status/statusor.h"

// Device classes as a table: the first row names keys of [[class]], every other row is a class.
//
//   name,share,gflops,train_w,battery_wh,initial_charge
//   phone,0.7,5,4,12,0.3 1
//   board,0.3,20,12,,
//
// An empty cell leaves the key's default; a range is two numbers with a blank between them. Empty
// lines and those that begin with # are skipped; cells are not quoted.
namespace fedwatt {

// The same as TOML with an array `class`, a row on the line that it has in the CSV, so that later
// errors name it. INVALID_ARGUMENT names file and line: a row of another length, a column twice, a
// quoted cell, no row.
absl::StatusOr<std::string> FleetCsvAsToml(const std::string& text, const std::string& source);

}  // namespace fedwatt
