#include "simulation/availability_trace.h"

#include <gmock/gmock.h>

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

TEST(AvailabilityTrace, DevicesComeInTheOrderOfTheirFirstLine) {
  const auto traces = ParseAvailabilityTrace(
      "device,begin_s,end_s\nb,0,10\na,5,6.5\n\n# a note\nb,20,30\n", "t.csv");
  ASSERT_TRUE(traces.ok()) << traces.status();
  ASSERT_EQ(traces->size(), 2U);
  EXPECT_EQ((*traces)[0].size(), 2U);
  EXPECT_EQ((*traces)[0][1].begin_ms, 20'000);
  EXPECT_EQ((*traces)[1][0].end_ms, 6'500);
}

TEST(AvailabilityTrace, ErrorsNameTheLine) {
  const auto error = [](const std::string& text) {
    return std::string(ParseAvailabilityTrace(text, "t.csv").status().message());
  };
  EXPECT_THAT(error("a,0,10\na,9,20\n"), HasSubstr("t.csv:2: device a goes back in time"));
  EXPECT_THAT(error("a,10,10\n"), HasSubstr("t.csv:1"));
  EXPECT_THAT(error("a,-1,10\n"), HasSubstr("begins at 0 or later"));
  EXPECT_THAT(error("a,x,10\n"), HasSubstr("as numbers"));
  EXPECT_THAT(error("a,nan,10\n"), HasSubstr("t.csv:1"));
  EXPECT_THAT(error("a,1\n"), HasSubstr("2 fields"));
  EXPECT_THAT(error("\n"), HasSubstr("no interval"));
}

}  // namespace
}  // namespace fedwatt
