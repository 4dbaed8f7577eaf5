#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "common/model/example_count.h"
#include "common/model/fleet.h"

// What a client checks before it spends anything on an assignment.
namespace fedwatt {

// A dataset that a client offers: where it is, and what the coordinator is told of it.
struct OfferedDataset {
  DatasetConfig config;
  DatasetRef ref;
};

// Compares the dotted numbers of two versions ("0.10.1" > "0.9"); what follows the numbers ("-rc1")
// is ignored, missing numbers are 0. Less than, equal to or greater than 0. INVALID_ARGUMENT for
// what does not start with a number.
absl::StatusOr<int> CompareSdkVersions(const std::string& a, const std::string& b);

struct CheckedAgainst {
  std::string sdk_version;
  Role role = Role::kClient;
  std::string trainer;
  const std::vector<OfferedDataset>* datasets = nullptr;
};

// INVALID_ARGUMENT or FAILED_PRECONDITION with what does not fit: ids, sizes, the plan
// (ValidatePlan), its min_sdk, the role, the trainer, the dataset.
absl::Status CheckAssignment(const Assignment& assignment, const CheckedAgainst& against);

// The offered dataset that `ref` asks for, or null.
const OfferedDataset* FindDataset(const DatasetRef& ref,
                                  const std::vector<OfferedDataset>& datasets);

// Milliseconds that work on the assignment may still take `elapsed_ms` after its receipt: until the
// report deadline, or until the plan expires if that is earlier. Negative: too late.
int64_t TimeLeftMs(const Assignment& assignment, int64_t elapsed_ms);

}  // namespace fedwatt
