#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/server/selectors/veterans.h"

namespace fedwatt {
namespace {

TEST(EaflTest, PrefersThosePowerIsLeftTo) {
  std::vector<Candidate> candidates = Veterans(10);
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].telemetry = {false, static_cast<uint8_t>(i < 5 ? 7 : 2), 3, {}, {}};
    candidates[i].cost = CostPrediction{4000, 0, 10, 0};
  }
  const auto all = Turns(*Make("eafl", {{"exploration", 0}, {"f", 0}}), candidates, 5, 50);
  EXPECT_EQ(all.size(), 5u);
  EXPECT_EQ(all.at("client-100"), 50) << "full, whatever its loss";
  const auto oort = Turns(*Make("eafl", {{"exploration", 0}, {"f", 1}}), candidates, 2, 50);
  EXPECT_EQ(oort.count("client-100"), 0u) << "Oort alone";
}

TEST(EaflTest, KeepsThoseOutWhoCannotAffordTheWork) {
  std::vector<Candidate> candidates = Veterans(10);
  candidates[9].telemetry = {false, 0, 3, {}, {}};
  const auto turns = Turns(*Make("eafl", {}), candidates, 9, 20);
  EXPECT_EQ(turns.size(), 9u);
  EXPECT_FALSE(turns.contains("client-109"));
}

}  // namespace
}  // namespace fedwatt
