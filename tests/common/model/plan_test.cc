#include "common/model/plan.h"

#include <functional>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::StartsWith;

TEST(PlanTest, TheDefaultIsValid) { EXPECT_TRUE(ValidatePlan(Plan()).ok()); }

TEST(PlanTest, EpochsOrStepsButNotBothNorNone) {
  Plan plan;
  plan.local_epochs = 0;
  EXPECT_FALSE(ValidatePlan(plan).ok());
  plan.local_steps = 5;
  EXPECT_TRUE(ValidatePlan(plan).ok());
  plan.local_epochs = 1;
  EXPECT_EQ(std::string(ValidatePlan(plan).message()),
            "plan.local_epochs = 1 and plan.local_steps = 5: exactly one of them must be above 0; "
            "write e.g. local_epochs = 1");
}

struct BadPlan {
  const char* message_begin;
  std::function<void(Plan*)> spoil;
};

TEST(PlanTest, EveryFieldHasItsLimit) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const BadPlan cases[] = {
      {"plan.plan_version = 0: must be at least 1", [](Plan* p) { p->plan_version = 0; }},
      {"plan.expires_after_ms = -1: must be at least 0", [](Plan* p) { p->expires_after_ms = -1; }},
      {"plan.optimizer.kind = 9: must be at most 3",
       [](Plan* p) { p->optimizer.kind = static_cast<OptimizerKind>(9); }},
      {"plan.optimizer.lr = 0: must be at least", [](Plan* p) { p->optimizer.lr = 0; }},
      {"plan.optimizer.lr = nan: must be a finite number; write e.g. lr = 0.05",
       [&](Plan* p) { p->optimizer.lr = kNan; }},
      {"plan.optimizer.momentum = 1.5: must be at most 1",
       [](Plan* p) { p->optimizer.momentum = 1.5; }},
      {"plan.optimizer.weight_decay = -1", [](Plan* p) { p->optimizer.weight_decay = -1; }},
      {"plan.optimizer.beta1 = 1: must be at most", [](Plan* p) { p->optimizer.beta1 = 1; }},
      {"plan.optimizer.beta2 = -0.5", [](Plan* p) { p->optimizer.beta2 = -0.5; }},
      {"plan.optimizer.eps = inf", [&](Plan* p) { p->optimizer.eps = kInf; }},
      {"plan.optimizer.nesterov = true: needs momentum",
       [](Plan* p) { p->optimizer.nesterov = true; }},
      {"plan.local_epochs = 100001", [](Plan* p) { p->local_epochs = 100'001; }},
      {"plan.batch_size = 0: must be at least 1; write e.g. batch_size = 32",
       [](Plan* p) { p->batch_size = 0; }},
      {"plan.clip_grad_norm = -1", [](Plan* p) { p->clip_grad_norm = -1; }},
      {"plan.proximal_mu = inf", [&](Plan* p) { p->proximal_mu = kInf; }},
      {"plan.frozen = \"\": must not be empty", [](Plan* p) { p->frozen = {""}; }},
      {"number of globs in plan.frozen = 1025", [](Plan* p) { p->frozen.assign(1025, "x"); }},
      {"plan.buffers = 0: must be at least 1",
       [](Plan* p) { p->buffers = static_cast<BufferMode>(0); }},
      {"plan.local_evaluation = 5",
       [](Plan* p) { p->local_evaluation = static_cast<LocalEvaluation>(5); }},
      {"plan.weight_by = 3", [](Plan* p) { p->weight_by = static_cast<WeightBy>(3); }},
      {"plan.time_limit_ms = 0: must be at least 1", [](Plan* p) { p->time_limit_ms = 0; }},
      {"plan.step_time_limit_ms = -5", [](Plan* p) { p->step_time_limit_ms = -5; }},
      {"plan.memory_limit_bytes = 18446744073709551615",
       [](Plan* p) { p->memory_limit_bytes = std::numeric_limits<uint64_t>::max(); }},
  };
  for (const BadPlan& bad : cases) {
    Plan plan;
    bad.spoil(&plan);
    const absl::Status status = ValidatePlan(plan);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.message_begin;
    EXPECT_THAT(std::string(status.message()), StartsWith(bad.message_begin));
  }
}

}  // namespace
}  // namespace fedwatt
