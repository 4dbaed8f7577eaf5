// What EDEN's errors and sizes are, in both modes: the values of the theory for long vectors.

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/codec/codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_name.h"

namespace fedwatt {
namespace {

constexpr size_t kMillion = size_t{1} << 20;

struct Rate {
  const char* spec;
  double vnmse;         // for d -> infinity
  double entropy_bits;  // of the index
};

constexpr Rate kRates[] = {
    {"eden:bits=0.5", 1.613, 0.5},
    {"eden:bits=1", 0.5347, 1},
    {"eden:bits=2", 0.0976, 2},
    {"eden:bits=3", 0.0227, 3},
    {"eden:bits=4", 0.00559, 4},
    {"eden:bits=8", 2.17e-5, 8},
    {"eden:mode=lloyd_max,bits=1", 0.5708, 1.000},
    {"eden:mode=lloyd_max,bits=2", 0.1331, 1.911},
    {"eden:mode=lloyd_max,bits=3", 0.03578, 2.825},
    {"eden:mode=lloyd_max,bits=4", 0.00959, 3.765},
    {"eden:mode=lloyd_max,bits=8", 4.12e-5, 7.694},
};

CodecContext ContextOf(uint64_t round, const std::string& client = "phone-7") {
  CodecContext context;
  context.job = "job";
  context.round = round;
  context.client = client;
  return context;
}

std::string Encode(const Codec& codec, std::span<const float> values,
                   const CodecContext& context = ContextOf(0)) {
  std::string encoded;
  const absl::Status status = codec.Encode(values, context, &encoded);
  EXPECT_TRUE(status.ok()) << status;
  return encoded;
}

std::vector<float> RoundTrip(const Codec& codec, std::span<const float> values,
                             const CodecContext& context) {
  const auto decoded = DecodeAll(codec, AsBytes(Encode(codec, values, context)), values.size());
  EXPECT_TRUE(decoded.ok()) << decoded.status();
  return decoded.ok() ? *decoded : std::vector<float>(values.size());
}

double SquaredError(std::span<const float> x, std::span<const float> y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
  }
  return sum;
}

double SquaredNorm(std::span<const float> x) {
  return SquaredError(x, std::vector<float>(x.size(), 0.0f));
}

double MeanVnmse(const Codec& codec, std::span<const float> x, uint64_t rounds) {
  double sum = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    sum += SquaredError(x, RoundTrip(codec, x, ContextOf(round)));
  }
  return sum / SquaredNorm(x) / static_cast<double>(rounds);
}

std::vector<float> Gaussian(size_t n, uint64_t seed = 1) {
  Rng rng(RngKey{"eden-test", n, "", "gaussian", seed});
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(rng.Normal());
  return x;
}

const std::vector<float>& GaussianMillion() {
  static const auto* const x = new std::vector<float>(Gaussian(kMillion));
  return *x;
}

// Degrees of freedom 1.5: the variance is infinite.
std::vector<float> StudentT(size_t n) {
  constexpr double kFreedom = 1.5;
  Rng rng(RngKey{"eden-test", n, "", "student", 1});
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(rng.StudentT(kFreedom));
  return x;
}

std::vector<float> Spikes(size_t n, const std::vector<size_t>& at) {
  std::vector<float> x(n);
  for (const size_t i : at) x[i] = 3;
  return x;
}

class EdenRateTest : public testing::TestWithParam<Rate> {
 protected:
  const std::unique_ptr<Codec> codec_ = *MakeCodec(GetParam().spec);
};

TEST_P(EdenRateTest, TheErrorOfGaussianVectorsIsThatOfTheory) {
  EXPECT_NEAR(MeanVnmse(*codec_, GaussianMillion(), 1) / GetParam().vnmse, 1, 0.02);
}

TEST_P(EdenRateTest, TheErrorOfSparseVectorsIsThatOfGaussianOnes) {
  EXPECT_NEAR(MeanVnmse(*codec_, Spikes(kMillion, {777}), 10) / GetParam().vnmse, 1, 0.02);
  EXPECT_NEAR(MeanVnmse(*codec_, Spikes(kMillion, {0, 1}), 10) / GetParam().vnmse, 1, 0.02);
}

TEST_P(EdenRateTest, TheErrorOfHeavyTailedVectorsIsThatOfGaussianOnes) {
  static const auto* const x = new std::vector<float>(StudentT(kMillion));
  EXPECT_NEAR(MeanVnmse(*codec_, *x, 3) / GetParam().vnmse, 1, 0.02);
}

TEST_P(EdenRateTest, TheSizeIsTheEntropyOfTheIndices) {
  const std::string encoded = Encode(*codec_, GaussianMillion());
  const double bits = 8.0 * static_cast<double>(encoded.size()) / kMillion;
  // zstd does not code bytes that need nearly 8 bits.
  const double limit = GetParam().spec == std::string("eden:mode=lloyd_max,bits=8") ? 1.05 : 1.015;
  EXPECT_LE(bits, limit * GetParam().entropy_bits);
  EXPECT_GE(bits, 0.995 * GetParam().entropy_bits);
  EXPECT_LE(encoded.size(), codec_->MaxEncodedBytes(kMillion));
}

TEST_P(EdenRateTest, QualityForetellsSizeAndError) {
  const CodecQuality quality = codec_->quality();
  const std::string encoded = Encode(*codec_, GaussianMillion());
  EXPECT_NEAR(8.0 * static_cast<double>(encoded.size()) / kMillion / quality.bits, 1, 0.02);
  EXPECT_NEAR(MeanVnmse(*codec_, GaussianMillion(), 1) / quality.vnmse, 1, 0.02);
}

// A rotation that clients share would leave the mean of equal vectors as wrong as one of them.
TEST_P(EdenRateTest, TheMeanOfAlikeClientsImprovesWithTheirNumber) {
  constexpr size_t kClients = 30;
  constexpr size_t kCount = 1 << 17;
  const std::vector<float> common = Gaussian(kCount);
  const std::vector<float> noise = Gaussian(kCount, 2);
  std::vector<double> error(kCount);
  std::vector<float> x(kCount);
  double norm = 0;
  for (size_t client = 0; client < kClients; ++client) {
    for (size_t i = 0; i < kCount; ++i) x[i] = common[i] + 0.01f * noise[(i + client) % kCount];
    const auto y = RoundTrip(*codec_, x, ContextOf(3, absl::StrCat("client-", client)));
    for (size_t i = 0; i < kCount; ++i) error[i] += static_cast<double>(y[i] - x[i]) / kClients;
    norm += SquaredNorm(x) / kClients;
  }
  double nmse = 0;
  for (const double e : error) nmse += e * e / norm;
  EXPECT_NEAR(nmse / (GetParam().vnmse / kClients), 1, 0.05);
}

INSTANTIATE_TEST_SUITE_P(Rates, EdenRateTest, testing::ValuesIn(kRates),
                         [](const auto& info) { return TestName(info.param.spec); });

class EdenTest : public testing::TestWithParam<const char*> {
 protected:
  const std::unique_ptr<Codec> codec_ = *MakeCodec(GetParam());
};

TEST_P(EdenTest, AnyLengthComesBackAndStaysSmall) {
  for (const size_t n : {1, 2, 3, 15, 16, 17, 255, 256, 257, 4097, 65535, 65537, 100000}) {
    const std::vector<float> x = Gaussian(n);
    const std::string encoded = Encode(*codec_, x);
    EXPECT_LE(encoded.size(), codec_->MaxEncodedBytes(n)) << n;
    // Header, scales, one small stream; and less than one padded piece of 255 coordinates.
    const double bits = codec_->quality().bits * static_cast<double>(n + 128);
    EXPECT_LE(static_cast<double>(encoded.size()), 150 + 1.02 * bits / 8) << n;
    const double error = SquaredError(x, RoundTrip(*codec_, x, ContextOf(0)));
    EXPECT_LE(error, std::max(2.0, 2 * codec_->quality().vnmse) * SquaredNorm(x)) << n;
  }
}

// The mean of many rounds, and the squared error of one of them.
struct Rounds {
  std::vector<double> mean;
  double squared_error = 0;
};

Rounds ManyRounds(const Codec& codec, std::span<const float> x, uint64_t rounds) {
  Rounds result;
  result.mean.resize(x.size());
  const auto share = 1 / static_cast<double>(rounds);
  for (uint64_t round = 0; round < rounds; ++round) {
    const std::vector<float> y = RoundTrip(codec, x, ContextOf(round));
    for (size_t i = 0; i < x.size(); ++i) result.mean[i] += static_cast<double>(y[i]) * share;
    result.squared_error += SquaredError(x, y) * share;
  }
  return result;
}

double SquaredBias(const Rounds& rounds, std::span<const float> x) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += std::pow(rounds.mean[i] - static_cast<double>(x[i]), 2);
  }
  return sum;
}

TEST_P(EdenTest, TheMeanOfManyRoundsIsTheVector) {
  constexpr uint64_t kRounds = 1000;
  for (const size_t n : {20, 100, 300}) {
    const std::vector<float> x = Gaussian(n);
    const Rounds rounds = ManyRounds(*codec_, x, kRounds);
    EXPECT_NEAR(SquaredBias(rounds, x) / (rounds.squared_error / kRounds), 1, 1) << n;
  }
}

// At half a bit all of a short vector often lies within half a step of zero; sending none of it
// would lose it in every round. Two or three coordinates turn to few different vectors, so a bias
// remains, but a small one.
TEST_P(EdenTest, TheShortestVectorsAreNearlyUnbiased) {
  for (const size_t n : {1, 2, 3}) {
    const std::vector<float> x = Gaussian(n);
    EXPECT_LE(SquaredBias(ManyRounds(*codec_, x, 500), x), 0.05 * 0.05 * SquaredNorm(x)) << n;
  }
}

TEST_P(EdenTest, ZeroPiecesStayZeroBesideOthers) {
  std::vector<float> x = Gaussian(3 * 65536 + 600);
  std::fill_n(x.begin() + 65536, 65536, 0.0f);
  std::fill_n(x.begin() + 3 * 65536 + 512, 88, -0.0f);
  const std::vector<float> y = RoundTrip(*codec_, x, ContextOf(0));
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] == 0) {
      ASSERT_EQ(y[i], 0) << i;
    }
  }
  EXPECT_LE(SquaredError(x, y), 1.1 * codec_->quality().vnmse * SquaredNorm(x));
}

TEST_P(EdenTest, ExtremeMagnitudesComeBackFinite) {
  for (const float scale : {1e-45f, 1e-38f, 1e-24f, 1e-20f, 1e20f, 1e24f}) {
    for (const size_t n : {1, 20, 65537}) {
      std::vector<float> x = Gaussian(n);
      for (float& v : x) v = std::clamp(v, -1.0f, 1.0f) * scale;
      const std::vector<float> y = RoundTrip(*codec_, x, ContextOf(0));
      for (const float v : y) ASSERT_TRUE(std::isfinite(v)) << scale;
      const double limit = std::max(2.0, 2 * codec_->quality().vnmse);
      EXPECT_LE(SquaredError(x, y), limit * SquaredNorm(x)) << scale << " " << n;
    }
  }
}

TEST_P(EdenTest, WhatCannotBeCodedIsRefusedByName) {
  for (const float bad : {NAN, INFINITY, -INFINITY, 1.3e24f, -3e38f}) {
    std::vector<float> x = Gaussian(70000);
    x[66000] = bad;
    std::string encoded;
    const absl::Status status = codec_->Encode(x, ContextOf(0), &encoded);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("eden: coordinate 66000 is "));
  }
}

TEST_P(EdenTest, BytesDependOnTheContextAndNothingElse) {
  const std::vector<float> x = Gaussian(1000);
  const std::string encoded = Encode(*codec_, x);
  EXPECT_EQ(Encode(*codec_, x), encoded);
  EXPECT_NE(Encode(*codec_, x, ContextOf(1)), encoded);
  EXPECT_NE(Encode(*codec_, x, ContextOf(0, "phone-8")), encoded);
  CodecContext context = ContextOf(0);
  context.purpose = "down";
  EXPECT_NE(Encode(*codec_, x, context), encoded);
  context = ContextOf(0);
  context.seed = 1;
  EXPECT_NE(Encode(*codec_, x, context), encoded);
}

TEST_P(EdenTest, AnyOrderOfReadingGivesTheSameBits) {
  constexpr size_t kCount = 9 * 65536 + 1000;  // more than one stream
  const std::string encoded = Encode(*codec_, Gaussian(kCount));
  const std::vector<float> whole = *DecodeAll(*codec_, AsBytes(encoded), kCount);
  auto decoder = *codec_->Open(AsBytes(encoded), kCount);
  Rng rng(RngKey{"eden-test", 0, "", "order", 1});
  std::vector<float> part;
  for (int i = 0; i < 40; ++i) {
    const uint64_t begin = rng.UniformInt(kCount);
    part.resize(rng.UniformInt(std::min<uint64_t>(kCount - begin, i % 2 == 0 ? 200'000 : 300) + 1));
    ASSERT_TRUE(decoder->Read(begin, part).ok());
    ASSERT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(begin)));
  }
}

TEST_P(EdenTest, AScanTellsTheNormAndABoundAndLeavesReadingAsItIs) {
  for (const size_t n : {1, 300, 65536, 70000, 300'000}) {
    const std::string encoded = Encode(*codec_, Gaussian(n));
    const std::vector<float> whole = *DecodeAll(*codec_, AsBytes(encoded), n);
    auto decoder = *codec_->Open(AsBytes(encoded), n);
    std::vector<float> y(n);
    ASSERT_TRUE(decoder->Read(0, std::span(y).first(n / 2)).ok());
    const auto stats = decoder->Scan();
    ASSERT_TRUE(stats.ok()) << stats.status();
    EXPECT_TRUE(stats->finite);
    EXPECT_NEAR(stats->sum_squares / SquaredNorm(whole), 1, 1e-5) << n;
    float max_abs = 0;
    for (const float v : whole) max_abs = std::max(max_abs, std::fabs(v));
    EXPECT_GE(stats->max_abs, max_abs);
    EXPECT_LE(stats->max_abs, 1.01 * std::sqrt(stats->sum_squares));
    ASSERT_TRUE(decoder->Read(0, y).ok());
    EXPECT_EQ(y, whole);
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, EdenTest,
                         testing::Values("eden", "eden:bits=0.5", "eden:bits=8",
                                         "eden:bits=1,mode=lloyd_max", "eden:bits=3,mode=lloyd_max",
                                         "eden:bits=8,mode=lloyd_max"),
                         [](const auto& info) { return absl::StrCat("Spec", info.index); });

TEST(EdenSpecTest, SaysItsParameters) {
  EXPECT_EQ((*MakeCodec("eden"))->spec().ToString(), "eden:bits=2,mode=uniform");
  EXPECT_EQ((*MakeCodec("eden:bits=0.75"))->spec().ToString(), "eden:bits=0.75,mode=uniform");
  EXPECT_EQ((*MakeCodec("eden:mode=lloyd_max"))->spec().ToString(), "eden:bits=2,mode=lloyd_max");
}

TEST(EdenSpecTest, RefusesRatesThatItHasNot) {
  for (const char* const spec :
       {"eden:bits=0.4", "eden:bits=8.5", "eden:bits=nan", "eden:mode=lloyd_max,bits=2.5",
        "eden:mode=lloyd_max,bits=0", "eden:mode=lloyd_max,bits=9", "eden:mode=x", "eden:rate=2"}) {
    EXPECT_EQ(MakeCodec(spec).status().code(), absl::StatusCode::kInvalidArgument) << spec;
  }
}

TEST(EdenSpecTest, AnyRateReadsWhatAnotherWrote) {
  const std::vector<float> x = Gaussian(5000);
  const auto lloyd_max = *MakeCodec("eden:bits=4,mode=lloyd_max");
  const auto other = *MakeCodec("eden:bits=0.5");
  const std::string encoded = Encode(*lloyd_max, x);
  EXPECT_EQ(*DecodeAll(*other, AsBytes(encoded), x.size()),
            *DecodeAll(*lloyd_max, AsBytes(encoded), x.size()));
}

}  // namespace
}  // namespace fedwatt
