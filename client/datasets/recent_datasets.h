#pragma once

#include <cstddef>

#include "client/datasets/dataset.h"

namespace fedwatt {

// `open`, with the `count` datasets that were asked for last kept in memory: for a process that
// serves many clients. Errors are not kept. The opener may be copied; copies share what is kept.
// One thread at a time.
DatasetOpener KeepRecentDatasets(DatasetOpener open, size_t count);

}  // namespace fedwatt
