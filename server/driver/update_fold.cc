#include "server/driver/update_fold.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "server/driver/update_view.h"

namespace fedwatt {
namespace {

struct OpenUpdate {
  std::shared_ptr<const SpooledUpdate> bytes;
  std::unique_ptr<SpooledUpdateView> view;
};

absl::StatusOr<OpenUpdate> Open(const JobSetup& setup, Spool* spool, const FoldEntry& entry) {
  OpenUpdate open;
  open.bytes = entry.held;
  if (open.bytes == nullptr) {
    FW_ASSIGN_OR_RETURN(open.bytes, spool->Read(entry.assignment_id, entry.sha256));
  }
  FW_ASSIGN_OR_RETURN(open.view,
                      SpooledUpdateView::Create(&setup, entry.codec.get(), open.bytes.get(),
                                                entry.weight, entry.clip_factor));
  return open;
}

}  // namespace

absl::Status FoldUpdates(const JobSetup& setup, Spool* spool, std::span<const FoldEntry> updates,
                         Aggregator* aggregator) {
  if (updates.empty()) return absl::OkStatus();
  std::vector<OpenUpdate> open;
  std::vector<const UpdateView*> views;
  for (const FoldEntry& entry : updates) {
    auto opened = Open(setup, spool, entry);
    if (!opened.ok()) return Annotate(opened.status(), entry.assignment_id);
    open.push_back(*std::move(opened));
    views.push_back(open.back().view.get());
  }
  const std::vector<absl::Status> statuses = aggregator->AccumulateMany(views);
  for (size_t i = 0; i < statuses.size(); ++i) {
    if (!statuses[i].ok()) return Annotate(statuses[i], updates[i].assignment_id);
  }
  return absl::OkStatus();
}

bool FoldQueue::Push(FoldEntry entry) {
  MutexLock lock(&mutex_);
  waiting_.push_back(std::move(entry));
  if (tasks_ >= max_tasks_) return false;
  ++tasks_;
  return true;
}

std::vector<FoldEntry> FoldQueue::Take() {
  MutexLock lock(&mutex_);
  const size_t share = (waiting_.size() + tasks_ - 1) / std::max<size_t>(tasks_, 1);
  const size_t most = std::min(share, kMaxUpdates);
  std::vector<FoldEntry> batch;
  uint64_t held = 0;
  while (batch.size() < most) {
    const FoldEntry& next = waiting_.front();
    held += SpooledUpdateView::HeldBytes(*next.codec, next.bytes);
    if (!batch.empty() && held > kMaxHeldBytes) break;
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return batch;
}

bool FoldQueue::Passed() {
  MutexLock lock(&mutex_);
  if (!waiting_.empty()) return true;
  --tasks_;
  return false;
}

}  // namespace fedwatt
