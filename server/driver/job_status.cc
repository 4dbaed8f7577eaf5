#include "server/driver/job_status.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

// Between snapshots to one watcher: a person sees no more, and a round of 500 reports would cost
// more in snapshots than in reports.
constexpr int64_t kSnapshotGapMs = 100;

}  // namespace

JobStatus::JobStatus(JobRecord record, Store* store, Executor* executor)
    : id_(record.id),
      store_(store),
      executor_(executor),
      record_(record),
      durable_(std::move(record)) {}

JobRecord JobStatus::record() const {
  MutexLock lock(&mutex_);
  return record_;
}

JobState JobStatus::state() const {
  MutexLock lock(&mutex_);
  return record_.state;
}

JobView JobStatus::View(bool with_rounds) const {
  MutexLock lock(&mutex_);
  return ViewLocked(with_rounds);
}

JobView JobStatus::ViewLocked(bool with_rounds) const {
  JobView view;
  view.id = durable_.id;
  view.spec = durable_.spec;
  view.state = durable_.state;
  view.reason = durable_.reason;
  view.stop_reason = durable_.stop_reason;
  view.created_ms = durable_.created_ms;
  view.ended_ms = durable_.ended_ms;
  view.rounds_done = progress_.rounds_done;
  view.last = progress_.last;
  view.best = progress_.best;
  view.best_metric = progress_.best_metric;
  view.current = progress_.current;
  view.energy = progress_.energy;
  view.bytes_down = progress_.bytes_down;
  view.bytes_up = progress_.bytes_up;
  view.budget = progress_.budget;
  if (with_rounds) view.rounds = rounds_;
  return view;
}

absl::Status JobStatus::Change(const std::function<absl::Status(JobRecord*)>& change,
                               absl::AnyInvocable<void(absl::Status)> done) {
  MutexLock write_lock(&write_mutex_);
  JobRecord before;
  JobRecord after;
  uint64_t version = 0;
  {
    MutexLock lock(&mutex_);
    before = record_;
    after = record_;
    FW_RETURN_IF_ERROR(change(&after));
    record_ = after;
    version = ++record_version_;
  }
  store_->Write({PutJob{after}}, [weak = weak_from_this(), before, after, version,
                                  done = std::move(done)](absl::Status status) mutable {
    if (const auto self = weak.lock()) self->Written(before, after, version, status.ok());
    done(std::move(status));
  });
  return absl::OkStatus();
}

void JobStatus::Written(const JobRecord& before, const JobRecord& after, uint64_t version,
                        bool ok) {
  MutexLock lock(&mutex_);
  if (ok) {
    durable_ = after;
  } else if (record_version_ == version) {
    record_ = before;
  }
  Changed(true);
}

void JobStatus::SetRounds(std::vector<RoundSummary> rounds) {
  MutexLock lock(&mutex_);
  rounds_ = std::move(rounds);
}

void JobStatus::Publish(Progress progress) {
  MutexLock lock(&mutex_);
  progress_ = std::move(progress);
  Changed(false);
}

void JobStatus::AddRound(RoundSummary summary) {
  MutexLock lock(&mutex_);
  rounds_.push_back(std::move(summary));
  changes_ = 0;
  Changed(true);
}

void JobStatus::TellAbandoned(const RoundSummary& summary) {
  MutexLock lock(&mutex_);
  for (auto& [id, watcher] : watchers_) {
    if (watcher.abandoned.size() == kMaxAbandonedToTell) watcher.abandoned.pop_front();
    watcher.abandoned.push_back(summary);
  }
  Changed(true);
}

uint64_t JobStatus::Sequence(uint64_t rounds) const {
  const uint64_t limit = (uint64_t{1} << kRoundShift) - 1;
  const uint64_t minor = rounds == rounds_.size() ? std::min(changes_ + 1, limit) : 1;
  return (rounds << kRoundShift) | minor;
}

void JobStatus::Watch(uint64_t id, uint64_t after_sequence, OnUpdate on_update) {
  MutexLock lock(&mutex_);
  Watcher& watcher = watchers_[id];
  watcher.on_update = std::move(on_update);
  watcher.rounds_seen = std::min<uint64_t>(after_sequence >> kRoundShift, rounds_.size());
  PostDelivery(id, true, &watcher);
}

bool JobStatus::Unwatch(uint64_t id) {
  MutexLock lock(&mutex_);
  return watchers_.erase(id) > 0;
}

void JobStatus::DropWatchers() {
  MutexLock lock(&mutex_);
  watchers_.clear();
}

void JobStatus::Changed(bool urgent) {
  ++changes_;
  for (auto& [id, watcher] : watchers_) PostDelivery(id, urgent, &watcher);
}

void JobStatus::PostDelivery(uint64_t id, bool urgent, Watcher* watcher) {
  if (watcher->posted) return;
  if (urgent) {
    watcher->posted = true;
    executor_->Post([weak = weak_from_this(), id] { Deliver(weak, id); });
  } else if (!std::exchange(watcher->delayed, true)) {
    executor_->PostAfter(kSnapshotGapMs, [weak = weak_from_this(), id] {
      const std::shared_ptr<JobStatus> self = weak.lock();
      if (self != nullptr && self->EndDelay(id)) Deliver(weak, id);
    });
  }
}

// True: the caller is to deliver.
bool JobStatus::EndDelay(uint64_t id) {
  MutexLock lock(&mutex_);
  const auto it = watchers_.find(id);
  if (it == watchers_.end()) return false;
  it->second.delayed = false;
  return !std::exchange(it->second.posted, true);
}

void JobStatus::Deliver(const std::weak_ptr<JobStatus>& weak, uint64_t id) {
  JobUpdate update;
  OnUpdate on_update;
  bool last = false;
  while (true) {
    const std::shared_ptr<JobStatus> self = weak.lock();
    if (self == nullptr || !self->NextUpdate(id, &update, &last, &on_update)) return;
    on_update(update, last);
    if (last) return;
  }
}

// One update per call: each round that ended, then the newest snapshot. False when there is none;
// the next change posts again.
bool JobStatus::NextUpdate(uint64_t id, JobUpdate* update, bool* last, OnUpdate* on_update) {
  MutexLock lock(&mutex_);
  const auto it = watchers_.find(id);
  if (it == watchers_.end()) return false;
  Watcher& watcher = it->second;
  *update = JobUpdate{};
  if (watcher.rounds_seen < rounds_.size()) {
    update->committed = rounds_[watcher.rounds_seen++];
    update->sequence = Sequence(watcher.rounds_seen);
  } else if (!watcher.abandoned.empty()) {
    update->committed = std::move(watcher.abandoned.front());
    watcher.abandoned.pop_front();
    update->sequence = Sequence(rounds_.size());
  } else if (watcher.fresh || watcher.sequence_seen != Sequence(rounds_.size())) {
    update->sequence = Sequence(rounds_.size());
  } else {
    watcher.posted = false;
    return false;
  }
  watcher.fresh = false;
  watcher.sequence_seen = update->sequence;
  update->job = ViewLocked(false);
  *on_update = watcher.on_update;
  *last = durable_.state != JobState::kRunning && watcher.rounds_seen == rounds_.size() &&
          watcher.abandoned.empty();
  if (*last) watchers_.erase(it);
  return true;
}

}  // namespace fedwatt
