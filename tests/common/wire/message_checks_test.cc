#include "common/wire/message_checks.h"

#include "gtest/gtest.h"

namespace fedwatt::wire {
namespace {

TEST(SafeTextTest, KeepsGoodText) {
  EXPECT_EQ(SafeText("Gr\xc3\xbc\xc3\x9f"
                     "e \xf0\x9f\x94\x8b",
                     100),
            "Gr\xc3\xbc\xc3\x9f"
            "e \xf0\x9f\x94\x8b");
}

TEST(SafeTextTest, ReplacesWhatNoPeerCouldTake) {
  EXPECT_EQ(SafeText("a\nb\x7f", 100), "a?b?");
  EXPECT_EQ(SafeText("\xff\xfe", 100), "??");
  EXPECT_EQ(SafeText("\xc3", 100), "?");
  EXPECT_EQ(SafeText("\xc0\x80", 100), "??");            // overlong zero
  EXPECT_EQ(SafeText("\xed\xa0\x80", 100), "???");       // surrogate
  EXPECT_EQ(SafeText("\xf4\x90\x80\x80", 100), "????");  // beyond U+10FFFF
}

TEST(SafeTextTest, CutsBetweenCharacters) {
  EXPECT_EQ(SafeText("ab\xc3\xbc", 3), "ab");
  EXPECT_EQ(SafeText("ab\xc3\xbc", 4), "ab\xc3\xbc");
  EXPECT_EQ(SafeText("abc", 0), "");
}

TEST(DigestTest, EmptyStandsForNone) {
  Digest digest;
  digest.fill(7);
  ASSERT_TRUE(DigestFrom("d", "", &digest).ok());
  EXPECT_EQ(digest, Digest{});
  std::string bytes = "x";
  DigestTo(Digest{}, &bytes);
  EXPECT_EQ(bytes, "");
}

}  // namespace
}  // namespace fedwatt::wire
