#include "common/base/hex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

TEST(Hex, EncodesLowerCase) {
  const std::vector<uint8_t> bytes = {0x00, 0x0f, 0xab, 0xff};
  EXPECT_EQ(HexEncode(bytes), "000fabff");
  EXPECT_EQ(HexEncode({}), "");
}

TEST(Hex, DecodesBothCases) {
  EXPECT_EQ(*HexDecode("aBfF00"), (std::vector<uint8_t>{0xab, 0xff, 0x00}));
  EXPECT_TRUE(HexDecode("")->empty());
}

TEST(Hex, RefusesAnOddLength) {
  const auto result = HexDecode("abc");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("odd length (3)"));
}

TEST(Hex, NamesThePositionOfABadDigit) {
  EXPECT_THAT(std::string(HexDecode("00g0").status().message()), HasSubstr("position 2"));
  EXPECT_THAT(std::string(HexDecode("000 ").status().message()), HasSubstr("position 3"));
}

}  // namespace
}  // namespace fedwatt
