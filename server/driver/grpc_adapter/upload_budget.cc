#include "server/driver/grpc_adapter/upload_budget.h"

#include <algorithm>
#include <utility>

namespace fedwatt {

bool UploadBudget::Fits(uint64_t bytes) const {
  return reserved_ == 0 || (bytes <= limit_bytes_ && reserved_ <= limit_bytes_ - bytes);
}

uint64_t UploadBudget::Reserve(uint64_t bytes, Granted granted) {
  MutexLock lock(&mutex_);
  if (waiters_.empty() && Fits(bytes)) {
    reserved_ += bytes;
    return 0;
  }
  const uint64_t ticket = next_ticket_++;
  waiters_.push_back({ticket, bytes, std::move(granted)});
  return ticket;
}

std::vector<UploadBudget::Granted> UploadBudget::GrantWaiters() {
  std::vector<Granted> granted;
  while (!waiters_.empty() && Fits(waiters_.front().bytes)) {
    reserved_ += waiters_.front().bytes;
    granted.push_back(std::move(waiters_.front().granted));
    waiters_.pop_front();
  }
  return granted;
}

bool UploadBudget::Cancel(uint64_t ticket) {
  std::vector<Granted> granted;
  Granted cancelled;
  {
    MutexLock lock(&mutex_);
    const auto found =
        std::find_if(waiters_.begin(), waiters_.end(),
                     [ticket](const Waiter& waiter) { return waiter.ticket == ticket; });
    if (found == waiters_.end()) return false;
    cancelled = std::move(found->granted);
    waiters_.erase(found);
    // A large request at the head may have held smaller ones back.
    granted = GrantWaiters();
  }
  for (Granted& call : granted) call();
  return true;
}

void UploadBudget::Release(uint64_t bytes) {
  std::vector<Granted> granted;
  {
    MutexLock lock(&mutex_);
    reserved_ -= bytes;
    granted = GrantWaiters();
  }
  for (Granted& call : granted) call();
}

uint64_t UploadBudget::reserved_bytes() const {
  MutexLock lock(&mutex_);
  return reserved_;
}

uint64_t UploadBudget::waiting() const {
  MutexLock lock(&mutex_);
  return waiters_.size();
}

}  // namespace fedwatt
