#pragma once

// A Coordinator that keeps everything in memory and does what the test tells it, so that the gRPC
// layer is tested alone. Its rules: a principal may fetch every blob, an upload belongs to whoever
// names its assignment, a complete update with the right hash is accepted.

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/executor.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/crypto/sha256.h"
#include "server/driver/coordinator.h"

namespace fedwatt {

class FakeCoordinator final : public Coordinator {
 public:
  explicit FakeCoordinator(Executor* executor) : executor_(executor) {}

  // ---- what a test sets

  void AddBlob(const Digest& sha256, const std::string& path) {
    MutexLock lock(&mutex_);
    blobs_[sha256] = path;
  }
  // Answers check-ins at once from now on; without it they wait.
  void AnswerCheckIns(const CheckInResponse& response) {
    MutexLock lock(&mutex_);
    response_ = response;
  }
  void RefuseUploads(const ReportReply& reply) {
    MutexLock lock(&mutex_);
    refusal_ = reply;
  }
  // Runs before each chunk is taken, with the bytes held so far; may block.
  void OnAppend(std::function<absl::Status(uint64_t offset)> hook) {
    MutexLock lock(&mutex_);
    on_append_ = std::move(hook);
  }
  // Sends `update` to every watcher.
  void Publish(const JobUpdate& update, bool last) {
    MutexLock lock(&mutex_);
    for (const auto& [id, watcher] : watchers_) {
      executor_->Post([watcher, update, last] { watcher(update, last); });
    }
    changed_.NotifyAll();
  }

  // ---- what a test asks

  void WaitForWaiting(size_t count) {
    MutexLock lock(&mutex_);
    while (waiting_.size() != count) changed_.Wait(&mutex_);
  }
  void WaitForWatchers(size_t count) {
    MutexLock lock(&mutex_);
    while (watchers_.size() != count) changed_.Wait(&mutex_);
  }
  std::vector<Principal> callers() {
    MutexLock lock(&mutex_);
    return callers_;
  }
  std::string Uploaded(const std::string& assignment_id) {
    MutexLock lock(&mutex_);
    return uploads_[assignment_id];
  }
  int reports() {
    MutexLock lock(&mutex_);
    return reports_;
  }
  std::string stop_reason() {
    MutexLock lock(&mutex_);
    return stop_reason_;
  }

  // ---- Coordinator

  uint64_t CheckIn(const Principal& who, CheckInRequest /*request*/, CheckInDone done) override {
    MutexLock lock(&mutex_);
    callers_.push_back(who);
    const uint64_t id = next_id_++;
    if (shut_down_) {
      Answer(std::move(done), absl::UnavailableError("the coordinator is shutting down"));
    } else if (response_.has_value()) {
      Answer(std::move(done), *response_);
    } else {
      waiting_.emplace(id, std::move(done));
    }
    changed_.NotifyAll();
    return id;
  }
  void CancelCheckIn(uint64_t id) override {
    MutexLock lock(&mutex_);
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    Answer(std::move(found->second), absl::CancelledError("the peer went away"));
    waiting_.erase(found);
    changed_.NotifyAll();
  }

  absl::StatusOr<std::shared_ptr<const MappedFile>> OpenBlob(const Principal& /*who*/,
                                                             const Digest& sha256) override {
    std::string path;
    {
      MutexLock lock(&mutex_);
      const auto found = blobs_.find(sha256);
      if (found == blobs_.end()) {
        return absl::PermissionDeniedError(
            absl::StrCat("no assignment of yours names the blob ", DigestHex(sha256)));
      }
      path = found->second;
    }
    absl::StatusOr<MappedFile> file = MappedFile::Open(path);
    if (!file.ok()) return file.status();
    return std::make_shared<const MappedFile>(*std::move(file));
  }
  absl::StatusOr<UploadOffset> UploadStatus(const Principal& /*who*/,
                                            const std::string& assignment_id,
                                            const Digest& /*sha256*/) override {
    MutexLock lock(&mutex_);
    return UploadOffset{uploads_[assignment_id].size(), false};
  }
  absl::StatusOr<UploadStart> StartUpload(const Principal& who, Report report,
                                          uint64_t /*offset*/) override;
  void SubmitReport(const Principal& who, Report report,
                    absl::AnyInvocable<void(absl::StatusOr<ReportReply>)> done) override {
    MutexLock lock(&mutex_);
    callers_.push_back(who);
    ++reports_;
    uploads_[report.assignment_id] = report.update.inline_data;
    executor_->Post([done = std::move(done)]() mutable {
      std::move(done)(ReportReply{.accepted = true, .outcome = Outcome::kPending});
    });
  }

  ServerStats Stats() override { return {.started_ms = 7, .waiting_clients = 3}; }
  absl::StatusOr<std::string> AddBundle(const std::string& file_path, Digest* sha256) override {
    absl::StatusOr<std::string> text = ReadFile(file_path, 1 << 30);
    if (!text.ok()) return text.status();
    *sha256 = Sha256Of(AsBytes(*text));
    MutexLock lock(&mutex_);
    bundle_ = *text;
    return std::string("mcmahan-cnn");
  }
  absl::StatusOr<JobView> SubmitJob(const JobSpec& spec, const Digest& /*bundle*/,
                                    const std::string& /*request_id*/) override {
    return View(spec.name);
  }
  std::vector<JobView> ListJobs(bool all) override {
    std::vector<JobView> jobs = {View("a")};
    if (all) jobs.push_back(View("b"));
    return jobs;
  }
  absl::StatusOr<JobView> GetJob(const std::string& id_or_name) override {
    if (id_or_name == "nobody") return absl::NotFoundError("no job \"nobody\"; see fedwatt list");
    return View(id_or_name);
  }
  absl::StatusOr<uint64_t> WatchJob(
      const std::string& id_or_name, uint64_t after_sequence,
      std::function<void(const JobUpdate&, bool last)> on_update) override {
    MutexLock lock(&mutex_);
    const uint64_t id = next_id_++;
    JobUpdate first{after_sequence + 1, View(id_or_name), std::nullopt};
    executor_->Post([on_update, first] { on_update(first, false); });
    watchers_[id] = std::move(on_update);
    changed_.NotifyAll();
    return id;
  }
  void Unwatch(uint64_t id) override {
    MutexLock lock(&mutex_);
    watchers_.erase(id);
    changed_.NotifyAll();
  }
  absl::StatusOr<JobView> StopJob(const std::string& id_or_name,
                                  const std::string& reason) override {
    MutexLock lock(&mutex_);
    stop_reason_ = reason;
    JobView job = View(id_or_name);
    job.state = JobState::kStopped;
    return job;
  }
  absl::StatusOr<JobView> ResumeJob(const std::string& id_or_name) override {
    return View(id_or_name);
  }
  absl::Status ExportModel(const std::string& /*id_or_name*/, const std::string& version,
                           const std::string& path) override {
    MutexLock lock(&mutex_);
    return WriteFileAtomic(path, absl::StrCat(version, ":", bundle_));
  }
  absl::StatusOr<std::vector<EnergySum>> QueryEnergy(const std::string& id_or_name, EnergyAxis axis,
                                                     const EnergyFilter& filter) override {
    if (id_or_name != "job-1") return absl::NotFoundError("no such job");
    EnergySum cell;
    cell.label.source = "rapl";
    cell.label.quality = EnergyQuality::kMeasured;
    cell.label.phase = Phase::kTrain;
    cell.label.round = 3;
    cell.label.hour = 49;
    cell.figures.energy_uj = 5;
    return GroupEnergy({cell}, axis, filter);
  }

  void Shutdown() override {
    MutexLock lock(&mutex_);
    shut_down_ = true;
    for (auto& [id, done] : waiting_) {
      Answer(std::move(done), absl::UnavailableError("the coordinator is shutting down"));
    }
    waiting_.clear();
  }

  static JobView View(const std::string& id) {
    JobView job;
    job.id = id;
    job.spec.name = "demo";
    job.spec.dataset.name = "digits";
    job.spec.round.goal = 2;
    job.last.job = id;
    return job;
  }

 private:
  class Session;

  void Answer(CheckInDone done, absl::StatusOr<CheckInResponse> response) {
    executor_->Post([done = std::move(done), response = std::move(response)]() mutable {
      std::move(done)(std::move(response));
    });
  }

  Executor* const executor_;

  Mutex mutex_;
  CondVar changed_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, CheckInDone> waiting_ ABSL_GUARDED_BY(mutex_);
  std::optional<CheckInResponse> response_ ABSL_GUARDED_BY(mutex_);
  std::map<Digest, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> uploads_ ABSL_GUARDED_BY(mutex_);
  std::optional<ReportReply> refusal_ ABSL_GUARDED_BY(mutex_);
  std::function<absl::Status(uint64_t)> on_append_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::function<void(const JobUpdate&, bool)>> watchers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Principal> callers_ ABSL_GUARDED_BY(mutex_);
  std::string bundle_ ABSL_GUARDED_BY(mutex_);
  std::string stop_reason_ ABSL_GUARDED_BY(mutex_);
  int reports_ ABSL_GUARDED_BY(mutex_) = 0;
};

class FakeCoordinator::Session final : public UploadSession {
 public:
  Session(FakeCoordinator* owner, Report report, uint64_t offset)
      : owner_(owner), report_(std::move(report)), offset_(offset) {}

  uint64_t offset() const override { return offset_; }

  absl::Status Append(uint64_t offset, std::span<const uint8_t> data) override {
    EXPECT_EQ(offset, offset_);
    std::function<absl::Status(uint64_t)> hook;
    {
      MutexLock lock(&owner_->mutex_);
      hook = owner_->on_append_;
    }
    if (hook) {
      if (absl::Status status = hook(offset); !status.ok()) return status;
    }
    MutexLock lock(&owner_->mutex_);
    owner_->uploads_[report_.assignment_id].append(AsText(data));
    offset_ += data.size();
    return absl::OkStatus();
  }

  void Finish(absl::AnyInvocable<void(absl::StatusOr<ReportReply>)> done) override {
    absl::StatusOr<ReportReply> reply = ReportReply{.accepted = true, .outcome = Outcome::kPending};
    if (Sha256Of(AsBytes(owner_->Uploaded(report_.assignment_id))) != report_.update.sha256) {
      reply = absl::DataLossError("the update's bytes do not have the declared hash");
    }
    owner_->executor_->Post([done = std::move(done), reply = std::move(reply)]() mutable {
      std::move(done)(std::move(reply));
    });
  }

 private:
  FakeCoordinator* const owner_;
  const Report report_;
  uint64_t offset_;
};

inline absl::StatusOr<Coordinator::UploadStart> FakeCoordinator::StartUpload(const Principal& who,
                                                                             Report report,
                                                                             uint64_t /*offset*/) {
  MutexLock lock(&mutex_);
  callers_.push_back(who);
  UploadStart start;
  if (refusal_.has_value()) {
    start.refused = refusal_;
    return start;
  }
  const uint64_t held = uploads_[report.assignment_id].size();
  start.session = std::make_unique<Session>(this, std::move(report), held);
  return start;
}

}  // namespace fedwatt
