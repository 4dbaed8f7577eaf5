#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/fleet.h"

// How a session reaches its coordinator: gRPC, or the simulator's in-process one. Asynchronous, so
// that a session needs no thread and a simulator can answer in virtual time.
namespace fedwatt {

// Callbacks run on a thread of the transport, exactly once each. Thread-safe.
class ClientTransport {
 public:
  virtual ~ClientTransport() = default;

  template <typename T>
  using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;

  // What comes inline has the hash that it declares.
  virtual void CheckIn(const CheckInRequest& request, Done<CheckInResponse> done) = 0;

  // Downloads blob `sha256` from `offset` on to the end of the file at `path` (which holds `offset`
  // bytes). Done: bytes received by this call, also in the error's case through `received`.
  struct DownloadResult {
    uint64_t received = 0;
    uint64_t total = 0;
    absl::Status status;
    std::optional<Digest> sha256;  // of the file, where this call wrote all of it
  };
  virtual void Download(const Digest& sha256, uint64_t offset, const std::string& path,
                        absl::AnyInvocable<void(DownloadResult)> done) = 0;

  virtual void UploadStatus(const std::string& assignment_id, const Digest& sha256,
                            Done<UploadOffset> done) = 0;
  // Sends report.update.size bytes of the file at `path` from `offset` on.
  struct UploadResult {
    uint64_t sent = 0;
    absl::StatusOr<ReportReply> reply = absl::UnknownError("no reply");
  };
  virtual void Upload(const Report& report, uint64_t offset, const std::string& path,
                      absl::AnyInvocable<void(UploadResult)> done) = 0;
  // With report.update inline, or without an update.
  virtual void SubmitReport(const Report& report, Done<ReportReply> done) = 0;

  // Ends what is under way with CANCELLED.
  virtual void CancelAll() = 0;
  // Closes the connection until the next call (an idle channel wakes the device up).
  virtual void Sleep() = 0;
};

}  // namespace fedwatt
