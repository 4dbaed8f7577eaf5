#pragma once

#include <grpcpp/client_context.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/base/signals.h"

namespace fedwatt::bench {

// Ctrl-C and SIGTERM: ends what waits, so that everything is cleaned up on the way out. One at a
// time. Thread-safe.
class Interrupt {
 public:
  static absl::StatusOr<std::unique_ptr<Interrupt>> Install();
  ~Interrupt();

  // CANCELLED once asked to stop.
  absl::Status Check() const;

  // OK after `wait_ms`; CANCELLED as soon as asked to stop.
  absl::Status Wait(int64_t wait_ms) const;

  // Cancels `context` when asked to stop, at once if that has happened. Null: none any more.
  void Watch(grpc::ClientContext* context);

 private:
  explicit Interrupt(std::unique_ptr<ShutdownSignal> signal);

  const std::unique_ptr<ShutdownSignal> signal_;
  Mutex mutex_;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace fedwatt::bench
