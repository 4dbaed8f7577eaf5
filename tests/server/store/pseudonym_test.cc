#include "server/store/pseudonym.h"

#include <gtest/gtest.h>

namespace fedwatt {
namespace {

// Computed with: printf '7:default7:default5:alice' | openssl dgst -sha256 -hmac key
TEST(Pseudonym, IsTheFirstHalfOfTheHmac) {
  EXPECT_EQ(Pseudonym("key", "default", "default", "alice"), "7f751ccab1f5469692b9f840010aa5f7");
}

TEST(Pseudonym, DependsOnEveryPart) {
  const std::string base = Pseudonym("key", "t", "p", "alice");
  EXPECT_EQ(base, Pseudonym("key", "t", "p", "alice"));
  EXPECT_NE(base, Pseudonym("kez", "t", "p", "alice"));
  EXPECT_NE(base, Pseudonym("key", "u", "p", "alice"));
  EXPECT_NE(base, Pseudonym("key", "t", "q", "alice"));
  EXPECT_NE(base, Pseudonym("key", "t", "p", "bob"));
}

TEST(Pseudonym, KeepsThePartsApart) {
  EXPECT_NE(Pseudonym("key", "ab", "c", "d"), Pseudonym("key", "a", "bc", "d"));
  EXPECT_NE(Pseudonym("key", "a", "b1:c", "d"), Pseudonym("key", "a", "b", "1:cd"));
}

}  // namespace
}  // namespace fedwatt
