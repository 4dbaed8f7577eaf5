#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/manifest.h"
#include "server/driver/job_driver.h"

// Whether a job may start, and from which model.
namespace fedwatt {

// OK when flat data of `from` is flat data of `to`; INVALID_ARGUMENT names the first tensor that
// differs.
absl::Status SameManifest(const Manifest& from, const Manifest& to);

// "best", "last" or a round's number among the models that `driver` keeps. NOT_FOUND lists those.
absl::StatusOr<ModelRef> FindModel(const JobDriver& driver, const std::string& version);

// "<name>-<n>" -> n; 0 for another job's name.
uint64_t JobNumber(const std::string& id, const std::string& name);

}  // namespace fedwatt
