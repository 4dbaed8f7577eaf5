// Trainers and data sources of apps, of every kind.

#include "client/capi/app_trainer.h"

#include <cmath>
#include <cstring>
#include <future>
#include <limits>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/capi/open_app.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kHangMs = 60;

class AppTrainerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    BundleHeader header;
    header.name = "linear";
    header.task = ModelTask::kRegression;
    header.artifacts = {Artifact{.format = "linear", .version = "1"}};
    header.input_shape = {4};
    header.manifest =
        *Manifest::Create({{.name = "weight", .shape = {1, 4}},
                           {.name = "head.bias", .shape = {1}},
                           {.name = "seen", .shape = {1}, .role = TensorRole::kBuffer}});
    ASSERT_TRUE(
        BundleWriter::Write(dir_.File("bundle"), header, {AsBytes("y = w x + b")}, {}, nullptr)
            .ok());
    request_.bundle = Bundle::Open(dir_.File("bundle")).value();
    request_.assignment_id = "job/r1/a1/0";
    request_.key = {"job", 1, 1, false};
    request_.model_path = dir_.File("model");
    request_.output_path = dir_.File("delta");
    request_.dataset.name = "points";
    request_.seed_key = "device-1";
    request_.time_left_ms = 60'000;
    WriteModel({1, 2, 3, 4, 5, 6});
  }

  void WriteModel(const std::vector<float>& values) {
    ASSERT_TRUE(WriteFileAtomic(request_.model_path, {reinterpret_cast<const char*>(values.data()),
                                                      values.size() * sizeof(float)})
                    .ok());
  }

  std::vector<float> Output() const {
    const std::string bytes = ReadFile(request_.output_path, 1 << 20).value();
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  // With this for the trainer's run.
  absl::StatusOr<TrainResult> Run(decltype(OpenApp::run) run) {
    app_.run = std::move(run);
    return Run();
  }
  absl::StatusOr<TrainResult> Run() {
    if (trainer_ == nullptr) {
      auto data = std::make_shared<AppData>(
          std::make_shared<AppObject<fedwatt_data_source>>(app_.data), data_limit_ms_);
      trainer_ = MakeAppTrainer(
          std::make_shared<AppObject<fedwatt_trainer>>(app_.trainer),
          {.data = data, .thread = &thread_, .give_up = &give_up_, .clock = &clock_});
    }
    return trainer_->Run(request_, cancel_, [this](const TrainProgress&) { ++progress_; });
  }
  // A trainer that reads one batch and hands on what it hears.
  absl::StatusOr<TrainResult> RunOneBatch() {
    return Run([](fedwatt_task* task, fedwatt_result* result, fedwatt_error* error) {
      fedwatt_batch batch = FEDWATT_INIT(fedwatt_batch);
      int32_t code = fedwatt_task_rewind(task, error);
      if (code == FEDWATT_OK) code = fedwatt_task_next(task, 8, &batch, error);
      result->examples = batch.examples;
      return code;
    });
  }
  // It fails with a message that contains `part`, and the next run is as if nothing had been.
  void ExpectFailure(const absl::StatusOr<TrainResult>& result, absl::StatusCode code,
                     const std::string& part) {
    EXPECT_EQ(result.status().code(), code) << result.status();
    EXPECT_THAT(std::string(result.status().message()), HasSubstr(part));
    app_.test_data.misbehave = nullptr;
    const auto next = RunOneBatch();
    EXPECT_TRUE(next.ok()) << next.status();
  }

  TempDir dir_;
  const SystemClock clock_;
  OpenApp app_{dir_.File("state")};
  CallbackThread thread_;
  std::atomic<bool> cancel_{false};
  std::atomic<bool> give_up_{false};
  int64_t data_limit_ms_ = 10'000;
  TrainRequest request_;
  std::atomic<int> progress_{0};
  std::unique_ptr<Trainer> trainer_;
};

TEST_F(AppTrainerTest, SeesModelPlanAndDataAndWritesWhatChanged) {
  request_.plan.optimizer.lr = 0.25;
  request_.plan.frozen = {"head.*"};
  const auto result = Run([](fedwatt_task* task, fedwatt_result* out, fedwatt_error* error) {
    fedwatt_plan plan = FEDWATT_INIT(fedwatt_plan);
    EXPECT_EQ(fedwatt_task_plan(task, &plan, error), FEDWATT_OK);
    EXPECT_EQ(plan.kind, FEDWATT_TRAIN);
    EXPECT_EQ(plan.model_task, FEDWATT_REGRESSION);
    EXPECT_EQ(plan.lr, 0.25);
    EXPECT_STREQ(plan.dataset, "points");
    EXPECT_EQ(fedwatt_task_parameter_count(task), 3u);
    fedwatt_parameter parameter[3] = {FEDWATT_INIT(fedwatt_parameter),
                                      FEDWATT_INIT(fedwatt_parameter),
                                      FEDWATT_INIT(fedwatt_parameter)};
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(fedwatt_task_parameter(task, i, &parameter[i], error), FEDWATT_OK);
    }
    EXPECT_STREQ(parameter[0].name, "weight");
    EXPECT_EQ(static_cast<const float*>(parameter[0].value.data)[3], 4);
    EXPECT_EQ(parameter[1].output, nullptr) << "frozen";
    EXPECT_EQ(parameter[2].trainable, 0);
    static_cast<float*>(parameter[0].output)[1] = -0.5F;
    *static_cast<float*>(parameter[2].output) += 1;
    const void* artifact = nullptr;
    size_t bytes = 0;
    EXPECT_EQ(fedwatt_task_artifact(task, "linear", &artifact, &bytes, error), FEDWATT_OK);
    EXPECT_EQ(bytes, 11u);
    EXPECT_EQ(fedwatt_task_artifact(task, "onnx", &artifact, &bytes, error), FEDWATT_NOT_FOUND);
    EXPECT_EQ(fedwatt_task_progress(task, 1, 2, 0.5, error), FEDWATT_OK);
    EXPECT_EQ(fedwatt_task_metric(task, "mae", 0.125, error), FEDWATT_OK);
    out->examples = 10;
    out->steps = 2;
    out->after = {10, 3, 1, 0, 0};
    return int32_t{FEDWATT_OK};
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->weight, 10u);
  EXPECT_EQ(result->metrics.steps, 2u);
  EXPECT_FALSE(result->metrics.before.has_value()) << "not measured is not zero";
  EXPECT_EQ(result->metrics.after->loss_sum, 3);
  EXPECT_EQ(result->metrics.named.at("mae"), 0.125);
  EXPECT_EQ(progress_, 1);
  EXPECT_THAT(Output(), ElementsAre(0, -0.5F, 0, 0, 7)) << "deltas, then the buffer's value";
}

TEST_F(AppTrainerTest, KeepsLocalBuffersForItself) {
  request_.plan.buffers = BufferMode::kLocal;
  request_.local_buffers_path = dir_.File("local");
  std::vector<float> seen;
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(Run([&](fedwatt_task* task, fedwatt_result* out, fedwatt_error* error) {
                  fedwatt_parameter buffer = FEDWATT_INIT(fedwatt_parameter);
                  EXPECT_EQ(fedwatt_task_parameter(task, 2, &buffer, error), FEDWATT_OK);
                  seen.push_back(*static_cast<const float*>(buffer.value.data));
                  *static_cast<float*>(buffer.output) += 1;
                  out->examples = 1;
                  return int32_t{FEDWATT_OK};
                }).ok());
  }
  EXPECT_THAT(seen, ElementsAre(6, 7, 8));
  EXPECT_EQ(Output().size(), 5u) << "none of it is sent";
}

TEST_F(AppTrainerTest, AnEvaluationWritesNothing) {
  request_.kind = AssignmentKind::kEvaluate;
  request_.plan.max_examples = 6;
  uint64_t read = 0;
  const auto result = Run([&](fedwatt_task* task, fedwatt_result* out, fedwatt_error* error) {
    fedwatt_parameter parameter = FEDWATT_INIT(fedwatt_parameter);
    EXPECT_EQ(fedwatt_task_parameter(task, 0, &parameter, error), FEDWATT_OK);
    EXPECT_EQ(parameter.output, nullptr);
    EXPECT_EQ(fedwatt_task_rewind(task, error), FEDWATT_OK);
    fedwatt_batch batch = FEDWATT_INIT(fedwatt_batch);
    while (fedwatt_task_next(task, 4, &batch, error) == FEDWATT_OK) read += batch.examples;
    out->examples = read;
    out->after.examples = read;
    return int32_t{FEDWATT_OK};
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(read, 6u) << "plan.max_examples";
  EXPECT_FALSE(FileExists(request_.output_path));
}

TEST_F(AppTrainerTest, SeedsDifferByRoundAndClientAlone) {
  std::vector<uint64_t> seeds;
  const auto look = [&](fedwatt_task* task, fedwatt_result* out, fedwatt_error* error) {
    fedwatt_plan plan = FEDWATT_INIT(fedwatt_plan);
    EXPECT_EQ(fedwatt_task_plan(task, &plan, error), FEDWATT_OK);
    seeds.push_back(plan.seed);
    out->examples = 1;
    return int32_t{FEDWATT_OK};
  };
  ASSERT_TRUE(Run(look).ok());
  ASSERT_TRUE(Run(look).ok());
  request_.key.round = 2;
  ASSERT_TRUE(Run(look).ok());
  EXPECT_EQ(seeds[0], seeds[1]);
  EXPECT_NE(seeds[0], seeds[2]);
}

// ---- data sources that are not what they should be

TEST_F(AppTrainerTest, ADataSourceThatThrows) {
  app_.test_data.misbehave = [](fedwatt_batch*, fedwatt_error*) -> int32_t {
    throw std::runtime_error("the camera is gone");
  };
  ExpectFailure(RunOneBatch(), absl::StatusCode::kInternal, "the camera is gone");
  app_.test_data.misbehave = [](fedwatt_batch*, fedwatt_error*) -> int32_t { throw 7; };
  ExpectFailure(RunOneBatch(), absl::StatusCode::kInternal, "exception in the data source's next");
}

TEST_F(AppTrainerTest, ADataSourceThatFails) {
  app_.test_data.misbehave = [](fedwatt_batch*, fedwatt_error* error) {
    return fedwatt_fail(error, FEDWATT_UNAVAILABLE, "the card is out");
  };
  ExpectFailure(RunOneBatch(), absl::StatusCode::kUnavailable, "the card is out");
  app_.test_data.misbehave = [](fedwatt_batch*, fedwatt_error*) -> int32_t { return 12345; };
  ExpectFailure(RunOneBatch(), absl::StatusCode::kUnknown, "returned 12345");
}

TEST_F(AppTrainerTest, BatchesThatAreNone) {
  struct Case {
    const char* part;
    std::function<void(fedwatt_batch*)> damage;
  };
  const Case cases[] = {
      {"has 0 examples", [](fedwatt_batch* b) { b->examples = 0; }},
      {"has 9 examples, asked for were 1 to 8", [](fedwatt_batch* b) { b->examples = 9; }},
      {"x has shape [2,4]; its first dimension", [](fedwatt_batch* b) { b->x.shape[0] = 2; }},
      {"y has shape []", [](fedwatt_batch* b) { b->y.dims = 0; }},
      {"the model takes float32 of [n,4]", [](fedwatt_batch* b) { b->x.shape[1] = 5; }},
      {"x is int64", [](fedwatt_batch* b) { b->x.dtype = FEDWATT_I64; }},
      {"x: 99 is no dtype", [](fedwatt_batch* b) { b->x.dtype = 99; }},
      {"x: 9 dimensions", [](fedwatt_batch* b) { b->x.dims = 9; }},
      {"y: dimension 1 is -1", [](fedwatt_batch* b) { b->y.shape[1] = -1; }},
      {"elements in all",
       [](fedwatt_batch* b) { b->y.shape[1] = std::numeric_limits<int64_t>::max(); }},
      {"x: data is NULL", [](fedwatt_batch* b) { b->x.data = nullptr; }},
  };
  static const float numbers[64] = {};
  for (const Case& c : cases) {
    app_.test_data.misbehave = [&](fedwatt_batch* batch, fedwatt_error*) -> int32_t {
      batch->examples = 3;
      batch->x = {numbers, FEDWATT_F32, 2, {3, 4}};
      batch->y = {numbers, FEDWATT_F32, 2, {3, 1}};
      c.damage(batch);
      return FEDWATT_OK;
    };
    ExpectFailure(RunOneBatch(), absl::StatusCode::kInvalidArgument, c.part);
  }
}

TEST_F(AppTrainerTest, NoExamplesAtAll) {
  app_.test_data.examples = 0;
  const auto result = RunOneBatch();
  EXPECT_TRUE(absl::IsOutOfRange(result.status())) << result.status();
}

TEST_F(AppTrainerTest, ADataSourceThatBlocksCostsTheAssignmentAndNothingElse) {
  data_limit_ms_ = kHangMs;
  std::promise<void> release;
  app_.test_data.misbehave = [&](fedwatt_batch*, fedwatt_error*) -> int32_t {
    release.get_future().wait();
    return FEDWATT_END;
  };
  const auto hung = RunOneBatch();
  EXPECT_TRUE(absl::IsDeadlineExceeded(hung.status())) << hung.status();
  EXPECT_THAT(std::string(hung.status().message()),
              HasSubstr("the data source's next has not come back"));
  EXPECT_TRUE(thread_.hangs());
  const auto refused = RunOneBatch();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();

  app_.test_data.misbehave = nullptr;
  release.set_value();
  while (thread_.hangs()) std::this_thread::yield();
  EXPECT_TRUE(RunOneBatch().ok()) << "it is back, and so is the trainer";
}

// With the default limit a minute would pass.
TEST_F(AppTrainerTest, ACancellationDoesNotWaitForADataSourceThatBlocks) {
  std::promise<void> release;
  app_.test_data.misbehave = [&](fedwatt_batch*, fedwatt_error*) -> int32_t {
    cancel_ = true;
    release.get_future().wait();
    return FEDWATT_END;
  };
  data_limit_ms_ = 3'600'000;
  const auto cancelled = RunOneBatch();
  EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
  EXPECT_THAT(std::string(cancelled.status().message()), HasSubstr("has not come back"));
  EXPECT_TRUE(thread_.hangs());
  release.set_value();
  while (thread_.hangs()) std::this_thread::yield();
  cancel_ = false;
  app_.test_data.misbehave = nullptr;
  EXPECT_TRUE(RunOneBatch().ok()) << "it is back, and so is the trainer";
}

// ---- trainers that are not what they should be

TEST_F(AppTrainerTest, ATrainerThatThrows) {
  const auto result = Run(
      [](fedwatt_task*, fedwatt_result*, fedwatt_error*) -> int32_t { throw std::bad_alloc(); });
  ExpectFailure(result, absl::StatusCode::kResourceExhausted, "out of memory");
}

TEST_F(AppTrainerTest, ATrainerThatRefusesThePlan) {
  const auto result = Run([](fedwatt_task*, fedwatt_result*, fedwatt_error* error) {
    return fedwatt_fail(error, FEDWATT_UNIMPLEMENTED, "plan.proximal_mu");
  });
  ExpectFailure(result, absl::StatusCode::kUnimplemented, "plan.proximal_mu");
}

TEST_F(AppTrainerTest, ATrainerThatHangs) {
  request_.plan.step_time_limit_ms = kHangMs;
  std::promise<void> release;
  fedwatt_task* kept = nullptr;
  const auto hung = Run([&](fedwatt_task* task, fedwatt_result*, fedwatt_error*) -> int32_t {
    kept = task;
    release.get_future().wait();
    // Nobody waits any more; what it says goes nowhere.
    fedwatt_task_progress(task, 1, 2, 0, nullptr);
    EXPECT_EQ(fedwatt_task_cancelled(task), 1) << "it was told to stop";
    return FEDWATT_OK;
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(hung.status())) << hung.status();
  EXPECT_THAT(std::string(hung.status().message()), HasSubstr("the trainer's run"));
  release.set_value();
  while (thread_.hangs()) std::this_thread::yield();
  EXPECT_EQ(progress_, 0);
  EXPECT_EQ(fedwatt_task_rewind(kept, nullptr), FEDWATT_INVALID_ARGUMENT);
}

TEST_F(AppTrainerTest, ProgressIsASignOfLife) {
  request_.plan.step_time_limit_ms = kHangMs;
  int steps = 0;
  const auto result = Run([&](fedwatt_task* task, fedwatt_result* out, fedwatt_error*) -> int32_t {
    // Longer than the limit in all, and never long without a word.
    const int64_t end_us = clock_.MonotonicUs() + 3 * kHangMs * 1000;
    while (clock_.MonotonicUs() < end_us) fedwatt_task_progress(task, ++steps, 0, 0, nullptr);
    out->examples = 1;
    return FEDWATT_OK;
  });
  EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_GT(steps, 0);
}

// Nothing polls in between: what is asked during a step is known at its end.
TEST_F(AppTrainerTest, TheStepInWhichItIsCancelledIsTheLast) {
  int steps = 0;
  const auto result = Run([&](fedwatt_task* task, fedwatt_result*, fedwatt_error*) -> int32_t {
    while (fedwatt_task_cancelled(task) == 0) {
      if (++steps == 3) cancel_ = true;
    }
    return FEDWATT_CANCELLED;
  });
  EXPECT_TRUE(absl::IsCancelled(result.status())) << result.status();
  EXPECT_EQ(steps, 3);
}

TEST_F(AppTrainerTest, StopsAtItsTimeLimit) {
  request_.time_left_ms = kHangMs;
  const auto result = Run([&](fedwatt_task* task, fedwatt_result*, fedwatt_error*) -> int32_t {
    while (fedwatt_task_cancelled(task) == 0) std::this_thread::yield();
    return FEDWATT_CANCELLED;
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
}

TEST_F(AppTrainerTest, ATaskIsDeadAfterItsCall) {
  fedwatt_task* kept = nullptr;
  ASSERT_TRUE(Run([&](fedwatt_task* task, fedwatt_result* out, fedwatt_error*) -> int32_t {
                kept = task;
                out->examples = 1;
                return FEDWATT_OK;
              }).ok());
  fedwatt_parameter parameter = FEDWATT_INIT(fedwatt_parameter);
  EXPECT_EQ(fedwatt_task_parameter(kept, 0, &parameter, &app_.error), FEDWATT_INVALID_ARGUMENT);
  EXPECT_THAT(app_.message(), HasSubstr("its call is over"));
}

TEST_F(AppTrainerTest, MistakesInsideOfARunAreNamed) {
  ASSERT_TRUE(
      Run([&](fedwatt_task* task, fedwatt_result* out, fedwatt_error* error) -> int32_t {
        fedwatt_batch batch = FEDWATT_INIT(fedwatt_batch);
        fedwatt_parameter parameter = FEDWATT_INIT(fedwatt_parameter);
        EXPECT_EQ(fedwatt_task_next(task, 1, &batch, error), FEDWATT_FAILED_PRECONDITION);
        EXPECT_EQ(fedwatt_task_rewind(task, error), FEDWATT_OK);
        EXPECT_EQ(fedwatt_task_next(task, 0, &batch, error), FEDWATT_INVALID_ARGUMENT);
        EXPECT_EQ(fedwatt_task_next(task, 1, nullptr, error), FEDWATT_INVALID_ARGUMENT);
        EXPECT_EQ(fedwatt_task_parameter(task, 3, &parameter, error), FEDWATT_INVALID_ARGUMENT);
        EXPECT_EQ(fedwatt_task_metric(task, "x", std::nan(""), error), FEDWATT_INVALID_ARGUMENT);
        EXPECT_EQ(fedwatt_task_metric(task, nullptr, 0, error), FEDWATT_INVALID_ARGUMENT);
        for (int i = 0; i < 64; ++i) {
          EXPECT_EQ(fedwatt_task_metric(task, absl::StrCat(i).c_str(), 0, error), FEDWATT_OK);
        }
        EXPECT_EQ(fedwatt_task_metric(task, "65th", 0, error), FEDWATT_RESOURCE_EXHAUSTED);
        out->examples = 1;
        return FEDWATT_OK;
      }).ok());
}

TEST_F(AppTrainerTest, AModelOfTheWrongSizeReachesNobody) {
  WriteModel({1, 2, 3});
  const auto result = Run([](fedwatt_task*, fedwatt_result*, fedwatt_error*) -> int32_t {
    ADD_FAILURE() << "the trainer was called";
    return FEDWATT_OK;
  });
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("the model has 12 bytes"));
}

// Of a program that was compiled before the plan had its later fields.
TEST_F(AppTrainerTest, GivesAnOlderAppThePlanThatItKnows) {
  const auto result = Run([](fedwatt_task* task, fedwatt_result* out, fedwatt_error* error) {
    struct {
      fedwatt_plan plan;
    } app;
    std::memset(&app, 0x7f, sizeof(app));
    app.plan.abi_version = 1;
    app.plan.struct_size = offsetof(fedwatt_plan, client);
    EXPECT_EQ(fedwatt_task_plan(task, &app.plan, error), FEDWATT_OK) << error->message;
    EXPECT_STREQ(app.plan.model, "linear");
    EXPECT_EQ(app.plan.plan_seed, 0x7f7f7f7f7f7f7f7fU) << "what it does not know stays its own";
    out->examples = 1;
    return FEDWATT_OK;
  });
  EXPECT_TRUE(result.ok()) << result.status();
}

TEST_F(AppTrainerTest, GoesOnWithWhatItSaved) {
  request_.checkpoint_path = dir_.File("checkpoint");
  request_.checkpoint_every_ms = 1000;
  const auto killed = Run([](fedwatt_task* task, fedwatt_result*, fedwatt_error* error) {
    fedwatt_plan plan = FEDWATT_INIT(fedwatt_plan);
    EXPECT_EQ(fedwatt_task_plan(task, &plan, error), FEDWATT_OK);
    EXPECT_EQ(plan.save_every_ms, 1000);
    const void* data = nullptr;
    size_t bytes = 0;
    EXPECT_EQ(fedwatt_task_saved(task, &data, &bytes, error), FEDWATT_NOT_FOUND);
    EXPECT_EQ(fedwatt_task_save(task, "step 1", 6, 1, error), FEDWATT_OK);
    EXPECT_EQ(fedwatt_task_save(task, "step two", 8, 2, error), FEDWATT_OK);
    EXPECT_EQ(fedwatt_task_save(task, nullptr, 8, 2, error), FEDWATT_INVALID_ARGUMENT);
    return static_cast<int32_t>(FEDWATT_CANCELLED);
  });
  EXPECT_EQ(killed.status().code(), absl::StatusCode::kCancelled);
  const auto resumed = Run([](fedwatt_task* task, fedwatt_result* out, fedwatt_error* error) {
    const void* data = nullptr;
    size_t bytes = 0;
    EXPECT_EQ(fedwatt_task_saved(task, &data, &bytes, error), FEDWATT_OK);
    EXPECT_EQ(std::string(static_cast<const char*>(data), bytes), "step two");
    out->examples = 1;
    return FEDWATT_OK;
  });
  EXPECT_TRUE(resumed.ok()) << resumed.status();
}

TEST_F(AppTrainerTest, SavesNothingWhereNothingIsKept) {
  const auto result = Run([](fedwatt_task* task, fedwatt_result* out, fedwatt_error* error) {
    fedwatt_plan plan = FEDWATT_INIT(fedwatt_plan);
    EXPECT_EQ(fedwatt_task_plan(task, &plan, error), FEDWATT_OK);
    EXPECT_EQ(plan.save_every_ms, 0);
    EXPECT_EQ(fedwatt_task_save(task, "step 1", 6, 1, error), FEDWATT_FAILED_PRECONDITION);
    out->examples = 1;
    return FEDWATT_OK;
  });
  EXPECT_TRUE(result.ok()) << result.status();
}

}  // namespace
}  // namespace fedwatt
