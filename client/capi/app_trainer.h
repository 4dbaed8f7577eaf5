#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/capi/app_data.h"
#include "client/capi/app_object.h"
#include "client/capi/callback_thread.h"
#include "client/sdk/trainer.h"

namespace fedwatt {

// INVALID_ARGUMENT names what is missing.
absl::StatusOr<fedwatt_trainer> CheckAppTrainer(const fedwatt_trainer* trainer);

// What the trainers of an embedded client share.
struct AppTrainerDeps {
  std::shared_ptr<AppData> data;
  CallbackThread* thread = nullptr;            // outlives the trainer
  const std::atomic<bool>* give_up = nullptr;  // stop waiting for callbacks: the client closes
  const Clock* clock = nullptr;
};

// A trainer of the app's own, behind the interface that the session knows. A call that takes longer
// than the plan's step limit without a sign of life ends with DEADLINE_EXCEEDED, and the trainer
// refuses work (FAILED_PRECONDITION) until it comes back.
std::unique_ptr<Trainer> MakeAppTrainer(std::shared_ptr<AppObject<fedwatt_trainer>> trainer,
                                        AppTrainerDeps deps);

// fedwatt-torch in a process of its own, fed with what the app's data source gives: the examples
// travel through memory that only the two processes see, never through a file.
struct TorchFeedOptions {
  std::string program;
  uint64_t memory_limit_bytes = 0;  // 0: the worker's default
};
std::unique_ptr<Trainer> MakeTorchFeedTrainer(const TorchFeedOptions& options, AppTrainerDeps deps);

}  // namespace fedwatt
