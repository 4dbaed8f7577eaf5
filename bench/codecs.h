#pragma once

#include "absl/status/status.h"
#include "bench/interrupt.h"
#include "bench/table.h"

namespace fedwatt::bench {

// Errors and sizes of codecs beside the theory's, speeds beside this machine's memory. In this
// process, which must have no other busy thread.
absl::Status RunCodecs(const Interrupt& interrupt, Table* table);

}  // namespace fedwatt::bench
