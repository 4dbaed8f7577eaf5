#pragma once

#include "absl/status/status.h"
#include "bench/interrupt.h"
#include "bench/table.h"

namespace fedwatt::bench {

// What `eden` loses and how long its encodings are, beside the values of the theory for endless
// vectors: errors of Gaussian, one-hot and heavy-tailed vectors of 2^20 coordinates, sizes with all
// side information, and the error of the mean of 30 clients that nearly agree.
absl::Status MeasureCodecQuality(const Interrupt& interrupt, Table* table);

}  // namespace fedwatt::bench
