#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bench/interrupt.h"
#include "common/base/clock.h"

// Rounds without training: a real coordinator with its store on disk, and echo clients in ten
// processes, on loopback.
namespace fedwatt::bench {

inline constexpr int kFleetProcesses = 10;

struct FleetPrograms {
  std::string bin_dir;  // fedwatt-coordinator, bench_echo_fleet
  std::string scratch;
};

struct FleetCase {
  uint64_t parameters = 0;
  int clients = 10;     // a multiple of kFleetProcesses; all of them in each round
  int warm_up = 2;      // rounds that do not count
  int rounds = 10;      // that count
  std::string tls_dir;  // certificates coordinator, operator and client-N; empty: no TLS
  std::string codec_up = "raw_f32";
  std::string codec_down = "raw_f32";
};

// Of the rounds that count, but for the peak.
struct FleetFigures {
  double seconds = 0;             // from commit to commit, median
  double server_cpu_seconds = 0;  // a round, mean
  double client_cpu_seconds = 0;  // a round, mean, all clients together
  double peak_mib = 0;            // of the coordinator, from its start on
  uint64_t bytes_down = 0;        // of the last round, all clients together
  uint64_t bytes_up = 0;
};

absl::StatusOr<FleetFigures> RunFleet(const FleetPrograms& programs, const FleetCase& c,
                                      const Clock& clock, Interrupt* interrupt);

}  // namespace fedwatt::bench
