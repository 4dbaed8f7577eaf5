// What every codec promises; walks the registry, so a new entry is tested once it is registered.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/codec/codec.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

CodecContext Context() {
  CodecContext context;
  context.job = "job";
  context.round = 3;
  context.client = "phone-7";
  return context;
}

std::vector<float> SomeValues(size_t n) {
  Rng rng(RngKey{"codec", n, "", "conformance", 1});
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.Normal());
  return values;
}

class CodecConformanceTest : public testing::TestWithParam<CodecEntry> {
 protected:
  std::string Encode(const std::vector<float>& values) {
    std::string encoded;
    const absl::Status status = codec_->Encode(values, Context(), &encoded);
    EXPECT_TRUE(status.ok()) << status;
    return encoded;
  }

  absl::Status Decode(const std::string& encoded, uint64_t coordinates, uint64_t begin,
                      std::span<float> out) {
    auto decoder = codec_->Open(AsBytes(encoded), coordinates);
    return decoder.ok() ? (*decoder)->Read(begin, out) : decoder.status();
  }

  const std::unique_ptr<Codec> codec_ = *MakeCodec(GetParam().name);
};

TEST_P(CodecConformanceTest, DecodingGivesBackTheVectorWithinItsOwnNorm) {
  for (const size_t n : {0, 1, 2, 3, 7, 8, 255, 256, 1000, 65537}) {
    const std::vector<float> values = SomeValues(n);
    const std::string encoded = Encode(values);
    EXPECT_LE(encoded.size(), codec_->MaxEncodedBytes(n));
    std::vector<float> decoded(n, -7);
    ASSERT_TRUE(Decode(encoded, n, 0, decoded).ok()) << n;
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < n; ++i) {
      error += std::pow(decoded[i] - values[i], 2);
      norm += std::pow(values[i], 2);
    }
    // Even one bit per coordinate keeps more than that of a Gaussian vector.
    EXPECT_LE(error, n < 64 ? 4 * norm : norm) << n;
  }
}

TEST_P(CodecConformanceTest, EncodingIsDeterministic) {
  const std::vector<float> values = SomeValues(1000);
  EXPECT_EQ(Encode(values), Encode(values));
}

TEST_P(CodecConformanceTest, BlocksDecodeToTheSameBits) {
  constexpr size_t kCount = 1001;
  const std::string encoded = Encode(SomeValues(kCount));
  std::vector<float> whole(kCount);
  ASSERT_TRUE(Decode(encoded, kCount, 0, whole).ok());
  for (const size_t block : {1, 13, 256, 1000}) {
    std::vector<float> parts(kCount);
    for (size_t begin = 0; begin < kCount; begin += block) {
      const size_t count = std::min(block, kCount - begin);
      ASSERT_TRUE(Decode(encoded, kCount, begin, std::span(parts).subspan(begin, count)).ok());
    }
    EXPECT_EQ(std::memcmp(whole.data(), parts.data(), kCount * sizeof(float)), 0) << block;
  }
}

TEST_P(CodecConformanceTest, AZeroVectorStaysZero) {
  const std::vector<float> zeros(300, 0.0f);
  std::vector<float> decoded(300, 1.0f);
  ASSERT_TRUE(Decode(Encode(zeros), 300, 0, decoded).ok());
  EXPECT_EQ(decoded, zeros);
}

TEST_P(CodecConformanceTest, WrongSizesAreRefused) {
  const std::string encoded = Encode(SomeValues(100));
  std::vector<float> out(100);
  const std::string bad[] = {"", encoded.substr(0, encoded.size() - 1), encoded + "x",
                             encoded + encoded};
  for (const std::string& bytes : bad) {
    EXPECT_EQ(Decode(bytes, 100, 0, out).code(), absl::StatusCode::kInvalidArgument)
        << bytes.size();
  }
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  EXPECT_FALSE(Decode(encoded, kHuge, 0, out).ok());
  EXPECT_FALSE(Decode(encoded, kHuge / 4 + 1 + 100, 0, out).ok());
}

TEST_P(CodecConformanceTest, CoordinatesOutsideAreRefused) {
  const std::string encoded = Encode(SomeValues(100));
  std::vector<float> out(10);
  EXPECT_TRUE(Decode(encoded, 100, 90, out).ok());
  EXPECT_FALSE(Decode(encoded, 100, 91, out).ok());
  EXPECT_FALSE(Decode(encoded, 100, 101, std::span<float>()).ok());
  EXPECT_FALSE(Decode(encoded, 100, std::numeric_limits<uint64_t>::max() - 5, out).ok());
}

// Whoever folds validates what was decoded, so a codec must not turn NaN into a number.
TEST_P(CodecConformanceTest, NotFiniteValuesAreRefusedOrStayVisible) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> values = SomeValues(50);
    values[17] = bad;
    std::string encoded;
    if (!codec_->Encode(values, Context(), &encoded).ok()) continue;
    std::vector<float> decoded(50);
    if (!Decode(encoded, 50, 0, decoded).ok()) continue;
    EXPECT_TRUE(
        std::any_of(decoded.begin(), decoded.end(), [](float v) { return !std::isfinite(v); }));
  }
}

TEST_P(CodecConformanceTest, AnyBytesDecodeOrAreRefusedWithoutHarm) {
  Rng rng(RngKey{"codec", 0, "", "fuzz", 1});
  std::string encoded = Encode(SomeValues(64));
  std::vector<float> out(64);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = encoded;
    bytes[rng.UniformInt(bytes.size())] = static_cast<char>(rng.NextU32());
    if (i % 3 == 0) bytes.resize(rng.UniformInt(bytes.size() + 1));
    const absl::Status status = Decode(bytes, 64, 0, out);
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument) << status;
  }
}

INSTANTIATE_TEST_SUITE_P(Builtin, CodecConformanceTest, testing::ValuesIn(BuiltinCodecs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fedwatt
