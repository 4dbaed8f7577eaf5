#pragma once

#include <memory>
#include <string>

#include "client/capi/app_object.h"
#include "client/sdk/session.h"
#include "common/base/mutex.h"

namespace fedwatt {

// INVALID_ARGUMENT for a struct that is none.
absl::StatusOr<fedwatt_listener> CheckAppListener(const fedwatt_listener* listener);

// From a session's events to the app's log, its events, and counts.
class AppEvents final : public SessionObserver {
 public:
  // `listener` may be null.
  explicit AppEvents(std::shared_ptr<AppObject<fedwatt_listener>> listener)
      : listener_(std::move(listener)) {}

  // On the session's executor.
  void OnEvent(const SessionEvent& event) override;
  void OnProgress(const std::string& assignment_id, const TrainProgress& progress) override;

  // Any thread.
  void Log(fedwatt_log_level level, const std::string& line);
  void Wake();
  fedwatt_counts counts() const;

 private:
  void Count(const SessionEvent& event);
  void Tell(const fedwatt_event& event);

  const std::shared_ptr<AppObject<fedwatt_listener>> listener_;
  Mutex calls_;  // held while the listener is called, but for `wake`

  mutable Mutex mutex_;
  fedwatt_counts counts_ ABSL_GUARDED_BY(mutex_) = FEDWATT_INIT(fedwatt_counts);
};

}  // namespace fedwatt
