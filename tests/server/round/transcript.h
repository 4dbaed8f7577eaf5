#pragma once

#include <string>

#include "absl/status/statusor.h"

// Scripts that drive a Round, with what it answers written below each command:
//
//   # A comment.
//   round attempt=2 [evaluation]
//   limits goal=2 assign=3 min=1 selection=60000 deadline=600000 attempts=3 backoff=1000..8000
//
//   > @0 begin
//     SetTimer at=60000
//     -> selecting
//
// `@ms` moves the time and may be left out. Commands: begin | candidates N | selected NAME... |
// durable | report INDEX [weight=W] | fail INDEX REASON | timer | aggregated | applied | committed
// | error REASON | stop, and two that send nothing: `resume` prints Resume(), and `replay` rebuilds
// the round from the events that changed it and says whether it is the same.
//
// After the actions, `-> phase` says that the phase changed; `nothing` that neither happened.
namespace fedwatt {

// The script with every answer replaced by the actual one; comments and commands stay as they are.
// INVALID_ARGUMENT names the line that it cannot read.
absl::StatusOr<std::string> RunTranscript(const std::string& script);

}  // namespace fedwatt
