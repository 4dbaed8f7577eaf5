#pragma once

#include <cstdint>

#include "common/model/fleet.h"

// What a trainer says, made fit for a report. A coordinator refuses a whole report for one figure
// that is not finite, so such figures are left out here.
namespace fedwatt {

// Drops loss sums and named values that are not finite or impossible, and named values beyond
// bounds::kMaxMetrics; counts what was dropped in named["dropped_metrics"].
void MakeReportable(UpdateMetrics* metrics);

// By plan.weight_by: 1, or `trained_weight` cut to assignment.max_weight. 0 for no examples.
uint64_t ReportedWeight(const Assignment& assignment, uint64_t trained_weight);

// For telemetry_level 0: leaves what the work is (counts, bytes, an evaluation's results), without
// losses of training, seconds, named values and memory. Energy becomes unavailable with the reason,
// one sample a phase.
void DropTotals(AssignmentKind kind, Report* report);

}  // namespace fedwatt
