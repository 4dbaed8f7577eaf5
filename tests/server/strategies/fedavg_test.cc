#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/strategies/make_strategy.h"

namespace fedwatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(FedAvgTest, AddsTheMeanDelta) {
  std::vector<float> parameters = {1, 2, 3};
  ASSERT_TRUE((*Make("fedavg", {}))->Apply(std::vector<float>{0.5f, 0, -3}, parameters).ok());
  EXPECT_THAT(parameters, ElementsAre(1.5f, 2, 0));
}

TEST(FedAvgTest, ScalesByServerLr) {
  std::vector<float> parameters = {1, 2};
  ASSERT_TRUE(
      (*Make("fedavg", {{"server_lr", 0.25}}))->Apply(std::vector<float>{4, -4}, parameters).ok());
  EXPECT_THAT(parameters, ElementsAre(2, 1));
}

TEST(FedAvgTest, RoundsOnceToFloat32) {
  std::vector<float> parameters = {16777216.0f};
  ASSERT_TRUE(
      (*Make("fedavg", {{"server_lr", 3}}))->Apply(std::vector<float>{0.5f}, parameters).ok());
  EXPECT_EQ(parameters[0], 16777218.0f) << "2^24 + 1.5, to the nearest even float32";
}

TEST(FedAvgTest, ASumBeyondFloat32IsRefused) {
  const float max = std::numeric_limits<float>::max();
  std::vector<float> parameters = {1, max};
  const absl::Status status = (*Make("fedavg", {}))->Apply(std::vector<float>{1, max}, parameters);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("coordinate 1"));
  EXPECT_THAT(parameters, ElementsAre(1, max));
}

TEST(FedAvgTest, EveryCoordinateOfALargeModelIsSteppedAndChecked) {
  constexpr size_t kSize = 2500;  // whole blocks and a rest
  std::vector<float> delta(kSize);
  std::vector<float> start(kSize);
  for (size_t i = 0; i < kSize; ++i) {
    delta[i] = 0.1f * static_cast<float>(i % 7);
    start[i] = static_cast<float>(i) - 1000.3f;
  }
  std::vector<float> parameters = start;
  ASSERT_TRUE((*Make("fedavg", {{"server_lr", 0.3}}))->Apply(delta, parameters).ok());
  for (size_t i = 0; i < kSize; ++i) {
    const double exact = static_cast<double>(start[i]) + 0.3 * static_cast<double>(delta[i]);
    ASSERT_EQ(parameters[i], static_cast<float>(exact)) << i;
  }
  for (const size_t bad : {size_t{0}, size_t{1023}, size_t{1024}, size_t{2047}, size_t{2499}}) {
    for (const float value :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      std::vector<float> broken = delta;
      broken[bad] = value;
      parameters = start;
      const absl::Status status = (*Make("fedavg", {}))->Apply(broken, parameters);
      EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("coordinate ", bad, ":")));
      EXPECT_EQ(parameters, start) << "all or nothing";
    }
  }
}

TEST(FedAvgTest, LeavesThePlanAlone) {
  Plan plan;
  plan.proximal_mu = 0.5;
  ASSERT_TRUE((*Make("fedavg", {}))->ConfigurePlan({"job", 1, 1, false}, &plan).ok());
  EXPECT_EQ(plan.proximal_mu, 0.5);
}

TEST(FedAvgTest, BadServerLrIsRefused) {
  for (const double bad : {0.0, -1.0, 1e9, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(Refusal("fedavg", {{"server_lr", bad}}), HasSubstr("strategy.params.server_lr"));
  }
}

TEST(FedAvgTest, AMisspeltParameterNamesTheNearest) {
  EXPECT_THAT(Refusal("fedavg", {{"server_rl", 1}}), HasSubstr("did you mean \"server_lr\"?"));
}

}  // namespace
}  // namespace fedwatt
