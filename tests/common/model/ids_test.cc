#include "common/model/ids.h"

#include "gtest/gtest.h"

namespace fedwatt {
namespace {

TEST(IdsTest, RoundKeyNamesJobKindRoundAndAttempt) {
  EXPECT_EQ((RoundKey{"mnist-1", 3, 2, false}).ToString(), "mnist-1/r3/a2");
  EXPECT_EQ((RoundKey{"mnist-1", 3, 1, true}).ToString(), "mnist-1/e3/a1");
}

TEST(IdsTest, AssignmentIdsDifferByIndexAndKey) {
  EXPECT_EQ(MakeAssignmentId({"j", 3, 1, false}, 7), "j/r3/a1/7");
  EXPECT_NE(MakeAssignmentId({"j", 3, 1, true}, 7), MakeAssignmentId({"j", 3, 1, false}, 7));
}

TEST(IdsTest, RoundKeysOrderByJobThenRoundThenAttempt) {
  EXPECT_LT((RoundKey{"a", 9, 9, true}), (RoundKey{"b", 1, 1, false}));
  EXPECT_LT((RoundKey{"a", 1, 9, true}), (RoundKey{"a", 2, 1, false}));
}

TEST(IdsTest, AnIdIsShortPrintableAscii) {
  EXPECT_TRUE(IsId("j/r3/a1/7"));
  EXPECT_TRUE(IsId(std::string(128, 'x')));
  EXPECT_FALSE(IsId(""));
  EXPECT_FALSE(IsId(std::string(129, 'x')));
  EXPECT_FALSE(IsId("a b"));
  EXPECT_FALSE(IsId("a\nb"));
  EXPECT_FALSE(IsId("\xc3\xa4"));
}

}  // namespace
}  // namespace fedwatt
