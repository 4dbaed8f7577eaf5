#include "client/app/virtual_trainers.h"

#include <string>
#include <utility>

#include "common/base/status_macros.h"

namespace fedwatt::client {

class TrainerPool::Shared final : public Trainer {
 public:
  explicit Shared(TrainerPool* pool) : pool_(pool) {}

  std::string name() const override { return pool_->trainers_[0]->name(); }
  std::vector<std::string> artifact_formats() const override {
    return pool_->trainers_[0]->artifact_formats();
  }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override {
    Trainer* const trainer = pool_->Take();
    absl::StatusOr<TrainResult> result = trainer->Run(request, cancel, progress);
    pool_->Give(trainer);
    return result;
  }

 private:
  TrainerPool* const pool_;
};

absl::StatusOr<std::unique_ptr<TrainerPool>> TrainerPool::Make(
    int count, const std::function<absl::StatusOr<std::unique_ptr<Trainer>>()>& make) {
  std::unique_ptr<TrainerPool> pool(new TrainerPool());
  for (int i = 0; i < count; ++i) {
    FW_ASSIGN_OR_RETURN(std::unique_ptr<Trainer> trainer, make());
    pool->Give(trainer.get());
    pool->trainers_.push_back(std::move(trainer));
  }
  return pool;
}

std::unique_ptr<Trainer> TrainerPool::Share() { return std::make_unique<Shared>(this); }

Trainer* TrainerPool::Take() {
  MutexLock lock(&mutex_);
  while (free_.empty()) free_again_.Wait(&mutex_);
  Trainer* const trainer = free_.back();
  free_.pop_back();
  return trainer;
}

void TrainerPool::Give(Trainer* trainer) {
  {
    MutexLock lock(&mutex_);
    free_.push_back(trainer);
  }
  free_again_.NotifyOne();
}

}  // namespace fedwatt::client
