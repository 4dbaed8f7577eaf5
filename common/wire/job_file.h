#pragma once

// Job files: a JobSpec as people write it (docs/job-file.md), in TOML.
//
// Later wins: defaults, the file, the environment (FEDWATT_JOB__ROUND__GOAL=8), `--set
// round.goal=8`. Every error says where the value came from: "job.toml:12:8: ...".
// Thread-safe but for JobEnvironment, which reads the process's environment.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/job_spec.h"

namespace fedwatt {

struct JobOverrides {
  std::vector<std::string> environment;  // "FEDWATT_JOB__<KEY>=<value>"; others are ignored
  std::vector<std::string> set;          // "<key>=<value>", as after --set
};

// The process's variables that begin with FEDWATT_JOB__, sorted. In keys "__" stands for the dot
// and case does not matter, so that names in maps are lower case.
std::vector<std::string> JobEnvironment();

// Reads, overrides and validates. A relative model.bundle of the file is resolved against the
// file's folder; one from an override stays relative to the working directory.
// NOT_FOUND: no such file. INVALID_ARGUMENT: everything else, with its place and the remedy.
absl::StatusOr<JobSpec> LoadJobFile(const std::string& path, const JobOverrides& overrides = {});

// The same for a text that is called `source` in errors; model.bundle stays as it is.
absl::StatusOr<JobSpec> ParseJobText(const std::string& text, const std::string& source,
                                     const JobOverrides& overrides = {});

// Every key with its value, defaults included, spelt as in job files.
std::string JobSpecToJson(const JobSpec& spec);

}  // namespace fedwatt
