#include "absl/strings/str_cat.h"
#include "client/sdk/session.h"

namespace fedwatt {

const char* SessionEventName(SessionEventKind kind) {
  switch (kind) {
    case SessionEventKind::kRecovered:
      return "recovered";
    case SessionEventKind::kProblem:
      return "problem";
    case SessionEventKind::kWaiting:
      return "waiting";
    case SessionEventKind::kDenied:
      return "denied";
    case SessionEventKind::kAssigned:
      return "assigned";
    case SessionEventKind::kDownloading:
      return "downloading";
    case SessionEventKind::kAssembled:
      return "assembled";
    case SessionEventKind::kTraining:
      return "training";
    case SessionEventKind::kTrained:
      return "trained";
    case SessionEventKind::kEncoded:
      return "encoded";
    case SessionEventKind::kFailed:
      return "failed";
    case SessionEventKind::kUploading:
      return "uploading";
    case SessionEventKind::kReported:
      return "reported";
    case SessionEventKind::kResolved:
      return "resolved";
    case SessionEventKind::kForwarded:
      return "forwarded";
    case SessionEventKind::kConditions:
      return "conditions";
    case SessionEventKind::kStopped:
      return "stopped";
  }
  return "unknown";
}

std::string SessionEvent::ToString() const {
  std::string line = SessionEventName(kind);
  if (!assignment_id.empty()) absl::StrAppend(&line, " ", assignment_id);
  switch (kind) {
    case SessionEventKind::kDownloading:
    case SessionEventKind::kUploading:
      absl::StrAppend(&line, " from ", bytes, " of ", total_bytes, " bytes");
      break;
    case SessionEventKind::kEncoded:
      absl::StrAppend(&line, " ", bytes, " bytes");
      break;
    case SessionEventKind::kResolved:
      absl::StrAppend(&line, " ", OutcomeName(outcome));
      break;
    case SessionEventKind::kTrained:
      if (report == nullptr) break;
      absl::StrAppend(&line, " examples=", report->metrics.examples,
                      " steps=", report->metrics.steps, " weight=", report->weight);
      break;
    default:
      break;
  }
  if (!text.empty()) absl::StrAppend(&line, ": ", text);
  return line;
}

}  // namespace fedwatt
