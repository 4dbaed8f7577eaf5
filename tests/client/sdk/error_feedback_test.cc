#include "client/sdk/error_feedback.h"

#include <cmath>
#include <cstring>
#include <filesystem>

#include "client/sdk/update_encoder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class OneValueDecoder final : public Decoder {
 public:
  OneValueDecoder(uint64_t coordinates, uint32_t index, float value)
      : Decoder(coordinates), index_(index), value_(value) {}
  absl::Status Read(uint64_t begin, std::span<float> out) override {
    for (uint64_t i = 0; i < out.size(); ++i) out[i] = begin + i == index_ ? value_ : 0.0F;
    return absl::OkStatus();
  }

 private:
  const uint32_t index_;
  const float value_;
};

// Keeps the coordinate of greatest magnitude as it is and drops the others.
class OneValueCodec final : public Codec {
 public:
  CodecSpec spec() const override { return {"one_value", {}}; }
  CodecQuality quality() const override { return {0, 1}; }
  bool needs_error_feedback() const override { return true; }
  uint64_t MaxEncodedBytes(uint64_t) const override { return 8; }
  absl::Status Encode(std::span<const float> values, const CodecContext&,
                      std::string* out) const override {
    uint32_t best = 0;
    for (uint32_t i = 0; i < values.size(); ++i) {
      if (std::fabs(values[i]) > std::fabs(values[best])) best = i;
    }
    out->assign(8, '\0');
    std::memcpy(out->data(), &best, 4);
    std::memcpy(out->data() + 4, &values[best], 4);
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                uint64_t coordinates) const override {
    uint32_t index = 0;
    float value = 0;
    std::memcpy(&index, encoded.data(), 4);
    std::memcpy(&value, encoded.data() + 4, 4);
    return std::make_unique<OneValueDecoder>(coordinates, index, value);
  }
};

class ErrorFeedbackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_ + "/work");
    request_.delta_path = dir_ + "/work/delta";
    request_.update_path = dir_ + "/work/update";
    request_.manifest = &manifest_;
    request_.layout = *MakeUpdateLayout(manifest_, {}, BufferMode::kAverage);
    request_.sync = false;
    request_.feedback = FeedbackStep::Files{key_, ResidualPath(dir_, key_), next_path_, false};
  }
  void TearDown() override {
    SetWriteFaultForTest(nullptr);
    std::filesystem::remove_all(dir_);
  }

  void WriteDelta(const std::vector<float>& delta) {
    ASSERT_TRUE(WriteFileAtomic(request_.delta_path,
                                std::string(reinterpret_cast<const char*>(delta.data()),
                                            delta.size() * sizeof(float)))
                    .ok());
  }
  // What the coordinator decodes.
  std::vector<float> Send(const std::vector<float>& delta) {
    WriteDelta(delta);
    const auto update = EncodeKeptUpdate(request_, codec_);
    EXPECT_TRUE(update.ok()) << update.status();
    if (!update.ok()) return {};
    problem_ = update->problem;
    const std::string bytes = *ReadFile(request_.update_path, 1000);
    return *DecodeAll(codec_, AsBytes(bytes), 3);
  }
  absl::Status Commit() { return CommitResidual(dir_, next_path_, false); }
  std::vector<float> Kept() {
    const auto residual = Residual::Open(ResidualPath(dir_, key_), key_);
    if (!residual.ok()) return {};
    return {residual->values().begin(), residual->values().end()};
  }

  const std::string dir_ = ::testing::TempDir() + "error_feedback_test";
  const std::string next_path_ = dir_ + "/work/residual";
  const Manifest manifest_ = *Manifest::Create({{"w", DType::kF32, {3}}});
  const ResidualKey key_{"job", Sha256Of(AsBytes("bundle")), 3};
  const OneValueCodec codec_;
  EncodeRequest request_;
  std::string problem_;
};

TEST_F(ErrorFeedbackTest, WhatACommittedUpdateDroppedIsInTheNext) {
  EXPECT_THAT(Send({4, 2, -1}), ElementsAre(4, 0, 0));
  EXPECT_THAT(Kept(), IsEmpty());  // until the outcome is known
  ASSERT_TRUE(Commit().ok());
  EXPECT_THAT(Kept(), ElementsAre(0, 2, -1));
  EXPECT_FALSE(FileExists(next_path_));
  EXPECT_THAT(Send({1, 1, 1}), ElementsAre(0, 3, 0));
  ASSERT_TRUE(Commit().ok());
  EXPECT_THAT(Kept(), ElementsAre(1, 0, 0));
}

TEST_F(ErrorFeedbackTest, NothingIsLostOverManyRounds) {
  std::vector<float> arrived(3, 0.0F);
  for (int round = 0; round < 30; ++round) {
    const std::vector<float> update = Send({1, 2, 4});
    for (size_t i = 0; i < 3; ++i) arrived[i] += update[i];
    ASSERT_TRUE(Commit().ok());
  }
  const std::vector<float> kept = Kept();
  EXPECT_THAT(arrived[0] + kept[0], 30);
  EXPECT_THAT(arrived[1] + kept[1], 60);
  EXPECT_THAT(arrived[2] + kept[2], 120);
}

TEST_F(ErrorFeedbackTest, AnUpdateThatIsNotCommittedLeavesTheResidualAsItWas) {
  Send({4, 2, -1});
  ASSERT_TRUE(Commit().ok());
  Send({100, 50, 20});
  std::filesystem::remove(next_path_);  // as with its assignment's folder
  ASSERT_TRUE(Commit().ok());
  EXPECT_THAT(Kept(), ElementsAre(0, 2, -1));
}

TEST_F(ErrorFeedbackTest, EncodingAgainGivesTheSameBytesAndCommittingAgainChangesNothing) {
  Send({4, 2, -1});
  ASSERT_TRUE(Commit().ok());
  Send({1, 1, 1});
  const std::string update = *ReadFile(request_.update_path, 1000);
  const std::string next = *ReadFile(next_path_, 1000);
  Send({1, 1, 1});
  EXPECT_EQ(*ReadFile(request_.update_path, 1000), update);
  EXPECT_EQ(*ReadFile(next_path_, 1000), next);
  ASSERT_TRUE(Commit().ok());
  const std::vector<float> kept = Kept();
  // Killed between the rename and the removal of the assignment.
  ASSERT_TRUE(Commit().ok());
  EXPECT_EQ(Kept(), kept);
}

TEST_F(ErrorFeedbackTest, WhatIsBeyondTheBoundStaysInTheResidual) {
  request_.max_abs_delta = 5;
  Send({5, 4, 0});
  ASSERT_TRUE(Commit().ok());
  EXPECT_THAT(Send({0, 4, 0}), ElementsAre(0, 5, 0));  // 8 would be refused
  ASSERT_TRUE(Commit().ok());
  EXPECT_THAT(Kept(), ElementsAre(0, 3, 0));
  EXPECT_THAT(Send({0, -4, 2}), ElementsAre(0, 0, 2));
}

TEST_F(ErrorFeedbackTest, ADeltaBeyondTheBoundIsStillAnError) {
  request_.max_abs_delta = 5;
  WriteDelta({6, 0, 0});
  EXPECT_EQ(EncodeKeptUpdate(request_, codec_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ErrorFeedbackTest, ASumBeyondFloatIsCutAndNotKeptAsInfinity) {
  const float most = std::numeric_limits<float>::max();
  Send({most, most, 0});
  ASSERT_TRUE(Commit().ok());
  ASSERT_THAT(Kept(), ElementsAre(0, most, 0));
  EXPECT_THAT(Send({0, most, 0}), ElementsAre(0, most, 0));
  ASSERT_TRUE(Commit().ok());
  EXPECT_THAT(Kept(), ElementsAre(0, 0, 0));
}

TEST_F(ErrorFeedbackTest, EveryDamagedByteOfAResidualMakesItStartFromZeroAndSaySo) {
  Send({4, 2, -1});
  ASSERT_TRUE(Commit().ok());
  const std::string path = ResidualPath(dir_, key_);
  const std::string good = *ReadFile(path, 1000);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 0x20;
    ASSERT_TRUE(WriteFileAtomic(path, bad).ok());
    EXPECT_THAT(Send({1, 1, 2}), ElementsAre(0, 0, 2)) << i;
    EXPECT_THAT(problem_, HasSubstr("error feedback starts anew: ")) << i;
    EXPECT_FALSE(FileExists(path)) << i;
    // And goes on from there.
    ASSERT_TRUE(Commit().ok());
    EXPECT_THAT(Kept(), ElementsAre(1, 1, 0)) << i;
  }
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    ASSERT_TRUE(WriteFileAtomic(path, good.substr(0, bytes)).ok());
    EXPECT_EQ(Residual::Open(path, key_).status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
}

TEST_F(ErrorFeedbackTest, AnotherJobAnotherBundleAndAnotherLayoutHaveTheirOwn) {
  Send({4, 2, -1});
  ASSERT_TRUE(Commit().ok());
  const std::string path = ResidualPath(dir_, key_);
  EXPECT_NE(path, ResidualPath(dir_, {"other", key_.bundle, 3}));
  EXPECT_NE(path, ResidualPath(dir_, {"job", Sha256Of(AsBytes("other")), 3}));
  EXPECT_EQ(Residual::Open(path, {"job", key_.bundle, 2}).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(Residual::Open(path, {"bob", key_.bundle, 3}).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(ErrorFeedbackTest, TwoUpdatesFromOneResidualDoNotUndoEachOther) {
  Send({4, 2, -1});
  const std::string second = dir_ + "/work/second";
  request_.feedback->next_path = second;
  Send({1, 9, 1});
  ASSERT_TRUE(Commit().ok());
  EXPECT_EQ(CommitResidual(dir_, second, false).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Kept(), ElementsAre(0, 2, -1));
  EXPECT_FALSE(FileExists(second));
}

TEST_F(ErrorFeedbackTest, AClientWithoutStateIsTold) {
  request_.feedback.reset();
  WriteDelta({1, 2, 3});
  const absl::Status status = EncodeKeptUpdate(request_, codec_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr("the codec one_value needs error feedback, and this client keeps no state"));
  EXPECT_FALSE(FileExists(request_.update_path));
}

TEST_F(ErrorFeedbackTest, AFullDiskLeavesTheOldResidual) {
  Send({4, 2, -1});
  ASSERT_TRUE(Commit().ok());
  SetWriteFaultForTest(
      [this](const std::string& path, uint64_t) { return path == next_path_ ? ENOSPC : 0; });
  WriteDelta({1, 1, 1});
  EXPECT_EQ(EncodeKeptUpdate(request_, codec_).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Kept(), ElementsAre(0, 2, -1));
}

TEST_F(ErrorFeedbackTest, ResidualsOfLongGoneJobsAreRemoved) {
  for (size_t i = 0; i < kMaxResiduals + 3; ++i) {
    request_.feedback->key.job = "job" + std::to_string(i);
    request_.feedback->residual_path = ResidualPath(dir_, request_.feedback->key);
    Send({1, 2, 3});
    ASSERT_TRUE(Commit().ok());
  }
  EXPECT_THAT(*ListDir(dir_), SizeIs(kMaxResiduals + 1));  // and the folder
  EXPECT_TRUE(FileExists(request_.feedback->residual_path));
}

}  // namespace
}  // namespace fedwatt
