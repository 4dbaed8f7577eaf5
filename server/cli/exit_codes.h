#pragma once

#include "absl/status/status.h"

// What `fedwatt` ends with, for scripts. Listed in `fedwatt --help` and docs/cli.md.
namespace fedwatt::cli {

inline constexpr int kOk = 0;
inline constexpr int kJobFailed = 1;    // the job failed or was stopped; a doctor's finding
inline constexpr int kUsage = 2;        // wrong flags, a wrong job file
inline constexpr int kUnreachable = 3;  // no coordinator answers
inline constexpr int kRefused = 4;      // not allowed, not trusted
inline constexpr int kNotFound = 5;
inline constexpr int kError = 6;         // everything else
inline constexpr int kTargetMissed = 7;  // the job is complete and missed one of its [targets]
inline constexpr int kInterrupted = 130;

inline int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return kUsage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kUnreachable;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kRefused;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kCancelled:
      return kInterrupted;
    default:
      return kError;
  }
}

}  // namespace fedwatt::cli
