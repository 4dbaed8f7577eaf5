#include "simulation/tensorboard.h"

#include <gmock/gmock.h>

namespace fedwatt {
namespace {

using ::testing::StartsWith;

// The check value of CRC-32C, and of RFC 3720, B.4: 32 bytes of zeros.
TEST(TensorBoard, TheChecksumIsCastagnolis) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(Crc32c(""), 0U);
}

// As the first bytes of every event file that TensorFlow writes: a record of 24 bytes.
TEST(TensorBoard, AFileBeginsAsTensorFlowsDo) {
  const std::string header = TensorBoardHeader(0);
  EXPECT_EQ(header.size(), 8U + 4 + 24 + 4);
  EXPECT_THAT(header, StartsWith(std::string("\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\x09", 13)));
  EXPECT_EQ(header.substr(12 + 9, 15), std::string("\x1a\x0d") + "brain.Event:2");
}

TEST(TensorBoard, ScalarsAreSummariesOfAStep) {
  const std::string record = TensorBoardScalars(0, 300, {{"a", 1.0F}});
  const std::string event = record.substr(12, record.size() - 16);
  const std::string expected = std::string("\x09\0\0\0\0\0\0\0\0", 9) + "\x10\xac\x02" +
                               "\x2a\x0a" + "\x0a\x08" + "\x0a\x01" + "a" +
                               std::string("\x15\0\0\x80\x3f", 5);
  EXPECT_EQ(event, expected);
}

}  // namespace
}  // namespace fedwatt
