#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "fedwatt/v1/admin_service.pb.h"
#include "server/cli/context.h"

namespace fedwatt::cli {

// Shows `job` on standard output until it has ended; a coordinator that goes away is waited for.
// CANCELLED on Ctrl-C: the job itself goes on. Gives the whole job, with all rounds.
absl::StatusOr<v1::Job> WatchUntilEnd(const Context& context, AdminClient& client,
                                      const std::string& job);

// Summary (or with --json nothing more), report file, exit code.
int EndOfJob(const Context& context, const v1::Job& job, const std::string& report_path);

}  // namespace fedwatt::cli
