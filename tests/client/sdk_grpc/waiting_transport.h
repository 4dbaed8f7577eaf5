#pragma once

// A GrpcTransport for tests, which may wait for answers.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "client/sdk/grpc_transport.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/thread_pool.h"

namespace fedwatt {

// One value from another thread.
template <typename T>
class Arrival {
 public:
  void Put(T value) {
    MutexLock lock(&mutex_);
    EXPECT_FALSE(value_.has_value()) << "a callback ran twice";
    value_.emplace(std::move(value));
    arrived_.NotifyAll();
  }
  T Take() {
    MutexLock lock(&mutex_);
    while (!value_.has_value()) arrived_.Wait(&mutex_);
    return std::move(*value_);
  }

 private:
  Mutex mutex_;
  CondVar arrived_;
  std::optional<T> value_ ABSL_GUARDED_BY(mutex_);
};

class WaitingTransport {
 public:
  explicit WaitingTransport(GrpcTransportOptions options) : executor_(1) {
    transport_ = MakeGrpcTransport(std::move(options), &clock_, &executor_).value();
  }

  ClientTransport& operator*() { return *transport_; }
  ClientTransport* operator->() { return transport_.get(); }

  absl::StatusOr<CheckInResponse> CheckIn(int64_t max_wait_ms = 5000) {
    CheckInRequest request;
    request.sdk_version = "0.1.0";
    request.max_wait_ms = max_wait_ms;
    Arrival<absl::StatusOr<CheckInResponse>> arrival;
    transport_->CheckIn(request, [&](auto answer) { arrival.Put(std::move(answer)); });
    return arrival.Take();
  }
  ClientTransport::DownloadResult Download(const Digest& sha256, uint64_t offset,
                                           const std::string& path) {
    Arrival<ClientTransport::DownloadResult> arrival;
    transport_->Download(sha256, offset, path,
                         [&](auto result) { arrival.Put(std::move(result)); });
    return arrival.Take();
  }
  ClientTransport::UploadResult Upload(const Report& report, uint64_t offset,
                                       const std::string& path) {
    Arrival<ClientTransport::UploadResult> arrival;
    transport_->Upload(report, offset, path, [&](auto result) { arrival.Put(std::move(result)); });
    return arrival.Take();
  }
  absl::StatusOr<UploadOffset> UploadStatus(const Report& report) {
    Arrival<absl::StatusOr<UploadOffset>> arrival;
    transport_->UploadStatus(report.assignment_id, report.update.sha256,
                             [&](auto answer) { arrival.Put(std::move(answer)); });
    return arrival.Take();
  }
  absl::StatusOr<ReportReply> SubmitReport(const Report& report) {
    Arrival<absl::StatusOr<ReportReply>> arrival;
    transport_->SubmitReport(report, [&](auto answer) { arrival.Put(std::move(answer)); });
    return arrival.Take();
  }

 private:
  const SystemClock clock_;
  ThreadPool executor_;
  std::unique_ptr<ClientTransport> transport_;
};

}  // namespace fedwatt
