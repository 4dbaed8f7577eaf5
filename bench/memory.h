#pragma once

#include "absl/status/status.h"
#include "bench/fleet_run.h"
#include "bench/interrupt.h"
#include "bench/table.h"
#include "common/base/clock.h"

namespace fedwatt::bench {

// The coordinator's peak memory with 10 and with 1,000 clients in a round, a model of 1e6
// parameters, the codecs that a job has by default; the difference beside the budget for bytes in
// flight.
absl::Status RunMemory(const FleetPrograms& programs, const Clock& clock, Interrupt* interrupt,
                       Table* table);

}  // namespace fedwatt::bench
