#include "simulation/training_bench.h"

#include <utility>

namespace fedwatt {
namespace {

class DirectBench final : public TrainingBench {
 public:
  explicit DirectBench(std::unique_ptr<Trainer> trainer) : trainer_(std::move(trainer)) {}

  std::string name() const override { return trainer_->name(); }
  std::vector<std::string> artifact_formats() const override {
    return trainer_->artifact_formats();
  }
  bool needs_disk() const override { return false; }
  void Begin(const TrainRequest&, int64_t) override {}
  absl::StatusOr<TrainResult> Take(const TrainRequest& request,
                                   const std::atomic<bool>& cancel) override {
    return trainer_->Run(request, cancel, [](const TrainProgress&) {});
  }
  void Drop(const std::string&) override {}

 private:
  const std::unique_ptr<Trainer> trainer_;
};

}  // namespace

std::unique_ptr<TrainingBench> MakeDirectBench(std::unique_ptr<Trainer> trainer) {
  return std::make_unique<DirectBench>(std::move(trainer));
}

}  // namespace fedwatt
