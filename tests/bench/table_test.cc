#include "bench/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace fedwatt::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Figure, ComparesItselfWithItsFloor) {
  const Figure figure{.value = 3, .floor = 2.0};
  EXPECT_DOUBLE_EQ(figure.Ratio().value(), 1.5);
  EXPECT_FALSE(Figure{.value = 3}.Ratio().has_value());
  EXPECT_FALSE((Figure{.value = 3, .floor = 0.0}).Ratio().has_value());
}

TEST(Figure, ReachesATargetOfItsOwnOrOfItsRatio) {
  const auto reached = [](Target::Kind kind, double limit) {
    return Figure{.value = 3, .floor = 2.0, .target = Target{kind, limit}}.Reached();
  };
  EXPECT_EQ(reached(Target::Kind::kValueAtMost, 3), true);
  EXPECT_EQ(reached(Target::Kind::kValueAtMost, 2.9), false);
  EXPECT_EQ(reached(Target::Kind::kRatioAtMost, 1.5), true);
  EXPECT_EQ(reached(Target::Kind::kRatioAtMost, 1.4), false);
  EXPECT_EQ(reached(Target::Kind::kRatioAtLeast, 1.5), true);
  EXPECT_EQ(reached(Target::Kind::kRatioAtLeast, 1.6), false);
  EXPECT_FALSE(Figure{.value = 3}.Reached().has_value());
}

TEST(Table, MarksWhatFallsShortAndCountsIt) {
  Table table;
  table.Add({.group = "rounds",
             .name = "seconds",
             .value = 1.25,
             .unit = "s",
             .target = Target{Target::Kind::kValueAtMost, 1.5}});
  EXPECT_EQ(table.CountShort(), 0);
  EXPECT_THAT(table.ToText(), Not(HasSubstr("SHORT")));
  table.Add({.group = "rounds",
             .name = "memory",
             .value = 512,
             .unit = "MiB",
             .target = Target{Target::Kind::kValueAtMost, 400}});
  EXPECT_EQ(table.CountShort(), 1);
  EXPECT_THAT(table.ToText(), HasSubstr("<= 1.50 s  ok"));
  EXPECT_THAT(table.ToText(), HasSubstr("<= 400 MiB  SHORT"));
}

TEST(Table, SaysTheSameAsJson) {
  Table table;
  table.Add({.group = "rounds",
             .name = "seconds",
             .value = 0.3,
             .unit = "s",
             .floor = 0.2,
             .floor_name = "two bare RPCs",
             .target = Target{Target::Kind::kRatioAtMost, 2}});
  table.Note("on two processors");
  const auto json = nlohmann::json::parse(table.ToJson());
  const auto& figure = json.at("figures").at(0);
  EXPECT_EQ(figure.at("name"), "seconds");
  EXPECT_DOUBLE_EQ(figure.at("value").get<double>(), 0.3);
  EXPECT_DOUBLE_EQ(figure.at("floor").get<double>(), 0.2);
  EXPECT_NEAR(figure.at("ratio").get<double>(), 1.5, 1e-9);
  EXPECT_EQ(figure.at("reached"), true);
  EXPECT_EQ(json.at("notes").at(0), "on two processors");
}

TEST(Median, IsTheMiddleOrBetweenTheTwoInTheMiddle) {
  EXPECT_DOUBLE_EQ(Median({9, 1, 5}), 5);
  EXPECT_DOUBLE_EQ(Median({4, 1, 2, 9}), 3);
  EXPECT_DOUBLE_EQ(Median({7}), 7);
}

}  // namespace
}  // namespace fedwatt::bench
