#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bench/interrupt.h"
#include "common/base/clock.h"

namespace fedwatt::bench {

// One round's traffic with nothing else: `processes` x `connections` peers each download and upload
// so many bytes from one server, all at once.
struct BareTraffic {
  int processes = 10;
  int connections = 1;  // of each process
  uint64_t down_bytes = 0;
  uint64_t up_bytes = 0;
  bool unary = false;   // two unary calls instead of two streams
  std::string tls_dir;  // certificates "coordinator" and "client"; empty: no TLS
  int repetitions = 5;
};

struct BareFloor {
  double seconds = 0;  // the median, connections open
  double server_cpu_seconds = 0;
  double server_peak_mib = 0;
};

// `program` is bench_bare_grpc.
absl::StatusOr<BareFloor> MeasureBareFloor(const std::string& program, const BareTraffic& traffic,
                                           const Clock& clock, const Interrupt& interrupt);

// VmHWM of a process, in MiB.
absl::StatusOr<double> PeakMib(pid_t pid);

}  // namespace fedwatt::bench
