#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "common/base/mutex.h"
#include "common/base/sequential_executor.h"
#include "server/driver/client_pool.h"
#include "server/driver/job_driver.h"

// The door for devices: who may come in, in which protocol, and what has become of the work that
// they hold. Thread-safe.
namespace fedwatt {

inline constexpr uint32_t kProtocolMin = 1;
inline constexpr uint32_t kProtocolMax = 1;

class CheckInDoor {
 public:
  explicit CheckInDoor(const DriverContext* context);

  // As Coordinator::CheckIn.
  void CheckIn(uint64_t id, const Principal& who, CheckInRequest request,
               Coordinator::CheckInDone done);

 private:
  void Admit(uint64_t id, Offer offer, Coordinator::CheckInDone done);
  std::vector<OutcomeNotice> Outcomes(const Offer& offer) const;
  void NoteClockSkew(const Principal& who, const CheckInRequest& request);

  const DriverContext* const context_;

  Mutex mutex_;
  std::set<std::string> skewed_ ABSL_GUARDED_BY(mutex_);  // warned about, by subject

  SequentialExecutor strand_;  // last: ends the tasks first
};

}  // namespace fedwatt
