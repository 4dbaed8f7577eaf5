#pragma once

#include <string>

#include "absl/status/status.h"
#include "bench/limits.h"
#include "bench/table.h"
#include "common/base/clock.h"

namespace fedwatt::bench {

// The inner loops of the coordinator, in this process. The store's files go below `scratch`.
absl::Status RunMicro(const Clock& clock, const MachineLimits& limits, const std::string& scratch,
                      Table* table);

}  // namespace fedwatt::bench
