#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/sdk/transport.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/manual_executor.h"

// A coordinator and the network to it, in one object, that does what a test tells it.
namespace fedwatt {

class FakeCoordinator final : public ClientTransport {
 public:
  FakeCoordinator(ManualExecutor* executor, const Clock* clock)
      : executor_(executor), clock_(clock), start_us_(clock->MonotonicUs()) {}

  // ---- what a test arranges

  void AddBlob(const std::string& data) { blobs[Sha256Of(AsBytes(data))] = data; }
  // The next check-in gets it at once.
  void Give(const Assignment& assignment) {
    CheckInResponse response;
    response.assignment = assignment;
    answers.emplace_back(response);
  }
  void Notify(const std::string& id, Outcome outcome, const std::string& reason = "") {
    CheckInResponse response;
    response.outcomes.push_back({id, outcome, reason});
    answers.emplace_back(response);
  }
  void Reject(int64_t retry_after_ms) {
    CheckInResponse response;
    response.rejection = Rejection{"come back later", retry_after_ms};
    answers.emplace_back(response);
  }

  std::deque<absl::StatusOr<CheckInResponse>> answers;  // then check-ins are held open
  std::map<Digest, std::string> blobs;
  std::deque<absl::StatusOr<ReportReply>> replies;  // then: accepted, pending
  bool away = false;                                // every call fails
  std::optional<uint64_t> cut_download_at;          // once, after so many bytes of a blob
  std::optional<uint64_t> cut_upload_at;
  std::optional<uint64_t> stall_downloads_at;  // once: so many bytes, and then no answer ever
  std::optional<uint64_t> stall_uploads_at;
  std::optional<absl::Status> download_error;  // of every download
  int64_t transfer_ms = 0;                     // that each download and upload takes

  // ---- what it saw

  std::vector<CheckInRequest> check_ins;
  std::vector<int64_t> check_in_times_ms;      // since the start
  std::vector<Report> reports;                 // complete ones
  std::map<std::string, std::string> updates;  // by assignment
  uint64_t bytes_down = 0;
  uint64_t bytes_up = 0;
  int sleeps = 0;
  int cancels = 0;

  // ---- ClientTransport

  void CheckIn(const CheckInRequest& request, Done<CheckInResponse> done) override {
    check_ins.push_back(request);
    check_in_times_ms.push_back(clock_ms());
    if (away) return Answer<CheckInResponse>(std::move(done), Away());
    if (!answers.empty()) {
      absl::StatusOr<CheckInResponse> answer = std::move(answers.front());
      answers.pop_front();
      return Answer<CheckInResponse>(std::move(done), std::move(answer));
    }
    held_ = std::move(done);
    held_timer_ = executor_->PostAfter(request.max_wait_ms, [this] {
      held_timer_ = 0;
      if (held_) std::exchange(held_, nullptr)(CheckInResponse());
    });
  }

  // Answers the check-in that is held open with the front of `answers`.
  void AnswerHeld() {
    if (!held_ || answers.empty()) return;
    executor_->Cancel(held_timer_);
    Answer<CheckInResponse>(std::exchange(held_, nullptr), std::move(answers.front()));
    answers.pop_front();
  }
  bool holds_check_in() const { return static_cast<bool>(held_); }

  void Download(const Digest& sha256, uint64_t offset, const std::string& path,
                absl::AnyInvocable<void(DownloadResult)> done) override {
    DownloadResult result;
    const auto blob = blobs.find(sha256);
    if (away) {
      result.status = Away();
    } else if (download_error.has_value()) {
      result.status = *download_error;
    } else if (blob == blobs.end()) {
      result.status = absl::NotFoundError("no such blob");
    } else {
      result = Serve(blob->second, offset, path);
      if (stall_downloads_at.has_value() && blob->second.size() > *stall_downloads_at) {
        stall_downloads_at.reset();
        return;
      }
    }
    executor_->PostAfter(transfer_ms, [done = std::move(done), result]() mutable { done(result); });
  }

  void UploadStatus(const std::string& assignment_id, const Digest& sha256,
                    Done<UploadOffset> done) override {
    if (away) return Answer<UploadOffset>(std::move(done), Away());
    const std::string& held = updates[assignment_id];
    const bool complete = !held.empty() && Sha256Of(AsBytes(held)) == sha256;
    Answer<UploadOffset>(std::move(done), UploadOffset{held.size(), complete});
  }

  void Upload(const Report& report, uint64_t offset, const std::string& path,
              absl::AnyInvocable<void(UploadResult)> done) override {
    UploadResult result;
    if (away) {
      result.reply = Away();
    } else {
      if (stall_uploads_at.has_value()) {
        cut_upload_at = std::exchange(stall_uploads_at, std::nullopt);
        Receive(report, offset, path);
        return;
      }
      result = Receive(report, offset, path);
    }
    executor_->PostAfter(transfer_ms, [done = std::move(done), result]() mutable { done(result); });
  }

  void SubmitReport(const Report& report, Done<ReportReply> done) override {
    if (away) return Answer<ReportReply>(std::move(done), Away());
    if (report.update.size > 0) updates[report.assignment_id] = report.update.inline_data;
    bytes_up += report.update.inline_data.size();
    Answer<ReportReply>(std::move(done), TakeReport(report));
  }

  void CancelAll() override {
    ++cancels;
    if (held_) {
      executor_->Cancel(held_timer_);
      Answer<CheckInResponse>(std::exchange(held_, nullptr), absl::CancelledError("cancelled"));
    }
  }
  void Sleep() override { ++sleeps; }

 private:
  static absl::Status Away() { return absl::UnavailableError("cannot reach the coordinator"); }
  int64_t clock_ms() const { return (clock_->MonotonicUs() - start_us_) / 1000; }

  template <typename T>
  void Answer(Done<T> done, absl::StatusOr<T> answer) {
    executor_->Post([done = std::move(done), answer = std::move(answer)]() mutable {
      done(std::move(answer));
    });
  }

  DownloadResult Serve(const std::string& blob, uint64_t offset, const std::string& path) {
    DownloadResult result;
    result.total = blob.size();
    uint64_t end = blob.size();
    if (stall_downloads_at.has_value() && *stall_downloads_at < end) end = *stall_downloads_at;
    if (cut_download_at.has_value() && *cut_download_at < end) {
      end = *cut_download_at;
      cut_download_at.reset();
      result.status = absl::UnavailableError("the connection broke");
    }
    absl::StatusOr<FileWriter> file = FileWriter::Open(path);
    if (!file.ok()) {
      result.status = file.status();
      return result;
    }
    if (end > offset) {
      const absl::Status written = file->Append(AsBytes(blob).subspan(offset, end - offset));
      if (!written.ok()) {
        result.status = written;
        return result;
      }
      result.received = end - offset;
    }
    bytes_down += result.received;
    return result;
  }

  UploadResult Receive(const Report& report, uint64_t offset, const std::string& path) {
    UploadResult result;
    std::string& held = updates[report.assignment_id];
    if (offset != held.size()) {
      result.reply = absl::OutOfRangeError("not where the upload stopped");
      return result;
    }
    const absl::StatusOr<std::string> file = ReadFile(path, report.update.size);
    if (!file.ok()) {
      result.reply = file.status();
      return result;
    }
    uint64_t end = file->size();
    const bool cut = cut_upload_at.has_value() && *cut_upload_at < end;
    if (cut) end = *std::exchange(cut_upload_at, std::nullopt);
    held += file->substr(offset, end - offset);
    result.sent = end - offset;
    bytes_up += result.sent;
    result.reply = cut ? absl::StatusOr<ReportReply>(absl::UnavailableError("the connection broke"))
                       : TakeReport(report);
    return result;
  }

  absl::StatusOr<ReportReply> TakeReport(const Report& report) {
    if (report.update.size > 0 &&
        Sha256Of(AsBytes(updates[report.assignment_id])) != report.update.sha256) {
      return absl::DataLossError("the update does not have its hash");
    }
    reports.push_back(report);
    if (replies.empty()) {
      ReportReply reply;
      reply.accepted = true;
      return reply;
    }
    absl::StatusOr<ReportReply> reply = std::move(replies.front());
    replies.pop_front();
    return reply;
  }

  ManualExecutor* const executor_;
  const Clock* const clock_;
  const int64_t start_us_;
  Done<CheckInResponse> held_;
  uint64_t held_timer_ = 0;
};

}  // namespace fedwatt
