// What holds for every strategy. A new line in builtin.def is tested here without an edit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "server/driver/plugins.h"
#include "tests/server/plugins/example_specs.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kMax = std::numeric_limits<float>::max();

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class StrategyConformanceTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Strategy> New() const {
    return *Plugins::Builtin().MakeStrategy(ExampleSpec(GetParam()));
  }
};

TEST_P(StrategyConformanceTest, AZeroDeltaKeepsParametersFinite) {
  std::vector<float> parameters = {0, -0.0f, 1, -2.5f, 1e-40f, kMax, -kMax};
  ASSERT_TRUE(New()->Apply(std::vector<float>(parameters.size()), parameters).ok());
  for (const float p : parameters) EXPECT_TRUE(std::isfinite(p));
}

TEST_P(StrategyConformanceTest, StepsTowardsTheClients) {
  std::vector<float> parameters = {1, 1, 1};
  ASSERT_TRUE(New()->Apply(std::vector<float>{0.5f, -0.5f, 0}, parameters).ok());
  EXPECT_GT(parameters[0], 1);
  EXPECT_LT(parameters[1], 1);
  EXPECT_EQ(parameters[2], 1);
}

TEST_P(StrategyConformanceTest, AnEmptyModelIsFine) { EXPECT_TRUE(New()->Apply({}, {}).ok()); }

TEST_P(StrategyConformanceTest, WhatIsNotFiniteIsRefusedAndNothingChanges) {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    const auto strategy = New();
    const std::string state = strategy->SaveState();
    const std::vector<float> before = {1, 2, 3};
    std::vector<float> parameters = before;
    const absl::Status status = strategy->Apply(std::vector<float>{1, 1, bad}, parameters);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("coordinate 2"));
    EXPECT_TRUE(SameBits(parameters, before));
    EXPECT_EQ(strategy->SaveState(), state);

    std::vector<float> poisoned = {1, bad};
    EXPECT_EQ(strategy->Apply(std::vector<float>{1, 1}, poisoned).code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(poisoned[0], 1);
  }
}

TEST_P(StrategyConformanceTest, LengthsMustAgree) {
  std::vector<float> parameters = {1, 2};
  const absl::Status status = New()->Apply(std::vector<float>{1, 1, 1}, parameters);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(parameters, testing::ElementsAre(1, 2));
}

TEST_P(StrategyConformanceTest, EqualInputsGiveEqualBitsAlsoThroughASavedState) {
  const auto one = New();
  std::vector<float> a = {0.1f, -3, 1e-20f, 7};
  for (int step = 1; step <= 3; ++step) {
    ASSERT_TRUE(one->Apply(std::vector<float>{0.01f, 0.3f, -0.2f, 1.f / step}, a).ok());
  }
  std::vector<float> b = a;
  const auto other = New();
  ASSERT_TRUE(other->LoadState(one->SaveState()).ok());
  for (int step = 1; step <= 3; ++step) {
    const std::vector<float> delta = {0.7f / step, -0.3f, 0.01f, 0.25f};
    ASSERT_TRUE(one->Apply(delta, a).ok());
    ASSERT_TRUE(other->Apply(delta, b).ok());
  }
  EXPECT_TRUE(SameBits(a, b));
  EXPECT_EQ(one->SaveState(), other->SaveState());
}

TEST_P(StrategyConformanceTest, ForeignStateIsRefused) {
  const auto strategy = New();
  const std::string before = strategy->SaveState();
  for (const std::string& garbage : {std::string("garbage"), std::string("\0\1\2", 3),
                                     std::string(100'000, 'x'), before + "0"}) {
    EXPECT_EQ(strategy->LoadState(garbage).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(strategy->SaveState(), before);
  }
}

TEST_P(StrategyConformanceTest, ThePlanStaysValidForEveryClient) {
  const auto strategy = New();
  for (uint64_t round = 1; round <= 3; ++round) {
    Plan plan;
    ASSERT_TRUE(strategy->ConfigurePlan({"job", round, 1, false}, &plan).ok());
    EXPECT_TRUE(ValidatePlan(plan).ok()) << ValidatePlan(plan);
    Plan again = plan;
    ASSERT_TRUE(strategy->ConfigurePlan({"job", round, 1, false}, &again).ok());
    EXPECT_EQ(again.proximal_mu, plan.proximal_mu);
    EXPECT_EQ(again.optimizer.lr, plan.optimizer.lr);
  }
}

TEST_P(StrategyConformanceTest, AnUnknownParameterIsRefusedNamingTheNearest) {
  PluginSpec spec = ExampleSpec(GetParam());
  spec.params["server_rl"] = 1;
  const absl::Status status = Plugins::Builtin().MakeStrategy(spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("strategy.params.server_rl"));
}

INSTANTIATE_TEST_SUITE_P(Builtin, StrategyConformanceTest,
                         testing::ValuesIn(Names(BuiltinStrategies())),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace fedwatt
