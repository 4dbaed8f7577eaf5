#include "client/sdk/state_format.h"

#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class StateFormatTest : public ::testing::Test {
 protected:
  absl::Status Check() const { return CheckStateFormat(dir_.path(), store_); }
  void Write(const std::string& text) const {
    ASSERT_TRUE(WriteFileAtomic(dir_.File("format"), text).ok());
  }

  TempDir dir_;
  AssignmentStore store_{dir_.File("assignments"), true};
};

TEST_F(StateFormatTest, IsWrittenOnce) {
  ASSERT_TRUE(Check().ok());
  EXPECT_EQ(ReadFile(dir_.File("format"), 10).value(), "1\n");
  EXPECT_TRUE(Check().ok());
}

TEST_F(StateFormatTest, OfANewerVersionIsRefusedAndLeftAlone) {
  Write("2\n");
  const absl::Status status = Check();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("has format 2, this version reads 1"));
  EXPECT_EQ(ReadFile(dir_.File("format"), 10).value(), "2\n");
}

TEST_F(StateFormatTest, IsMendedWhereItIsDamaged) {
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("-1\n"), std::string(100, '9')}) {
    Write(text);
    EXPECT_TRUE(Check().ok()) << text;
    EXPECT_EQ(ReadFile(dir_.File("format"), 10).value(), "1\n") << text;
  }
}

}  // namespace
}  // namespace fedwatt
