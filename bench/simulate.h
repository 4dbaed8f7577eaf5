#pragma once

#include <string>

#include "absl/status/status.h"
#include "bench/interrupt.h"
#include "bench/table.h"
#include "common/base/clock.h"

namespace fedwatt::bench {

struct SimulateOptions {
  std::string bin_dir;  // fedwatt, fedwatt-torch, bench_torch_loop
  std::string scratch;
  std::string data_dir = "/usr/share/datasets/fashion-mnist";
};

// The simulator: time and memory of ten thousand virtual clients' thousand rounds; real training by
// one worker process beside a plain LibTorch loop over the same model and data, in turns; and
// whether two workers give the same trace.
absl::Status RunSimulate(const SimulateOptions& options, const Clock& clock,
                         const Interrupt& interrupt, Table* table);

}  // namespace fedwatt::bench
