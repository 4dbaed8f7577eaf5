#include "server/driver/grpc_adapter/transport_memory.h"

namespace fedwatt {
namespace {

// An open call and its connection, with TLS, as gRPC 1.51 counts them.
constexpr int64_t kCallBytes = 24 * 1024;

}  // namespace

TransportMemory::TransportMemory(uint64_t buffer_bytes)
    : buffer_bytes_(buffer_bytes), quota_("fedwatt server") {
  quota_.Resize(buffer_bytes_);
}

uint64_t TransportMemory::quota_bytes() const {
  MutexLock lock(&mutex_);
  return Bytes();
}

uint64_t TransportMemory::Bytes() const {
  return buffer_bytes_ + static_cast<uint64_t>(calls_ * kCallBytes);
}

void TransportMemory::Count(int64_t change) {
  MutexLock lock(&mutex_);
  calls_ += change;
  quota_.Resize(Bytes());
}

}  // namespace fedwatt
