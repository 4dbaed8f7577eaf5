#include "common/codec/update_payload.h"

#include <cstring>
#include <limits>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class UpdatePayloadTest : public testing::Test {
 protected:
  UpdatePayloadTest() {
    layout_.coordinates = 3;
    layout_.buffer_bytes = 2;
  }

  const std::unique_ptr<Codec> codec_ = *MakeCodec("raw_f32");
  UpdateLayout layout_;
  const std::vector<float> delta_ = {1.0f, -2.5f, 0.0f};
  const std::vector<uint8_t> buffers_ = {7, 9};
};

TEST_F(UpdatePayloadTest, IsTheCodedDeltaThenTheBuffers) {
  const auto payload = EncodeUpdate(*codec_, delta_, buffers_, {});
  ASSERT_TRUE(payload.ok());
  EXPECT_EQ(payload->size(), 14u);
  EXPECT_EQ(payload->size(), MaxUpdateBytes(*codec_, layout_));
  const auto view = UpdatePayloadView::Create(*codec_, layout_, AsBytes(*payload));
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->encoded_delta().size(), 12u);
  EXPECT_THAT(std::vector<uint8_t>(view->buffers().begin(), view->buffers().end()),
              ElementsAre(7, 9));
  std::vector<float> decoded(3);
  ASSERT_TRUE(codec_->DecodeBlock(view->encoded_delta(), 3, {}, 0, decoded).ok());
  EXPECT_EQ(decoded, delta_);
}

TEST_F(UpdatePayloadTest, IsBoundedOnBothSides) {
  const std::string one(1, 'x');
  const auto below = UpdatePayloadView::Create(*codec_, layout_, AsBytes(one));
  EXPECT_THAT(std::string(below.status().message()),
              HasSubstr("an update of 1 bytes: with codec raw_f32 it must have 2 to 14"));
  const std::string long_one(15, 'x');
  EXPECT_FALSE(UpdatePayloadView::Create(*codec_, layout_, AsBytes(long_one)).ok());
}

TEST_F(UpdatePayloadTest, TheBoundSaturates) {
  layout_.coordinates = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(MaxUpdateBytes(*codec_, layout_), std::numeric_limits<uint64_t>::max());
}

TEST_F(UpdatePayloadTest, EncodesATrainersOutputFile) {
  std::string output(12, '\0');
  std::memcpy(output.data(), delta_.data(), 12);
  output += "\x07\x09";
  const std::string path = testing::TempDir() + "/update_payload_test.out";
  ASSERT_TRUE(WriteFileAtomic(path, output).ok());
  const auto payload = EncodeUpdateFile(*codec_, layout_, path, {});
  ASSERT_TRUE(payload.ok()) << payload.status();
  EXPECT_EQ(*payload, output);

  layout_.coordinates = 4;
  const auto wrong = EncodeUpdateFile(*codec_, layout_, path, {});
  EXPECT_THAT(std::string(wrong.status().message()),
              HasSubstr("wrote 14 bytes, the update has 16 + 2"));
  EXPECT_EQ(EncodeUpdateFile(*codec_, layout_, path + ".none", {}).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace fedwatt
