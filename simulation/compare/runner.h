#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/signals.h"
#include "simulation/compare/cell.h"

// Runs cells, several at a time, each in a process of its own: a crash costs one cell. A cell's
// file appears when its run is over, and never changes; whatever ends this program leaves whole
// cells.
//
//   FOLDER/cells/    one file for each run that came to its end
//   FOLDER/failed/   what the others said last; they are tried again next time
namespace fedwatt {

struct RunnerOptions {
  std::string program;  // path of `fedwatt`
  std::string folder;
  int workers = 1;
  std::string torch_tool;  // empty: found by the program
  const Clock* clock = nullptr;
  const ShutdownSignal* shutdown = nullptr;
};

struct RunnerProgress {
  size_t cells = 0;    // that were to be run
  size_t done = 0;     // failed ones included
  size_t running = 0;  // now
  double elapsed_s = 0;
  double left_s = 0;            // as far as one can tell; 0: not yet
  const Cell* ended = nullptr;  // that this is told for; null: none
  std::string failure;          // of `ended`
};

struct CellFailure {
  std::string cell;  // its file's name
  std::string reason;
};

struct RunnerReport {
  size_t found = 0;  // had been run before
  size_t ran = 0;
  std::vector<CellFailure> failed;
};

// Those of `cells` that have no file yet, in their order. A run that broke what must hold in every
// simulation has failed. FAILED_PRECONDITION: another one works in the folder. CANCELLED: shutdown.
absl::StatusOr<RunnerReport> RunCells(const std::vector<Cell>& cells, const RunnerOptions& options,
                                      const std::function<void(const RunnerProgress&)>& progress);

std::string CellsFolder(const std::string& folder);

}  // namespace fedwatt
