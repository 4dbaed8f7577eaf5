#include "client/sdk/assignment_check.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/model/field_checks.h"
#include "common/model/plan.h"

namespace fedwatt {
namespace {

absl::StatusOr<std::vector<uint32_t>> VersionNumbers(const std::string& version) {
  const size_t end = version.find_first_not_of("0123456789.");
  std::vector<uint32_t> numbers;
  const std::vector<std::string> parts =
      absl::StrSplit(version.substr(0, end), '.', absl::SkipEmpty());
  for (const std::string& part : parts) {
    uint32_t number = 0;
    if (!absl::SimpleAtoi(part, &number)) {
      return absl::InvalidArgumentError(absl::StrCat("the version number ", part, " is too large"));
    }
    numbers.push_back(number);
  }
  if (numbers.empty() || std::isdigit(static_cast<unsigned char>(version[0])) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", version, "\" is not a version such as 1.2.3"));
  }
  return numbers;
}

absl::Status CheckBlob(const std::string& key, const Resource& blob) {
  return CheckCount(absl::StrCat(key, ".size"), blob.size, 1, bounds::kMaxBlobBytes);
}

absl::Status CheckSdk(const Plan& plan, const std::string& sdk_version) {
  if (plan.min_sdk.empty()) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const int order, CompareSdkVersions(sdk_version, plan.min_sdk));
  if (order >= 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("the plan needs client SDK ", plan.min_sdk,
                                                    " or later, this is ", sdk_version,
                                                    "; update the client"));
}

}  // namespace

absl::StatusOr<int> CompareSdkVersions(const std::string& a, const std::string& b) {
  FW_ASSIGN_OR_RETURN(std::vector<uint32_t> left, VersionNumbers(a));
  FW_ASSIGN_OR_RETURN(std::vector<uint32_t> right, VersionNumbers(b));
  const size_t parts = std::max(left.size(), right.size());
  left.resize(parts);
  right.resize(parts);
  if (left == right) return 0;
  return left < right ? -1 : 1;
}

const OfferedDataset* FindDataset(const DatasetRef& ref,
                                  const std::vector<OfferedDataset>& datasets) {
  for (const OfferedDataset& dataset : datasets) {
    const bool schema_fits =
        ref.schema_version == 0 || ref.schema_version == dataset.ref.schema_version;
    if (dataset.ref.name == ref.name && schema_fits) return &dataset;
  }
  return nullptr;
}

absl::Status CheckAssignment(const Assignment& assignment, const CheckedAgainst& against) {
  FW_RETURN_IF_ERROR(CheckId("assignment.id", assignment.id));
  FW_RETURN_IF_ERROR(CheckBlob("assignment.model", assignment.model));
  FW_RETURN_IF_ERROR(CheckBlob("assignment.bundle", assignment.bundle));
  FW_RETURN_IF_ERROR(CheckSdk(assignment.plan, against.sdk_version));
  FW_RETURN_IF_ERROR(ValidatePlan(assignment.plan));
  if (against.role == Role::kEvaluator && assignment.kind != AssignmentKind::kEvaluate) {
    return absl::FailedPreconditionError(
        "an evaluator does not train; give training to clients of the role client");
  }
  if (!assignment.trainer.empty() && assignment.trainer != against.trainer) {
    return absl::FailedPreconditionError(absl::StrCat("the assignment needs the trainer ",
                                                      assignment.trainer, ", this client has ",
                                                      against.trainer));
  }
  if (FindDataset(assignment.dataset, *against.datasets) == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("this client has no dataset ", assignment.dataset.name, " of schema version ",
                     assignment.dataset.schema_version, "; it offers ", against.datasets->size()));
  }
  return absl::OkStatus();
}

int64_t TimeLeftMs(const Assignment& assignment, int64_t elapsed_ms) {
  int64_t limit_ms = assignment.time_left_ms;
  if (assignment.plan.expires_after_ms > 0) {
    limit_ms = std::min(limit_ms, assignment.plan.expires_after_ms);
  }
  return limit_ms - std::max<int64_t>(elapsed_ms, 0);
}

}  // namespace fedwatt
