#include "common/base/suggest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fedwatt {
namespace {

const std::vector<std::string>& Keys() {
  static const auto* const keys =
      new std::vector<std::string>{"rounds", "clients", "learning_rate", "batch_size"};
  return *keys;
}

TEST(NearestName, FindsTypos) {
  EXPECT_EQ(NearestName("round", Keys()), "rounds");
  EXPECT_EQ(NearestName("lerning_rate", Keys()), "learning_rate");
  EXPECT_EQ(NearestName("CLIENTS", Keys()), "clients");
}

TEST(NearestName, CountsASwapOfNeighboursAsOneEdit) {
  const std::vector<std::string> names = {"abxx", "ab"};
  EXPECT_EQ(NearestName("ba", names), "ab");
}

TEST(NearestName, CompletesAnAbbreviation) {
  EXPECT_EQ(NearestName("learn", Keys()), "learning_rate");
  EXPECT_EQ(NearestName("le", Keys()), std::nullopt);
}

TEST(NearestName, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(NearestName("temperature", Keys()), std::nullopt);
  EXPECT_EQ(NearestName("x", {}), std::nullopt);
}

TEST(NearestName, RefusesToCompareAbsurdlyLongNames) {
  EXPECT_EQ(NearestName(std::string(1'000'000, 'a'), Keys()), std::nullopt);
}

TEST(DidYouMean, SuggestsOrListsWhatIsKnown) {
  EXPECT_EQ(DidYouMean("batchsize", Keys()), "; did you mean \"batch_size\"?");
  EXPECT_EQ(DidYouMean("temperature", Keys()),
            "; known: rounds, clients, learning_rate, batch_size");
  EXPECT_EQ(DidYouMean("x", {}), "");
}

TEST(DidYouMean, ListsAtMostTwelve) {
  std::vector<std::string> many;
  for (char c = 'a'; c < 'a' + 13; ++c) many.emplace_back(8, c);
  const std::string text = DidYouMean("zzzzzzzz", many);
  EXPECT_NE(text.find("llllllll, ..."), std::string::npos) << text;
  EXPECT_EQ(text.find("mmmmmmmm"), std::string::npos) << text;
}

}  // namespace
}  // namespace fedwatt
