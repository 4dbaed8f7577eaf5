#pragma once

// Memory for uploads in flight, shared by all streams. A stream reserves a chunk's bytes before it
// reads the chunk and returns them once the chunk is in the spool; without room it waits unread, so
// that the sender's window fills and the sender waits too.

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/base/mutex.h"

namespace fedwatt {

// Thread-safe. First come, first served.
class UploadBudget {
 public:
  using Granted = absl::AnyInvocable<void()>;

  // A request for more than `limit_bytes` waits for all of them, so that it cannot wait for ever.
  explicit UploadBudget(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // 0: `bytes` are reserved now, and `granted` is dropped. Otherwise a ticket: `granted` runs once
  // they are reserved, inside another stream's Release, or never if Cancel comes first.
  uint64_t Reserve(uint64_t bytes, Granted granted);

  // True if the ticket was still waiting: it now never will be granted.
  bool Cancel(uint64_t ticket);

  void Release(uint64_t bytes);

  uint64_t reserved_bytes() const;
  uint64_t waiting() const;
  uint64_t limit_bytes() const { return limit_bytes_; }

 private:
  struct Waiter {
    uint64_t ticket = 0;
    uint64_t bytes = 0;
    Granted granted;
  };

  bool Fits(uint64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Granted> GrantWaiters() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t limit_bytes_;

  mutable Mutex mutex_;
  uint64_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_ticket_ ABSL_GUARDED_BY(mutex_) = 1;
  std::deque<Waiter> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fedwatt
