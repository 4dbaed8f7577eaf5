#include "simulation/local_accuracy.h"

#include <gtest/gtest.h>

namespace fedwatt {
namespace {

TEST(WorstDecile, IsTheMeanOfTheLowestTenth) {
  std::vector<double> values;
  for (int i = 40; i > 0; --i) values.push_back(i);
  EXPECT_DOUBLE_EQ(WorstDecile(values), 2.5) << "1, 2, 3, 4";
  EXPECT_DOUBLE_EQ(WorstDecile({0.3, 0.1, 0.2}), 0.1) << "at least one";
}

TEST(JainIndex, IsOneForEqualsAndOneOverTheCountForASingleOne) {
  EXPECT_DOUBLE_EQ(JainIndex({3, 3, 3, 3}), 1);
  EXPECT_DOUBLE_EQ(JainIndex({5, 0, 0, 0}), 0.25);
  EXPECT_DOUBLE_EQ(JainIndex({1, 2, 3}), 36.0 / 42);
  EXPECT_DOUBLE_EQ(JainIndex({0, 0}), 1);
}

}  // namespace
}  // namespace fedwatt
