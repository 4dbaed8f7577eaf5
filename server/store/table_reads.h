#pragma once

// The Store's reads over its Tables, the same for every kind of store. Internal to server/store.

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/status_macros.h"
#include "server/store/projection.h"
#include "server/store/tables.h"

namespace fedwatt {

// `load` for the job; of an unknown job nothing is known, which is no error.
template <typename Result>
absl::StatusOr<Result> ReadJob(Tables& tables, const std::string& job,
                               absl::StatusOr<Result> (Tables::*load)(const JobScope&)) {
  FW_ASSIGN_OR_RETURN(const std::optional<JobScope> scope, tables.FindJob(job));
  if (!scope) return Result();
  return (tables.*load)(*scope);
}

inline absl::StatusOr<std::optional<AssignmentRecord>> ReadAssignment(Tables& tables,
                                                                      const std::string& id) {
  const auto parsed = ParseAssignmentId(id);
  if (!parsed) return std::optional<AssignmentRecord>();
  FW_ASSIGN_OR_RETURN(const std::optional<JobScope> scope, tables.FindJob(parsed->first.job));
  if (!scope) return std::optional<AssignmentRecord>();
  return tables.GetAssignment(*scope, parsed->first, parsed->second);
}

}  // namespace fedwatt
