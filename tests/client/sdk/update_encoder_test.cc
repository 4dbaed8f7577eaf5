#include "client/sdk/update_encoder.h"

#include <cstring>
#include <filesystem>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

// Two bytes a coordinate: its float32's upper half.
class HalfCodec final : public Codec {
 public:
  CodecSpec spec() const override { return {"half", {}}; }
  CodecQuality quality() const override { return {16, 0}; }
  uint64_t MaxEncodedBytes(uint64_t coordinates) const override { return 2 * coordinates; }
  absl::Status Encode(std::span<const float> values, const CodecContext&,
                      std::string* out) const override {
    for (const float value : values) {
      char bytes[4];
      std::memcpy(bytes, &value, 4);
      out->append(bytes + 2, 2);
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t>, uint64_t) const override {
    return absl::UnimplementedError("not needed");
  }
};

class UpdateEncoderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    request_.delta_path = dir_ + "/delta";
    request_.update_path = dir_ + "/update";
    request_.manifest = &manifest_;
    request_.layout = *MakeUpdateLayout(manifest_, {}, BufferMode::kAverage);
    request_.sync = false;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // Coordinates of a (2) and b (3), then the buffers: mean (2 floats), count (int64).
  void WriteDelta(std::vector<float> delta, std::vector<float> mean, int64_t count) {
    std::string bytes(reinterpret_cast<const char*>(delta.data()), delta.size() * 4);
    bytes.append(reinterpret_cast<const char*>(mean.data()), mean.size() * 4);
    bytes.append(reinterpret_cast<const char*>(&count), 8);
    written_ = bytes;
    ASSERT_TRUE(WriteFileAtomic(request_.delta_path, bytes).ok());
  }
  std::string Error(const Codec& codec) {
    return std::string(EncodeKeptUpdate(request_, codec).status().message());
  }

  const std::string dir_ = ::testing::TempDir() + "update_encoder_test";
  const Manifest manifest_ = *Manifest::Create({{"a", DType::kF32, {2}},
                                                {"mean", DType::kF32, {2}, TensorRole::kBuffer},
                                                {"b", DType::kF32, {3}},
                                                {"count", DType::kI64, {}, TensorRole::kBuffer}});
  const std::unique_ptr<Codec> raw_ = *MakeCodec("raw_f32");
  EncodeRequest request_;
  std::string written_;
};

TEST_F(UpdateEncoderTest, GivesAnUpdateThatTravelsInlineOnceMore) {
  WriteDelta({1, 2, 3, 4, 5}, {6, 7}, 8);
  const auto raw = EncodeKeptUpdate(request_, *raw_);
  ASSERT_TRUE(raw.ok()) << raw.status();
  EXPECT_EQ(raw->inline_data, written_);
  WriteDelta({1, 2, 3, 4, 5}, {6, 7}, 8);
  const auto half = EncodeKeptUpdate(request_, HalfCodec());
  ASSERT_TRUE(half.ok()) << half.status();
  EXPECT_EQ(half->inline_data, *ReadFile(request_.update_path, 100));
}

// Without buffers there is another way through the encoder.
class PlainUpdateTest : public UpdateEncoderTest {
 protected:
  void Use(uint64_t elements) {
    plain_ = *Manifest::Create({{"w", DType::kF32, {static_cast<int64_t>(elements)}}});
    request_.manifest = &plain_;
    request_.layout = *MakeUpdateLayout(plain_, {}, BufferMode::kAverage);
  }
  void WritePlain(const std::vector<float>& delta) {
    written_.assign(reinterpret_cast<const char*>(delta.data()), delta.size() * sizeof(float));
    ASSERT_TRUE(WriteFileAtomic(request_.delta_path, written_).ok());
  }
  Manifest plain_;
};

TEST_F(PlainUpdateTest, IsRenamedAndHashedAndSmallOnesAreGivenOnceMore) {
  // Up to 256 KiB travel inline.
  for (const uint64_t elements :
       {uint64_t{1}, uint64_t{5000}, uint64_t{65'536}, uint64_t{65'537}}) {
    SCOPED_TRACE(elements);
    Use(elements);
    WritePlain(std::vector<float>(elements, 0.25F));
    const auto update = EncodeKeptUpdate(request_, *raw_);
    ASSERT_TRUE(update.ok()) << update.status();
    EXPECT_EQ(update->bytes, elements * sizeof(float));
    EXPECT_EQ(update->sha256, Sha256Of(AsBytes(written_)));
    EXPECT_EQ(*ReadFile(request_.update_path, 1 << 20), written_);
    EXPECT_FALSE(FileExists(request_.delta_path));
    EXPECT_EQ(update->inline_data, elements <= 65'536 ? written_ : "");
    // A kill before the journal said so.
    const auto again = EncodeKeptUpdate(request_, *raw_);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->sha256, update->sha256);
  }
}

TEST_F(PlainUpdateTest, OneBadValueAnywhereIsNamed) {
  Use(3000);
  request_.max_abs_delta = 1;
  for (const size_t at : {size_t{0}, size_t{1023}, size_t{1024}, size_t{2047}, size_t{2999}}) {
    for (const float bad : {2.0F, -2.0F, std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity()}) {
      std::vector<float> delta(3000, 1.0F);
      delta[at] = bad;
      WritePlain(delta);
      EXPECT_THAT(Error(*raw_), HasSubstr(absl::StrCat("the delta of w at element ", at, " is ")));
      EXPECT_FALSE(FileExists(request_.update_path));
    }
  }
}

TEST_F(PlainUpdateTest, AFileOfAnotherSizeOrBeyondTheLimitIsRefused) {
  Use(100);
  WritePlain(std::vector<float>(99, 1.0F));
  EXPECT_THAT(Error(*raw_), HasSubstr("has 396 bytes, this model's updates have 400 of delta"));
  WritePlain(std::vector<float>(100, 1.0F));
  request_.max_bytes = 399;
  EXPECT_THAT(Error(*raw_), HasSubstr("has 400 bytes, the coordinator takes 399"));
}

TEST_F(UpdateEncoderTest, RawIsTheDeltaItselfWithoutACopy) {
  WriteDelta({1, 2, 3, 4, 5}, {6, 7}, 8);
  const auto update = EncodeKeptUpdate(request_, *raw_);
  ASSERT_TRUE(update.ok()) << update.status();
  EXPECT_EQ(*ReadFile(request_.update_path, 1000), written_);
  EXPECT_EQ(update->bytes, written_.size());
  EXPECT_EQ(update->sha256, Sha256Of(AsBytes(written_)));
  EXPECT_FALSE(FileExists(request_.delta_path));
  // What a kill between rename and journal leaves is finished by doing it again.
  const auto again = EncodeKeptUpdate(request_, *raw_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->sha256, update->sha256);
}

TEST_F(UpdateEncoderTest, TheRawCodecAgreesThatItIsTheIdentity) {
  const std::vector<float> values = {1.5F, -2.25F, 1e-30F};
  std::string encoded;
  ASSERT_TRUE(raw_->Encode(values, {}, &encoded).ok());
  EXPECT_EQ(encoded, std::string(reinterpret_cast<const char*>(values.data()), 12));
}

TEST_F(UpdateEncoderTest, AnotherCodecIsFollowedByTheBuffersAsTheyAre) {
  WriteDelta({1, 2, 3, 4, 5}, {6, 7}, 8);
  const auto update = EncodeKeptUpdate(request_, HalfCodec());
  ASSERT_TRUE(update.ok()) << update.status();
  const std::string bytes = *ReadFile(request_.update_path, 1000);
  EXPECT_EQ(bytes.size(), 5 * 2 + 16);
  EXPECT_EQ(bytes.substr(10), written_.substr(20));
  EXPECT_EQ(update->sha256, Sha256Of(AsBytes(bytes)));
  EXPECT_TRUE(FileExists(request_.delta_path));  // until the journal no longer needs it
}

TEST_F(UpdateEncoderTest, NamesTheTensorThatIsNotFinite) {
  WriteDelta({1, 2, 3, std::numeric_limits<float>::quiet_NaN(), 5}, {6, 7}, 8);
  EXPECT_THAT(Error(*raw_), HasSubstr("the delta of b at element 1 is nan"));
  EXPECT_FALSE(FileExists(request_.update_path));
}

TEST_F(UpdateEncoderTest, NamesTheBufferThatIsNotFinite) {
  WriteDelta({1, 2, 3, 4, 5}, {6, std::numeric_limits<float>::infinity()}, 8);
  EXPECT_THAT(Error(*raw_), HasSubstr("element 1 of the buffer mean is inf"));
}

TEST_F(UpdateEncoderTest, HoldsTheBoundExactly) {
  request_.max_abs_delta = 5;
  WriteDelta({1, 2, 3, 4, -5}, {6, 7}, 8);
  EXPECT_TRUE(EncodeKeptUpdate(request_, HalfCodec()).ok());
  request_.max_abs_delta = 4.5;
  EXPECT_THAT(Error(HalfCodec()), HasSubstr("the delta of b at element 2 is -5, beyond"));
}

TEST_F(UpdateEncoderTest, FindsABadValueInALongDelta) {
  const Manifest big = *Manifest::Create({{"w", DType::kF32, {10'001}}});
  request_.manifest = &big;
  request_.layout = *MakeUpdateLayout(big, {}, BufferMode::kFrozen);
  for (const size_t bad : {size_t{0}, size_t{4095}, size_t{4096}, size_t{10'000}}) {
    std::vector<float> delta(10'001, 0.5F);
    delta[bad] = -std::numeric_limits<float>::infinity();
    ASSERT_TRUE(
        WriteFileAtomic(request_.delta_path,
                        AsText({reinterpret_cast<const uint8_t*>(delta.data()), delta.size() * 4}))
            .ok());
    EXPECT_THAT(Error(*raw_), HasSubstr("at element " + std::to_string(bad) + " is -inf"));
  }
}

TEST_F(UpdateEncoderTest, RefusesTheWrongSizeAndTooMuch) {
  WriteDelta({1, 2, 3, 4}, {6, 7}, 8);
  EXPECT_EQ(EncodeKeptUpdate(request_, *raw_).status().code(), absl::StatusCode::kDataLoss);
  WriteDelta({1, 2, 3, 4, 5}, {6, 7}, 8);
  request_.max_bytes = written_.size() - 1;
  EXPECT_EQ(EncodeKeptUpdate(request_, *raw_).status().code(),
            absl::StatusCode::kResourceExhausted);
  request_.max_bytes = written_.size();
  EXPECT_TRUE(EncodeKeptUpdate(request_, *raw_).ok());
}

TEST_F(UpdateEncoderTest, AMissingDeltaIsNotFound) {
  EXPECT_EQ(EncodeKeptUpdate(request_, *raw_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace fedwatt
