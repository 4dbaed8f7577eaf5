#include "bench/interrupt.h"

#include <utility>

#include "common/base/status_macros.h"

namespace fedwatt::bench {

absl::StatusOr<std::unique_ptr<Interrupt>> Interrupt::Install() {
  FW_ASSIGN_OR_RETURN(std::unique_ptr<ShutdownSignal> signal, ShutdownSignal::Install());
  return std::unique_ptr<Interrupt>(new Interrupt(std::move(signal)));
}

Interrupt::Interrupt(std::unique_ptr<ShutdownSignal> signal)
    : signal_(std::move(signal)), thread_([this] {
        signal_->WaitForShutdown();
        MutexLock lock(&mutex_);
        interrupted_ = true;
        if (context_ != nullptr) context_->TryCancel();
      }) {}

Interrupt::~Interrupt() {
  signal_->Request();
  thread_.join();
}

absl::Status Interrupt::Check() const { return Wait(0); }

absl::Status Interrupt::Wait(int64_t wait_ms) const {
  return signal_->WaitFor(wait_ms) ? absl::CancelledError("interrupted") : absl::OkStatus();
}

void Interrupt::Watch(grpc::ClientContext* context) {
  MutexLock lock(&mutex_);
  context_ = context;
  if (context_ != nullptr && interrupted_) context_->TryCancel();
}

}  // namespace fedwatt::bench
