#pragma once

#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include <cstdint>
#include <memory>

#include "common/base/mutex.h"

namespace fedwatt {

// The memory that gRPC itself may hold: what arrived and nobody has read yet, and what it keeps
// ready to read into. A connection that once received fast keeps a buffer of that size while it is
// silent (https://github.com/grpc/grpc/issues/42194): of a thousand clients that wait for a round,
// 180 MiB. Near the quota gRPC reads in small pieces and frees such buffers; past it, it ends idle
// connections and then calls, whose clients come again later. Open calls raise the quota by what
// each needs to exist, so that many clients who wait are never the reason.
//
// Thread-safe. Outlives its calls.
class TransportMemory {
 public:
  // `buffer_bytes`: beside open calls.
  explicit TransportMemory(uint64_t buffer_bytes);

  void Bound(grpc::ServerBuilder& builder) { builder.SetResourceQuota(quota_); }

  // For as long as a call is open. Null: of a server without a quota.
  class Call {
   public:
    explicit Call(TransportMemory* memory) : memory_(memory) { Count(1); }
    ~Call() { Count(-1); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    void Count(int64_t change) {
      if (memory_ != nullptr) memory_->Count(change);
    }
    TransportMemory* const memory_;
  };

  uint64_t quota_bytes() const;

 private:
  uint64_t Bytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Count(int64_t change);

  const uint64_t buffer_bytes_;
  mutable Mutex mutex_;
  int64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::ResourceQuota quota_;
};

}  // namespace fedwatt
