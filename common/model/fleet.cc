#include "common/model/fleet.h"

#include "common/model/job_view.h"

namespace fedwatt {

const char* RoleName(Role role) {
  switch (role) {
    case Role::kClient:
      return "client";
    case Role::kEvaluator:
      return "evaluator";
    case Role::kOperator:
      return "operator";
    case Role::kCoordinator:
      return "coordinator";
  }
  return "unknown";
}

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPending:
      return "pending";
    case Outcome::kCommitted:
      return "committed";
    case Outcome::kRefused:
      return "refused";
    case Outcome::kAbandoned:
      return "abandoned";
    case Outcome::kWanted:
      return "wanted";
    case Outcome::kUnknown:
      return "unknown";
  }
  return "unknown";
}

const char* JobStateName(JobState state) {
  switch (state) {
    case JobState::kRunning:
      return "running";
    case JobState::kStopped:
      return "stopped";
    case JobState::kCompleted:
      return "completed";
    case JobState::kFailed:
      return "failed";
  }
  return "unknown";
}

}  // namespace fedwatt
