#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "client/sdk/trainer.h"
#include "common/base/mutex.h"

namespace fedwatt::client {

// Trainers that many clients of one process share: as many work at once as there are. Thread-safe.
class TrainerPool {
 public:
  // `make`: called `count` times.
  static absl::StatusOr<std::unique_ptr<TrainerPool>> Make(
      int count, const std::function<absl::StatusOr<std::unique_ptr<Trainer>>()>& make);

  // A trainer that does its work by one of these; waits for one if all are at work. The pool
  // outlives it.
  std::unique_ptr<Trainer> Share();

 private:
  class Shared;

  TrainerPool() = default;
  Trainer* Take();
  void Give(Trainer* trainer);

  std::vector<std::unique_ptr<Trainer>> trainers_;  // constant after Make

  Mutex mutex_;
  CondVar free_again_;
  std::vector<Trainer*> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fedwatt::client
