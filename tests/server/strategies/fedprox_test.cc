#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/strategies/make_strategy.h"

namespace fedwatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(FedProxTest, TellsClientsMu) {
  Plan plan;
  ASSERT_TRUE((*Make("fedprox", {{"mu", 0.01}}))->ConfigurePlan({"job", 1, 1, false}, &plan).ok());
  EXPECT_EQ(plan.proximal_mu, 0.01);
}

TEST(FedProxTest, StepsAsFedAvg) {
  std::vector<float> parameters = {1, 2};
  ASSERT_TRUE((*Make("fedprox", {{"mu", 1}, {"server_lr", 2}}))
                  ->Apply(std::vector<float>{1, -1}, parameters)
                  .ok());
  EXPECT_THAT(parameters, ElementsAre(3, 0));
}

TEST(FedProxTest, MuIsRequiredAndPositive) {
  EXPECT_THAT(Refusal("fedprox", {}), HasSubstr("needs strategy.params.mu"));
  EXPECT_THAT(Refusal("fedprox", {{"mu", 0}}), HasSubstr("strategy.params.mu"));
  EXPECT_THAT(Refusal("fedprox", {{"mu", -0.1}}), HasSubstr("strategy.params.mu"));
  EXPECT_THAT(Refusal("fedprox", {{"mu", 0.1}, {"m", 1}}), HasSubstr("did you mean \"mu\"?"));
}

}  // namespace
}  // namespace fedwatt
