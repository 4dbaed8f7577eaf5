#include "server/driver/codec_policy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr uint64_t kCoordinates = 1'000'000;

// A codec as far as choosing goes.
std::shared_ptr<const UploadCodec> Made(const std::string& text, double bits, double vnmse,
                                        bool keeps_state = false) {
  UploadCodec codec;
  codec.text = text;
  codec.need = {text.substr(0, text.find(':')), keeps_state};
  codec.quality = {bits, vnmse};
  codec.coordinates = kCoordinates;
  codec.expected_bytes = bits * kCoordinates / 8;
  return std::make_shared<const UploadCodec>(std::move(codec));
}

using Codecs = std::vector<std::shared_ptr<const UploadCodec>>;

// The rates of EDEN with a uniform step.
Codecs AllRates() {
  return {Made("eden:bits=2", 2, 0.0976), Made("eden:bits=0.5", 0.5, 1.613),
          Made("eden:bits=1", 1, 0.5347), Made("eden:bits=1.5", 1.5, 0.23),
          Made("eden:bits=3", 3, 0.0227), Made("eden:bits=4", 4, 0.00559),
          Made("eden:bits=6", 6, 3.5e-4), Made("eden:bits=8", 8, 2.2e-5),
          Made("bf16", 16, 1.3e-6),       Made("raw_f32", 32, 0)};
}

class CodecPolicyTest : public ::testing::Test {
 protected:
  CodecPolicyTest() {
    spec_.codec.policy = "adaptive";
    spec_.codec.up = "eden:bits=2";
    spec_.codec.upload_share = 0.25;
    spec_.round.report_deadline_s = 3600;
    offer_.client = "c0ffee";
    offer_.request.capabilities.codecs = {"eden", "bf16", "raw_f32"};
  }

  ChosenCodec Choose(const CostEstimate& costs) {
    offer_.request.costs = costs;
    auto chosen = ChooseCodec(spec_, codecs_, offer_);
    EXPECT_TRUE(chosen.ok()) << chosen.status();
    return chosen.ok() ? *std::move(chosen) : ChosenCodec{codecs_.front(), ""};
  }
  std::string Text(const CostEstimate& costs) { return Choose(costs).codec->text; }

  JobSpec spec_;
  Codecs codecs_ = AllRates();
  Offer offer_;
};

CostEstimate Joules(double train, double per_byte) {
  return {.up_joules_per_byte = per_byte, .train_joules = train};
}
CostEstimate Seconds(double train, double bytes_per_s) {
  return {.up_bytes_per_s = bytes_per_s, .train_seconds = train};
}

struct Case {
  const char* why;
  CostEstimate costs;
  const char* codec;
};

TEST_F(CodecPolicyTest, WhatACodecIsChosenFor) {
  const std::vector<Case> cases = {
      {"bytes that cost next to nothing", Joules(1000, 1e-12), "raw_f32"},
      {"a cheap link", Joules(1000, 1e-7), "eden:bits=8"},
      {"bytes and training weigh alike at 3 bits", Joules(20, 4e-6), "eden:bits=3"},
      {"training costs less than the upload", Joules(0.5, 4e-6), "eden:bits=1"},
      {"bytes are all that costs", Joules(1e-3, 4e-6), "eden:bits=0.5"},
      {"a link as fast as a memory", Seconds(60, 1e11), "raw_f32"},
      {"a fast link", Seconds(60, 1e8), "eden:bits=8"},
      {"a slow link", Seconds(60, 1e4), "eden:bits=2"},
      {"a slower link", Seconds(60, 2000), "eden:bits=1"},
      {"joules go before seconds",
       {.up_bytes_per_s = 1e8,
        .up_joules_per_byte = 4e-6,
        .train_joules = 0.5,
        .train_seconds = 60},
       "eden:bits=1"},
      {"joules of bytes alone are no price of an update; seconds are",
       {.up_bytes_per_s = 1e4, .up_joules_per_byte = 1, .train_seconds = 60},
       "eden:bits=2"},
  };
  for (const Case& c : cases) EXPECT_EQ(Text(c.costs), c.codec) << c.why;
}

// The formula of the header, against a search of its own.
TEST_F(CodecPolicyTest, NoOtherCodecMakesAnEffectiveUpdateCheaper) {
  for (double train = 1e-3; train < 1e4; train *= 7) {
    for (double per_byte = 1e-9; per_byte < 1e-3; per_byte *= 5) {
      CostEstimate costs = Joules(train, per_byte);
      costs.encode_joules_per_coordinate = 1e-8;
      const auto cost = [&](const UploadCodec& codec) {
        const double encode = codec.text == "raw_f32" ? 0 : 1e-8 * kCoordinates;
        return (train + encode + codec.expected_bytes * per_byte) * (1 + codec.quality.vnmse);
      };
      const ChosenCodec chosen = Choose(costs);
      for (const auto& other : codecs_) {
        EXPECT_LE(cost(*chosen.codec), cost(*other)) << other->text << "; " << chosen.reason;
      }
    }
  }
}

TEST_F(CodecPolicyTest, DearerEncodingMakesTheExactOneBetter) {
  CostEstimate costs = Joules(1, 1e-6);
  EXPECT_NE(Text(costs), "raw_f32");
  costs.encode_joules_per_coordinate = 1e-5;
  EXPECT_EQ(Text(costs), "raw_f32");
}

TEST_F(CodecPolicyTest, TheReasonIsOneLineThatAnOperatorUnderstands) {
  CostEstimate costs = Joules(2, 4.1e-6);
  costs.encode_joules_per_coordinate = 2e-8;
  EXPECT_EQ(Choose(costs).reason,
            "eden:bits=2: 3.34 J per effective update (train 2, encode 0.02, upload 1.02 at 4.1 "
            "uJ/B, error 0.0976); raw_f32 would cost 18.4 J");
  EXPECT_EQ(Choose(Seconds(60, 1e4)).reason,
            "eden:bits=2: 93.3 s per effective update (train 60, upload 25 at 10.0 kB/s, error "
            "0.0976); raw_f32 would cost 460 s");
  offer_.request.capabilities.codecs = {"raw_f32"};
  EXPECT_EQ(Choose(Seconds(60, 1e8)).reason,
            "raw_f32: 60 s per effective update (train 60, upload 0.04 at 100.0 MB/s, error 0)");
}

TEST_F(CodecPolicyTest, AnUploadFitsItsPartOfTheDeadline) {
  // 900 s at 100 B/s: 90 kB, less than the 125 kB of one bit.
  const ChosenCodec chosen = Choose(Seconds(1e6, 100));
  EXPECT_EQ(chosen.codec->text, "eden:bits=0.5");
  EXPECT_THAT(chosen.reason,
              EndsWith("; larger ones do not fit the 900 s that an upload may take at 100 B/s"));
  spec_.codec.upload_share = 1;
  EXPECT_EQ(Text(Seconds(1e6, 100)), "eden:bits=2") << "250 kB in 3600 s";
  // The time binds also where joules decide.
  spec_.codec.upload_share = 0.25;
  CostEstimate costs = Joules(1000, 1e-12);
  costs.up_bytes_per_s = 1000;
  EXPECT_EQ(Text(costs), "eden:bits=6") << "900 kB";
}

TEST_F(CodecPolicyTest, WhenNothingFitsTheTimeItIsTheSmallestAndSaidSo) {
  spec_.round.report_deadline_s = 4;
  const ChosenCodec chosen = Choose(Seconds(60, 1000));
  EXPECT_EQ(chosen.codec->text, "eden:bits=0.5");
  EXPECT_EQ(chosen.reason,
            "eden:bits=0.5: 62.5 kB, the smallest within codec.max_error; none fits the 1 s that "
            "an upload may take at 1.0 kB/s");
}

TEST_F(CodecPolicyTest, WithoutFiguresTheJobsOwnCodecStands) {
  const ChosenCodec chosen = Choose({});
  EXPECT_EQ(chosen.codec->text, "eden:bits=2");
  EXPECT_THAT(chosen.reason, StartsWith("eden:bits=2: the job's codec.up; the client does not "));
  for (const CostEstimate& half :
       {CostEstimate{.up_joules_per_byte = 1}, CostEstimate{.train_joules = 1},
        CostEstimate{.up_bytes_per_s = 1e9}, CostEstimate{.train_seconds = 1}}) {
    EXPECT_EQ(Text(half), "eden:bits=2");
  }
  EXPECT_EQ(Text({.up_bytes_per_s = 100}), "eden:bits=0.5") << "the time binds all the same";
}

TEST_F(CodecPolicyTest, WithoutFiguresAndTheJobsOwnCodecItIsTheFewestBytes) {
  offer_.request.capabilities.codecs = {"bf16", "raw_f32"};
  const ChosenCodec chosen = Choose({});
  EXPECT_EQ(chosen.codec->text, "bf16");
  EXPECT_THAT(chosen.reason, StartsWith("bf16: 2.0 MB, the fewest bytes per effective update; "));
}

TEST_F(CodecPolicyTest, AClientGetsOnlyWhatItOffers) {
  for (const CostEstimate& costs : {CostEstimate{}, Joules(1, 1), Seconds(1, 1)}) {
    offer_.request.capabilities.codecs = {"raw_f32", "stc"};
    EXPECT_EQ(Text(costs), "raw_f32");
    offer_.request.capabilities.codecs = {"bf16"};
    EXPECT_EQ(Text(costs), "bf16");
  }
  offer_.request.capabilities.codecs = {"stc"};
  const absl::Status none = ChooseCodec(spec_, codecs_, offer_).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(none.message()), HasSubstr("client c0ffee"));
}

TEST_F(CodecPolicyTest, CodecsWithErrorFeedbackAreForClientsThatKeepState) {
  spec_.codec.up = "topk:fraction=0.01";
  codecs_ = {Made("topk:fraction=0.01", 0.4, 0.9, true), Made("raw_f32", 32, 0)};
  offer_.request.capabilities.codecs = {"topk", "raw_f32"};
  EXPECT_EQ(Text({}), "raw_f32");
  EXPECT_EQ(Text(Joules(1e-3, 1)), "raw_f32");
  offer_.request.capabilities.keeps_state = true;
  EXPECT_EQ(Text({}), "topk:fraction=0.01");
  EXPECT_EQ(Text(Joules(1e-3, 1)), "topk:fraction=0.01");
}

// What the wire lets through, at its worst, and what it would not.
TEST_F(CodecPolicyTest, HostileFiguresHarmNobodyElse) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> figures = {0, 5e-324, 1e-300, 1, 1e15, 1e300, inf, nan, -1};
  for (const double a : figures) {
    for (const double b : figures) {
      for (const double c : figures) {
        const CostEstimate costs{.up_bytes_per_s = a,
                                 .up_joules_per_byte = b,
                                 .encode_joules_per_coordinate = c,
                                 .train_joules = b,
                                 .train_seconds = c};
        const ChosenCodec chosen = Choose(costs);
        EXPECT_NE(std::find(codecs_.begin(), codecs_.end(), chosen.codec), codecs_.end());
        EXPECT_LT(chosen.reason.size(), 400u) << chosen.reason;
        EXPECT_EQ(chosen.reason.find("nan"), std::string::npos) << chosen.reason;
        EXPECT_EQ(chosen.reason.find("inf"), std::string::npos) << chosen.reason;
        const ChosenCodec again = Choose(costs);
        EXPECT_EQ(again.codec, chosen.codec);
        EXPECT_EQ(again.reason, chosen.reason);
      }
    }
  }
  EXPECT_EQ(Text({.up_bytes_per_s = 0, .up_joules_per_byte = 0, .train_joules = 0}), "eden:bits=2")
      << "0 was not measured";
}

TEST_F(CodecPolicyTest, TiesGoToFewerBytes) {
  codecs_ = {Made("bf16", 16, 0), Made("raw_f32", 32, 0), Made("eden:bits=8", 8, 0)};
  EXPECT_EQ(Text(Joules(1e15, 1e-300)), "eden:bits=8");
}

TEST_F(CodecPolicyTest, FixedIsFixed) {
  spec_.codec.policy = "fixed";
  codecs_ = {codecs_.front()};
  for (const CostEstimate& costs : {CostEstimate{}, Joules(1, 1), Seconds(1, 1)}) {
    const ChosenCodec chosen = Choose(costs);
    EXPECT_EQ(chosen.codec->text, "eden:bits=2");
    EXPECT_EQ(chosen.reason, "eden:bits=2: the job's codec.up, for all clients");
  }
}

// ---- what a job may use

UpdateLayout SmallLayout() {
  const Manifest manifest = *Manifest::Create({
      {"w", DType::kF32, {1000}, TensorRole::kTrainable},
      {"count", DType::kI64, {}, TensorRole::kBuffer},
  });
  return *MakeUpdateLayout(manifest, {}, BufferMode::kAverage);
}

TEST(UploadCodecsTest, FixedHasCodecUpAlone) {
  JobSpec::CodecChoice choice;
  choice.up = "raw_f32";
  const auto codecs = UploadCodecs(choice, SmallLayout());
  ASSERT_TRUE(codecs.ok()) << codecs.status();
  ASSERT_EQ(codecs->size(), 1u);
  const UploadCodec& codec = *codecs->front();
  EXPECT_EQ(codec.text, "raw_f32");
  EXPECT_EQ(codec.need, (CodecNeed{"raw_f32", false}));
  EXPECT_EQ(codec.expected_bytes, 4008) << "with the buffers";
  EXPECT_EQ(codec.max_bytes, 4008u);
  EXPECT_EQ(codec.coordinates, 1000u);
}

TEST(UploadCodecsTest, NoneErrsByMoreThanMaxError) {
  for (const double max_error : {1e-6, 1e-3, 0.3, 1.0, 10.0}) {
    JobSpec::CodecChoice choice;
    choice.up = "eden:bits=1";
    choice.policy = "adaptive";
    choice.max_error = max_error;
    const auto codecs = UploadCodecs(choice, SmallLayout());
    ASSERT_TRUE(codecs.ok()) << codecs.status();
    ASSERT_FALSE(codecs->empty());
    EXPECT_EQ(codecs->back()->text, "raw_f32") << "is always good enough";
    EXPECT_EQ(codecs->front()->text == "eden:bits=1", max_error >= 1) << max_error;
    for (const auto& codec : *codecs) EXPECT_LE(codec->quality.vnmse, max_error) << codec->text;
    const auto ups = std::count_if(codecs->begin(), codecs->end(),
                                   [](const auto& codec) { return codec->text == "eden:bits=1"; });
    EXPECT_LE(ups, 1) << "codec.up is one of the rates";
  }
}

TEST(UploadCodecsTest, MistakesInCodecUp) {
  JobSpec::CodecChoice choice;
  choice.up = "raw_f23";
  EXPECT_EQ(UploadCodecs(choice, SmallLayout()).status().code(), absl::StatusCode::kNotFound);
  choice.up = "raw_f32:bits=2";
  EXPECT_EQ(UploadCodecs(choice, SmallLayout()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace fedwatt
