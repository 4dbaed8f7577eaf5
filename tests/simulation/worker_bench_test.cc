#include "simulation/worker_bench.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

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
  for (const char* id : {"a", "b", "c"}) bench_->Begin(Request(id));
  for (const char* id : {"c", "a", "b"}) {
    ASSERT_TRUE(bench_->Take(Request(id), cancel_).ok());
    EXPECT_EQ(*ReadFile(Request(id).output_path, 100), id);
  }
}

TEST_F(WorkerBenchTest, ADeviceSeesNothingBeforeItTakesTheResult) {
  bench_->Begin(Request("a"));
  bench_->Begin(Request("b"));
  ASSERT_TRUE(bench_->Take(Request("b"), cancel_).ok());
  EXPECT_FALSE(FileExists(Request("a").output_path));
}

TEST_F(WorkerBenchTest, WhatIsDroppedLeavesNothing) {
  bench_->Begin(Request("a"));
  bench_->Drop("a");
  const auto names = ListDir(DirName(Request("a").output_path));
  EXPECT_TRUE(names->empty());
}

TEST_F(WorkerBenchTest, WhatWasNotExpectedIsTrainedWhenItIsTaken) {
  ASSERT_TRUE(bench_->Take(Request("late"), cancel_).ok());
  EXPECT_EQ(*ReadFile(Request("late").output_path, 100), "late");
}

TEST_F(WorkerBenchTest, ErrorsComeBack) {
  bench_->Begin(Request("bad"));
  EXPECT_EQ(bench_->Take(Request("bad"), cancel_).status().message(), "a bad day");
  cancel_ = true;
  EXPECT_EQ(bench_->Take(Request("a"), cancel_).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(WorkerBenchTest, EndsWithWorkUnderWay) {
  for (int i = 0; i < 20; ++i) bench_->Begin(Request(std::to_string(i)));
  bench_.reset();
}

}  // namespace
}  // namespace fedwatt
