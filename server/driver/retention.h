#pragma once

#include <cstdint>
#include <vector>

#include "common/model/fleet.h"
#include "common/model/job_spec.h"

// Which of a job's models stay on disk.
namespace fedwatt {

// Of `models` (training commits, oldest first) those to keep: the last `keep_last`, the best, and
// every version that `keep_every` divides. The newest is always kept: training goes on from it.
std::vector<ModelRef> ModelsToKeep(const std::vector<ModelRef>& models,
                                   const JobSpec::Retention& retention, uint64_t best_version);

}  // namespace fedwatt
