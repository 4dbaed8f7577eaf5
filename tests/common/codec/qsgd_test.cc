// What `qsgd` promises beyond what every codec does: no bias, and buckets that keep spikes apart.

#include <cmath>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/codec/codec.h"
#include "common/codec/varint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

CodecContext ContextOf(uint64_t round, const std::string& client = "phone-7") {
  CodecContext context;
  context.job = "job";
  context.round = round;
  context.client = client;
  return context;
}

std::vector<float> Gaussian(size_t n) {
  Rng rng(RngKey{"qsgd", n, "", "gaussian", 1});
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.Normal());
  return values;
}

// Student's t with 1.5 degrees of freedom.
std::vector<float> HeavyTails(size_t n) {
  Rng rng(RngKey{"qsgd", n, "", "student", 1});
  std::vector<float> values(n);
  for (float& v : values) {
    v = static_cast<float>(rng.Normal() / std::sqrt(rng.Gamma(0.75) / 0.75));
  }
  return values;
}

std::string Encode(const Codec& codec, const std::vector<float>& values,
                   const CodecContext& context) {
  std::string encoded;
  const absl::Status status = codec.Encode(values, context, &encoded);
  EXPECT_TRUE(status.ok()) << status;
  return encoded;
}

std::vector<float> RoundTrip(const Codec& codec, const std::vector<float>& values,
                             const CodecContext& context) {
  const std::string encoded = Encode(codec, values, context);
  const auto decoded = DecodeAll(codec, AsBytes(encoded), values.size());
  EXPECT_TRUE(decoded.ok()) << decoded.status();
  return *decoded;
}

double Vnmse(const std::vector<float>& x, const std::vector<float>& decoded) {
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += std::pow(static_cast<double>(x[i]) - static_cast<double>(decoded[i]), 2);
    norm += std::pow(static_cast<double>(x[i]), 2);
  }
  return error / norm;
}

TEST(QsgdTest, TheMeanOfManyRoundsIsTheVector) {
  constexpr int kRounds = 400;
  for (const char* const text : {"qsgd", "qsgd:levels=1,bucket=64", "qsgd:levels=255"}) {
    const auto codec = *MakeCodec(text);
    for (const std::vector<float>& x : {Gaussian(3000), HeavyTails(3000)}) {
      std::vector<double> mean(x.size());
      double once = 0;
      for (int round = 0; round < kRounds; ++round) {
        const std::vector<float> decoded = RoundTrip(*codec, x, ContextOf(round));
        for (size_t i = 0; i < x.size(); ++i) mean[i] += decoded[i] / double{kRounds};
        once += Vnmse(x, decoded) / kRounds;
      }
      const double left = Vnmse(x, {mean.begin(), mean.end()});
      EXPECT_NEAR(left * kRounds / once, 1, 0.2) << text << ": a bias does not average out";
    }
  }
}

TEST(QsgdTest, ClientsAndRoundsRoundApart) {
  const auto codec = *MakeCodec("qsgd");
  const std::vector<float> x = Gaussian(1000);
  EXPECT_NE(Encode(*codec, x, ContextOf(1)), Encode(*codec, x, ContextOf(2)));
  EXPECT_NE(Encode(*codec, x, ContextOf(1)), Encode(*codec, x, ContextOf(1, "phone-8")));
}

TEST(QsgdTest, BucketsKeepTheErrorOfHeavyTailsSmall) {
  const std::vector<float> x = HeavyTails(1 << 20);
  const auto error = [&x](const char* text) {
    return Vnmse(x, RoundTrip(**MakeCodec(text), x, ContextOf(0)));
  };
  EXPECT_GT(error("qsgd:bucket=1048576"), 1);
  EXPECT_LT(error("qsgd"), 0.1);
}

TEST(QsgdTest, OneLevelIsTernary) {
  const auto codec = *MakeCodec("qsgd:levels=1,bucket=16");
  const std::vector<float> x = Gaussian(160);
  const std::vector<float> decoded = RoundTrip(*codec, x, ContextOf(0));
  for (size_t i = 0; i < x.size(); ++i) {
    double norm = 0;
    for (size_t j = i / 16 * 16; j < i / 16 * 16 + 16; ++j) norm += x[j] * x[j];
    const double magnitude = std::fabs(decoded[i]);
    EXPECT_TRUE(magnitude == 0 || std::fabs(magnitude - std::sqrt(norm)) < 1e-5 * magnitude);
    EXPECT_GE(x[i] * decoded[i], 0);
  }
}

TEST(QsgdTest, BucketsNeedNotDivideAnything) {
  for (const char* const text : {"qsgd:bucket=1", "qsgd:bucket=777", "qsgd:bucket=1048576"}) {
    const auto codec = *MakeCodec(text);
    const std::vector<float> x = Gaussian((1 << 18) + 1234);
    const std::string encoded = Encode(*codec, x, ContextOf(0));
    EXPECT_LE(encoded.size(), codec->MaxEncodedBytes(x.size()));
    const auto decoder = *codec->Open(AsBytes(encoded), x.size());
    std::vector<float> whole(x.size());
    ASSERT_TRUE(decoder->Read(0, whole).ok());
    std::vector<float> part(2500);
    ASSERT_TRUE(decoder->Read((1 << 18) - 1300, part).ok());
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + (1 << 18) - 1300)) << text;
    if (std::string(text) == "qsgd:bucket=1") {
      EXPECT_LT(Vnmse(x, whole), 1e-12) << "alone, each is its own norm";
    }
  }
}

TEST(QsgdTest, BytesThatNoEncoderMakesAreRefused) {
  const auto codec = *MakeCodec("qsgd");
  const std::vector<float> x = Gaussian(600);
  const std::string encoded = Encode(*codec, x, ContextOf(0));
  ByteSpan rest = AsBytes(encoded);
  ASSERT_EQ(*TakeVarint(&rest), 512u);
  ASSERT_EQ(*TakeVarint(&rest), 15u);
  const auto refused = [&](uint64_t bucket, uint64_t levels, std::string_view behind) {
    std::string bytes;
    AppendVarint(bucket, &bytes);
    AppendVarint(levels, &bytes);
    bytes += behind;
    const auto decoded = DecodeAll(*codec, AsBytes(bytes), x.size());
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(decoded.status().message());
  };
  EXPECT_THAT(refused(0, 15, AsText(rest)), testing::HasSubstr("buckets of 0"));
  EXPECT_THAT(refused((1 << 20) + 1, 15, AsText(rest)), testing::HasSubstr("buckets of"));
  EXPECT_THAT(refused(512, 0, AsText(rest)), testing::HasSubstr("0 levels"));
  EXPECT_THAT(refused(512, 1024, AsText(rest)), testing::HasSubstr("1024 levels"));
  EXPECT_THAT(refused(512, 1, AsText(rest)), testing::HasSubstr("of 1"));
  std::string negative(AsText(rest));
  negative[7] = static_cast<char>(negative[7] | 0x80);  // the sign of the second unit
  EXPECT_THAT(refused(512, 15, negative), testing::HasSubstr("bucket 1"));
  std::string infinite(AsText(rest));
  infinite[2] = '\x80';
  infinite[3] = '\x7f';
  EXPECT_THAT(refused(512, 15, infinite), testing::HasSubstr("bucket 0"));
}

TEST(QsgdTest, ParametersOutOfRangeAreRefused) {
  for (const char* const text : {"qsgd:bucket=0", "qsgd:bucket=1048577", "qsgd:levels=0",
                                 "qsgd:levels=1024", "qsgd:levels=1.5", "qsgd:bits=4"}) {
    EXPECT_EQ(MakeCodec(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace fedwatt
