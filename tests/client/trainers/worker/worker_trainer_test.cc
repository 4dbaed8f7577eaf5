#include "client/trainers/worker/worker_trainer.h"

#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "common/base/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

WorkerTrainerOptions With(const std::string& behaviour) {
  const char* bin = std::getenv("FEDWATT_BIN_DIR");
  WorkerTrainerOptions options;
  options.program = std::string(bin ? bin : "build/release/bin") + "/tests/fake_worker";
  options.args = {behaviour};
  return options;
}

TrainRequest SomeWork() {
  TrainRequest request;
  request.assignment_id = "j/r1/a1/0";
  request.key = {.job = "j", .round = 1};
  request.bundle_path = "bundle";
  request.bundle_header_sha256[31] = 77;
  request.model_path = "model";
  request.output_path = "out";
  request.dataset = *DatasetConfig::Parse("d=idx:/data?client=1&clients=2");
  request.plan.batch_size = 17;
  request.plan.step_time_limit_ms = 300;
  request.plan.time_limit_ms = 60'000;
  return request;
}

class WorkerTrainerTest : public testing::Test {
 protected:
  absl::StatusOr<TrainResult> Run(WorkerTrainer& trainer, const TrainRequest& request) {
    return trainer.Run(request, cancel_, [this](const TrainProgress& at) {
      steps_ = at.steps_done;
      if (cancel_at_first_step_) cancel_ = true;
    });
  }

  SystemClock clock_;
  std::atomic<bool> cancel_{false};
  bool cancel_at_first_step_ = false;
  uint64_t steps_ = 0;
};

TEST_F(WorkerTrainerTest, PassesRequestAndResultAndKeepsTheProcess) {
  WorkerTrainer trainer(With("work"), &clock_);
  const auto first = Run(trainer, SomeWork());
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->weight, 17u);
  EXPECT_EQ(first->metrics.examples, 2u) << "the dataset's two options arrive";
  EXPECT_EQ(first->metrics.named.at("threads"), 1);
  EXPECT_EQ(first->metrics.named.at("bundle"), 77) << "the digest of its header arrives";
  EXPECT_EQ(steps_, 1u);
  const auto second = Run(trainer, SomeWork());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(first->output_bytes, second->output_bytes) << "the same process id";
  EXPECT_GT(trainer.ChildCpuTimeUs(), 0);
}

TEST_F(WorkerTrainerTest, AnotherMemoryLimitMeansAnotherProcess) {
  WorkerTrainer trainer(With("work"), &clock_);
  const auto first = Run(trainer, SomeWork());
  TrainRequest smaller = SomeWork();
  smaller.plan.memory_limit_bytes = 512 << 20;
  const auto second = Run(trainer, smaller);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->output_bytes, second->output_bytes);
}

TEST_F(WorkerTrainerTest, ErrorsOfTheTrainerPassUnchanged) {
  WorkerTrainer trainer(With("fail"), &clock_);
  EXPECT_EQ(Run(trainer, SomeWork()).status(), absl::InvalidArgumentError("bad plan"));
}

TEST_F(WorkerTrainerTest, TheWatchdogEndsAModelThatLoopsInAStep) {
  WorkerTrainer trainer(With("hang-in-step"), &clock_);
  const auto result = Run(trainer, SomeWork());
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr("no progress for 300 ms; the watchdog ended the trainer process"));
}

TEST_F(WorkerTrainerTest, TheWatchdogEndsAModelThatNeverGivesASign) {
  WorkerTrainerOptions options = With("hang");
  options.start_limit_ms = 200;
  WorkerTrainer trainer(options, &clock_);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Run(trainer, SomeWork()).status()));
}

TEST_F(WorkerTrainerTest, AnAssignmentOutOfTimeIsEndedThoughItMakesProgress) {
  WorkerTrainer trainer(With("endless"), &clock_);
  TrainRequest request = SomeWork();
  request.time_left_ms = 1;  // plus the grace for writing
  const auto result = Run(trainer, request);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("longer than its limit of 1 ms"));
}

TEST_F(WorkerTrainerTest, AModelThatTakesEveryProcessorIsEnded) {
  WorkerTrainerOptions options = With("burn");
  options.cpu_grace_s = 0;
  const FakeClock still;  // so that the watchdog of wall time does not come first
  WorkerTrainer trainer(options, &still);
  TrainRequest request = SomeWork();
  request.plan.time_limit_ms = 1000;
  const auto result = Run(trainer, request);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr("more processor time than its limit of wall time allows one thread"));
}

// What a process used for earlier work is not held against it.
TEST_F(WorkerTrainerTest, EachRunHasItsOwnProcessorTime) {
  WorkerTrainerOptions options = With("work");
  options.cpu_grace_s = 1;
  WorkerTrainer trainer(options, &clock_);
  TrainRequest request = SomeWork();
  request.plan.time_limit_ms = 1000;
  const auto limit_of_child = [&](const TrainResult& result) {
    rlimit limit{};
    EXPECT_EQ(prlimit(static_cast<pid_t>(result.output_bytes), RLIMIT_CPU, nullptr, &limit), 0);
    return limit.rlim_cur;
  };
  auto result = Run(trainer, request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(limit_of_child(*result), 3u) << "started second, time limit, grace";
  request.plan.time_limit_ms = 60'000;
  result = Run(trainer, request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(limit_of_child(*result), 62u);
}

TEST_F(WorkerTrainerTest, ADeathIsAnErrorAndTheNextRunWorks) {
  for (const std::string behaviour : {"die", "exit", "garbage"}) {
    WorkerTrainer trainer(With(behaviour), &clock_);
    for (int run = 0; run < 2; ++run) {
      const auto result = Run(trainer, SomeWork());
      EXPECT_TRUE(absl::IsInternal(result.status())) << behaviour << ": " << result.status();
      EXPECT_THAT(std::string(result.status().message()), HasSubstr("the trainer process died"));
    }
  }
}

TEST_F(WorkerTrainerTest, CancellationReachesTheProcess) {
  cancel_at_first_step_ = true;
  WorkerTrainer trainer(With("until-cancelled"), &clock_);
  TrainRequest request = SomeWork();
  request.plan.step_time_limit_ms = 30'000;
  EXPECT_EQ(Run(trainer, request).status(), absl::CancelledError("as asked"));
}

TEST_F(WorkerTrainerTest, MemoryBeyondTheLimitIsRefusedByTheKernel) {
  WorkerTrainerOptions options = With("allocate");
  options.memory_limit_bytes = uint64_t{1} << 30;
  WorkerTrainer trainer(options, &clock_);
  EXPECT_TRUE(absl::IsResourceExhausted(Run(trainer, SomeWork()).status()));
}

TEST_F(WorkerTrainerTest, AMissingProgramIsNamed) {
  WorkerTrainerOptions options = With("work");
  options.program = "/nowhere/fedwatt-torch";
  WorkerTrainer trainer(options, &clock_);
  const auto result = Run(trainer, SomeWork());
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("/nowhere/fedwatt-torch"));
}

}  // namespace
}  // namespace fedwatt
