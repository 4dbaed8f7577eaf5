#pragma once

#include "absl/status/status.h"
#include "bench/interrupt.h"
#include "bench/table.h"

namespace fedwatt::bench {

// How fast codecs are on one core, each beside what the machine does with memory of the same size
// in the same seconds. GB/s of float32 values, unless a name says of what.
absl::Status MeasureCodecSpeed(const Interrupt& interrupt, Table* table);

}  // namespace fedwatt::bench
