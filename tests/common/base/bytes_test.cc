#include "common/base/bytes.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace fedwatt {
namespace {

TEST(HumanBytes, SwitchesUnitsAtPowersOfThousand) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(999), "999 B");
  EXPECT_EQ(HumanBytes(1000), "1.0 kB");
  EXPECT_EQ(HumanBytes(40'000'000), "40.0 MB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "18.4 EB");
}

TEST(HumanBytes, NeverPrintsAThousandOfAUnit) {
  EXPECT_EQ(HumanBytes(999'949), "999.9 kB");
  EXPECT_EQ(HumanBytes(999'950), "1.0 MB");
}

TEST(HumanDuration, ShowsTwoUnitsAtMost) {
  EXPECT_EQ(HumanDuration(0), "0 ms");
  EXPECT_EQ(HumanDuration(999), "999 ms");
  EXPECT_EQ(HumanDuration(12'345), "12.3 s");
  EXPECT_EQ(HumanDuration(59'949), "59.9 s");
  EXPECT_EQ(HumanDuration(59'950), "1 m 00 s");
  EXPECT_EQ(HumanDuration(125'000), "2 m 05 s");
  EXPECT_EQ(HumanDuration(3 * 3'600'000 + 7 * 60'000), "3 h 07 m");
  EXPECT_EQ(HumanDuration(int64_t{12} * 86'400'000 + 4 * 3'600'000), "12 d 04 h");
}

TEST(HumanDuration, KeepsTheSignAndSurvivesTheExtremes) {
  EXPECT_EQ(HumanDuration(-1500), "-1.5 s");
  EXPECT_EQ(HumanDuration(INT64_MIN), "-" + HumanDuration(INT64_MAX));
}

TEST(Bytes, TextAndBytesAreViewsOfTheSameMemory) {
  const std::string text = "ab";
  EXPECT_EQ(AsBytes(text).size(), 2U);
  EXPECT_EQ(AsBytes(text)[1], 'b');
  EXPECT_EQ(AsText(AsBytes(text)), text);
}

}  // namespace
}  // namespace fedwatt
