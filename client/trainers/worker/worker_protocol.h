#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/trainer.h"

// What a client and its trainer process say to each other over a socket pair
// (proto/fedwatt/v1/trainer_worker.proto). Both ends are of one build, but the worker runs a
// stranger's model: the client trusts nothing it says.
namespace fedwatt {

struct WorkerRun {
  TrainRequest request;
  std::string device = "auto";  // "auto" | "cpu" | "cuda"
};
struct WorkerCancel {};
using WorkerRequest = std::variant<WorkerRun, WorkerCancel>;

struct WorkerProgress {
  TrainProgress progress;
  std::string stage;  // "load", "train", "evaluate", "write"
};
struct WorkerDone {
  TrainResult result;
};
struct WorkerError {
  absl::Status status;
};
using WorkerEvent = std::variant<WorkerProgress, WorkerDone, WorkerError>;

// One end of the socket pair. Sending is safe from several threads only if they take turns;
// sending and receiving at the same time is.
class WorkerChannel {
 public:
  explicit WorkerChannel(int fd) : fd_(fd) {}  // not owned

  // UNAVAILABLE when the other end is gone.
  absl::Status Send(const WorkerRequest& request);
  absl::Status Send(const WorkerEvent& event);

  // Waits up to `timeout_ms` (negative: for ever). DEADLINE_EXCEEDED when nothing has begun to
  // arrive by then, UNAVAILABLE when the other end is gone, DATA_LOSS for bytes that are no
  // message.
  absl::StatusOr<WorkerRequest> ReceiveRequest(int64_t timeout_ms);
  absl::StatusOr<WorkerEvent> ReceiveEvent(int64_t timeout_ms);

 private:
  absl::Status SendFrame(const std::string& body);
  absl::StatusOr<std::string> ReceiveFrame(int64_t timeout_ms);

  const int fd_;
};

}  // namespace fedwatt
