#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/model/fleet.h"

// Assignments and reports as bytes in a client's own files: the wire's encoding and its checks
// (rules: model_wire.h), for code that does not include generated headers.
namespace fedwatt::wire {

std::string AssignmentToBytes(const Assignment& assignment);
absl::StatusOr<Assignment> AssignmentFromBytes(const std::string& bytes);

std::string ReportToBytes(const Report& report);
absl::StatusOr<Report> ReportFromBytes(const std::string& bytes);

}  // namespace fedwatt::wire
