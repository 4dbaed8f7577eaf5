#pragma once

// What follows from a write: the one place that says how assignments, energy, history, rounds and
// models change with a record. Stateless; internal to server/store.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/store/retention.h"
#include "server/store/tables.h"

namespace fedwatt {

// The key of an assignment id (the inverse of MakeAssignmentId); nothing if it is none.
std::optional<std::pair<RoundKey, uint32_t>> ParseAssignmentId(const std::string& id);

// What the assignment `index` of a record with forecasts reserves.
Reservation ReservationOf(const ClientsAssigned& record, uint32_t index);

// Applies the writes in order:
//
//   AttemptBegan      log
//   ClientsAssigned   log; assignments: assigned; what they reserve of the budget
//   ReportAccepted    log; assigned -> reported; history of the client (training); energy pending
//   ReportRefused     log; assigned -> refused, with the reason; energy wasted
//   AttemptAbandoned  log; assigned, reported -> abandoned; the attempt's pending energy wasted
//   RoundCommitted    reported -> committed, assigned -> refused; pending energy useful; the
//   round's
//                     row. Training: the model, the last commit, and the log is compacted.
//                     Evaluation: log, and its figures are merged into the round's row.
//   CoordinatorSpent  log
// A report for an assignment that is closed (or unknown) changes neither it nor the log: only its
// energy is booked, as wasted. A client's claim is of all that the assignment cost so far, so of a
// further report only what exceeds the earlier ones is booked (NotBookedYet). At most
// bounds::kMaxEnergySamples samples of one assignment are. Energy enters the totals and sums with
// its use. A report settles what its assignment reserved, in time or late; at the attempt's end the
// reservations of the silent are booked whole.
//
// NOT_FOUND: a record of a job that neither the store nor an earlier write of the batch has.
// ALREADY_EXISTS: the job's id is taken in another tenant or population. Both before anything is
// applied; other errors leave some of the batch applied.
absl::Status Apply(const std::vector<StoreWrite>& batch, Tables& tables);

absl::Status Prune(const RetentionDays& days, int64_t now_ms, Tables& tables);

}  // namespace fedwatt
