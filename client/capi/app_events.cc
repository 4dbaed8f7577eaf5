#include "client/capi/app_events.h"

namespace fedwatt {
namespace {

fedwatt_event_kind KindOf(const SessionEvent& event) {
  switch (event.kind) {
    case SessionEventKind::kRecovered:
      return FEDWATT_EVENT_RECOVERED;
    case SessionEventKind::kProblem:
      return FEDWATT_EVENT_PROBLEM;
    case SessionEventKind::kWaiting:
      return FEDWATT_EVENT_WAITING;
    case SessionEventKind::kDenied:
      return FEDWATT_EVENT_DENIED;
    case SessionEventKind::kAssigned:
      return FEDWATT_EVENT_ASSIGNED;
    case SessionEventKind::kDownloading:
      return FEDWATT_EVENT_DOWNLOADING;
    case SessionEventKind::kTraining:
      return FEDWATT_EVENT_TRAINING;
    case SessionEventKind::kTrained:
      return FEDWATT_EVENT_TRAINED;
    case SessionEventKind::kFailed:
      return FEDWATT_EVENT_FAILED;
    case SessionEventKind::kUploading:
      return FEDWATT_EVENT_UPLOADING;
    case SessionEventKind::kReported:
      return FEDWATT_EVENT_REPORTED;
    case SessionEventKind::kResolved:
      return event.outcome == Outcome::kCommitted ? FEDWATT_EVENT_COMMITTED : FEDWATT_EVENT_DROPPED;
    case SessionEventKind::kConditions:
      return FEDWATT_EVENT_CONDITIONS;
    case SessionEventKind::kStopped:
      return FEDWATT_EVENT_STOPPED;
    case SessionEventKind::kAssembled:
    case SessionEventKind::kEncoded:
    case SessionEventKind::kForwarded:
      return FEDWATT_EVENT_OTHER;
  }
  return FEDWATT_EVENT_OTHER;
}

fedwatt_log_level LevelOf(fedwatt_event_kind kind) {
  switch (kind) {
    case FEDWATT_EVENT_PROBLEM:
    case FEDWATT_EVENT_DENIED:
    case FEDWATT_EVENT_FAILED:
      return FEDWATT_WARNING;
    default:
      return FEDWATT_INFO;
  }
}

}  // namespace

absl::StatusOr<fedwatt_listener> CheckAppListener(const fedwatt_listener* listener) {
  return TakeStruct(listener, "options.listener");
}

void AppEvents::Count(const SessionEvent& event) {
  MutexLock lock(&mutex_);
  switch (KindOf(event)) {
    case FEDWATT_EVENT_ASSIGNED:
      ++counts_.assigned;
      break;
    case FEDWATT_EVENT_TRAINED:
      ++counts_.trained;
      break;
    case FEDWATT_EVENT_REPORTED:
      ++counts_.reported;
      break;
    case FEDWATT_EVENT_COMMITTED:
      ++counts_.committed;
      break;
    case FEDWATT_EVENT_DROPPED:
      ++counts_.dropped;
      break;
    case FEDWATT_EVENT_FAILED:
      ++counts_.failed;
      break;
    case FEDWATT_EVENT_PROBLEM:
      ++counts_.problems;
      break;
    default:
      break;
  }
}

void AppEvents::OnEvent(const SessionEvent& event) {
  Count(event);
  const std::string line = event.ToString();
  fedwatt_event out = FEDWATT_INIT(fedwatt_event);
  out.kind = KindOf(event);
  out.code = static_cast<int32_t>(event.status.code());
  out.assignment = event.assignment_id.c_str();
  out.text = line.c_str();
  out.delay_ms = event.delay_ms;
  Log(LevelOf(KindOf(event)), line);
  Tell(out);
}

void AppEvents::OnProgress(const std::string& assignment_id, const TrainProgress& progress) {
  fedwatt_event out = FEDWATT_INIT(fedwatt_event);
  out.kind = FEDWATT_EVENT_PROGRESS;
  out.assignment = assignment_id.c_str();
  out.text = "";
  out.steps_done = progress.steps_done;
  out.steps_total = progress.steps_total;
  out.loss = progress.loss;
  Tell(out);
}

void AppEvents::Tell(const fedwatt_event& event) {
  if (listener_ == nullptr || listener_->table().event == nullptr) return;
  MutexLock lock(&calls_);
  const AppCall call;
  try {
    listener_->table().event(listener_->ctx(), &event);
  } catch (...) {
    // A listener's trouble is its own.
  }
}

void AppEvents::Log(fedwatt_log_level level, const std::string& line) {
  if (listener_ == nullptr || listener_->table().log == nullptr) return;
  MutexLock lock(&calls_);
  const AppCall call;
  try {
    listener_->table().log(listener_->ctx(), level, line.c_str());
  } catch (...) {
    // Likewise.
  }
}

void AppEvents::Wake() {
  if (listener_ == nullptr || listener_->table().wake == nullptr) return;
  const AppCall call;
  try {
    listener_->table().wake(listener_->ctx());
  } catch (...) {
    // Likewise.
  }
}

fedwatt_counts AppEvents::counts() const {
  MutexLock lock(&mutex_);
  return counts_;
}

}  // namespace fedwatt
