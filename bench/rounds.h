#pragma once

#include <string>

#include "absl/status/status.h"
#include "bench/interrupt.h"
#include "bench/table.h"
#include "common/base/clock.h"

namespace fedwatt::bench {

struct RoundsOptions {
  std::string bin_dir;  // fedwatt-coordinator, bench_echo_fleet, bench_bare_grpc
  std::string scratch;
  std::string only;  // run only the cases whose name contains this; empty: all
};

// Rounds without training: a real coordinator, echo clients in ten processes, loopback; each figure
// beside gRPC that moves the same bytes and nothing else.
absl::Status RunRounds(const RoundsOptions& options, const Clock& clock, Interrupt* interrupt,
                       Table* table);

}  // namespace fedwatt::bench
