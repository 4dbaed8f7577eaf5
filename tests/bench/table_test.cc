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
  EXPECT_EQ(reached(Target::Kind::kValueAtLeast, 3), true);
  EXPECT_EQ(reached(Target::Kind::kValueAtLeast, 3.1), false);
  EXPECT_EQ(reached(Target::Kind::kRatioWithin, 0.5), true);
  EXPECT_EQ(reached(Target::Kind::kRatioWithin, 0.4), false);
  EXPECT_EQ(reached(Target::Kind::kRatioAtMost, 1.5), true);
  EXPECT_EQ(reached(Target::Kind::kRatioAtMost, 1.4), false);
  EXPECT_EQ(reached(Target::Kind::kRatioAtLeast, 1.5), true);
  EXPECT_EQ(reached(Target::Kind::kRatioAtLeast, 1.6), false);
  EXPECT_FALSE(Figure{.value = 3}.Reached().has_value());
}

TEST(Figure, IsWithinItsFloorFromEitherSide) {
  const auto within = [](double value, double limit) {
    return Figure{.value = value, .floor = 2.0, .target = Target{Target::Kind::kRatioWithin, limit}}
        .Reached();
  };
  EXPECT_EQ(within(1.97, 0.02), true);
  EXPECT_EQ(within(1.95, 0.02), false);
  EXPECT_EQ(within(2.05, 0.02), false);
}

TEST(Table, ShowsSmallValuesAndRatiosNearOneToTheDigitsThatMatter) {
  Table table;
  table.Add({.group = "errors",
             .name = "eden",
             .value = 2.17e-5,
             .floor = 2.2e-5,
             .floor_name = "theory",
             .target = Target{Target::Kind::kRatioWithin, 0.02}});
  table.Add({.group = "errors", .name = "coarser", .value = 0.005594});
  EXPECT_THAT(table.ToText(), HasSubstr(" 2.17e-05 "));
  EXPECT_THAT(table.ToText(), HasSubstr(" 0.986x   1x +- 2 %  ok\n"));
  EXPECT_THAT(table.ToText(), HasSubstr(" 0.00559\n"));
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
  table.Add({.group = "codecs",
             .name = "rotation",
             .value = 4.5,
             .unit = "GB/s",
             .target = Target{Target::Kind::kValueAtLeast, 5}});
  EXPECT_EQ(table.CountShort(), 2);
  EXPECT_THAT(table.ToText(), HasSubstr(">= 5.00 GB/s  SHORT"));
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
