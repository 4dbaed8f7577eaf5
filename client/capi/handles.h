#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "common/base/mutex.h"

namespace fedwatt {

// What a C program holds instead of pointers: numbers that are never used twice, dressed up as
// pointers. So a stale handle is found out for ever, and never reaches freed memory. Thread-safe.
template <typename T>
class Handles {
 public:
  const void* Add(std::shared_ptr<T> object) {
    MutexLock lock(&mutex_);
    next_ += kStep;
    live_.emplace(next_, std::move(object));
    return reinterpret_cast<const void*>(next_);  // NOLINT(performance-no-int-to-ptr)
  }

  // Null for what is not live.
  std::shared_ptr<T> Find(const void* handle) {
    MutexLock lock(&mutex_);
    const auto found = live_.find(reinterpret_cast<uintptr_t>(handle));
    return found == live_.end() ? nullptr : found->second;
  }

  void Remove(const void* handle) {
    MutexLock lock(&mutex_);
    live_.erase(reinterpret_cast<uintptr_t>(handle));
  }

 private:
  static constexpr uintptr_t kStep = 16;

  Mutex mutex_;
  uintptr_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uintptr_t, std::shared_ptr<T>> live_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fedwatt
