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

inline absl::StatusOr<std::vector<EnergySum>> ReadSums(Tables& tables, const std::string& job,
                                                       EnergyAxis axis,
                                                       const EnergyFilter& filter) {
  FW_ASSIGN_OR_RETURN(const std::optional<JobScope> scope, tables.FindJob(job));
  if (!scope) return std::vector<EnergySum>();
  if (axis != EnergyAxis::kClient && filter.client.empty()) {
    FW_ASSIGN_OR_RETURN(const std::vector<EnergySum> cells, tables.LoadSums(*scope));
    return GroupEnergy(cells, axis, filter);
  }
  const bool whole_life = !filter.phase && !filter.round && filter.since_hour == 0 &&
                          !filter.until_hour &&
                          (axis == EnergyAxis::kClient || axis == EnergyAxis::kSource);
  if (!whole_life) return tables.SumRows(*scope, axis, filter);
  FW_ASSIGN_OR_RETURN(const std::vector<EnergySum> cells, tables.LoadClientSums(*scope));
  return GroupEnergy(cells, axis, filter);
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
