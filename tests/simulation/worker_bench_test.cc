#include "simulation/worker_bench.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/file.h"
#include "common/base/mutex.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

// Writes its assignment's id.
class NamingTrainer final : public Trainer {
 public:
  std::string name() const override { return "naming"; }
  std::vector<std::string> artifact_formats() const override { return {}; }
  absl::StatusOr<TrainResult> Run(const TrainRequest& request, const std::atomic<bool>&,
                                  const std::function<void(const TrainProgress&)>&) override {
    if (request.assignment_id == "bad") return absl::InternalError("a bad day");
    const absl::Status written = WriteFileAtomic(request.output_path, request.assignment_id);
    if (!written.ok()) return written;
    TrainResult result;
    result.weight = 1;
    return result;
  }
};

class WorkerBenchTest : public ::testing::Test {
 protected:
  TrainRequest Request(const std::string& id) {
    TrainRequest request;
    request.assignment_id = id;
    request.output_path = dir_.File(id + ".delta");
    return request;
  }

  TempDir dir_;
  std::atomic<bool> cancel_{false};
  std::unique_ptr<TrainingBench> bench_ =
      MakeWorkerBench("naming", {}, 2, [] { return std::make_unique<NamingTrainer>(); });
};

TEST_F(WorkerBenchTest, ResultsAreTakenInAnyOrder) {
  for (const char* id : {"a", "b", "c"}) bench_->Begin(Request(id), 0);
  for (const char* id : {"c", "a", "b"}) {
    ASSERT_TRUE(bench_->Take(Request(id), cancel_).ok());
    EXPECT_EQ(*ReadFile(Request(id).output_path, 100), id);
  }
}

TEST_F(WorkerBenchTest, WhatIsDueFirstIsDoneFirst) {
  Mutex mutex;
  CondVar changed;
  bool may_go_on = false;
  std::vector<std::string> order;
  class Recording final : public Trainer {
   public:
    explicit Recording(std::function<void(const std::string&)> seen) : seen_(std::move(seen)) {}
    std::string name() const override { return "recording"; }
    std::vector<std::string> artifact_formats() const override { return {}; }
    absl::StatusOr<TrainResult> Run(const TrainRequest& request, const std::atomic<bool>&,
                                    const std::function<void(const TrainProgress&)>&) override {
      seen_(request.assignment_id);
      return TrainResult();
    }

   private:
    const std::function<void(const std::string&)> seen_;
  };
  const auto seen = [&](const std::string& id) {
    MutexLock lock(&mutex);
    while (!may_go_on) changed.Wait(&mutex);
    order.push_back(id);
  };
  auto bench =
      MakeWorkerBench("recording", {}, 1, [&seen] { return std::make_unique<Recording>(seen); });
  for (const auto& [id, due_ms] : std::vector<std::pair<std::string, int64_t>>{
           {"at work", 0}, {"third", 30}, {"first", 10}, {"second", 20}, {"as late", 30}}) {
    bench->Begin(Request(id), due_ms);
  }
  {
    MutexLock lock(&mutex);
    may_go_on = true;
    changed.NotifyAll();
  }
  for (const char* id : {"at work", "third", "first", "second", "as late"}) {
    ASSERT_TRUE(bench->Take(Request(id), cancel_).ok());
  }
  EXPECT_EQ(order, (std::vector<std::string>{"at work", "first", "second", "third", "as late"}));
}

TEST_F(WorkerBenchTest, ADeviceSeesNothingBeforeItTakesTheResult) {
  bench_->Begin(Request("a"), 0);
  bench_->Begin(Request("b"), 0);
  ASSERT_TRUE(bench_->Take(Request("b"), cancel_).ok());
  EXPECT_FALSE(FileExists(Request("a").output_path));
}

TEST_F(WorkerBenchTest, WhatIsDroppedLeavesNothing) {
  bench_->Begin(Request("a"), 0);
  bench_->Drop("a");
  const auto names = ListDir(DirName(Request("a").output_path));
  EXPECT_TRUE(names->empty());
}

TEST_F(WorkerBenchTest, WhatWasNotExpectedIsTrainedWhenItIsTaken) {
  ASSERT_TRUE(bench_->Take(Request("late"), cancel_).ok());
  EXPECT_EQ(*ReadFile(Request("late").output_path, 100), "late");
}

TEST_F(WorkerBenchTest, ErrorsComeBack) {
  bench_->Begin(Request("bad"), 0);
  EXPECT_EQ(bench_->Take(Request("bad"), cancel_).status().message(), "a bad day");
  cancel_ = true;
  EXPECT_EQ(bench_->Take(Request("a"), cancel_).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(WorkerBenchTest, EndsWithWorkUnderWay) {
  for (int i = 0; i < 20; ++i) bench_->Begin(Request(std::to_string(i)), 0);
  bench_.reset();
}

}  // namespace
}  // namespace fedwatt
