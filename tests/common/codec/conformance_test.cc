// What every codec promises about values; walks the registry, so that a new entry is tested once it
// is registered. conformance_bytes_test.cc has what it promises about bytes.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/codec/codec.h"
#include "gtest/gtest.h"
#include "tests/common/codec/codec_variants.h"
#include "tests/test_name.h"

namespace fedwatt {
namespace {

constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

CodecContext Context() {
  CodecContext context;
  context.job = "job";
  context.round = 3;
  context.client = "phone-7";
  return context;
}

Rng RngFor(const std::string& purpose) { return Rng(RngKey{"codec", 0, "", purpose, 1}); }

std::vector<float> Gaussian(size_t n) {
  Rng rng = RngFor("gaussian");
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.Normal());
  return values;
}

// Without a variance: a few values hold most of the norm.
std::vector<float> StudentT(size_t n) {
  constexpr double kFreedom = 1.5;
  Rng rng = RngFor("student-t");
  std::vector<float> values(n);
  for (float& v : values) {
    v = static_cast<float>(rng.Normal() / std::sqrt(rng.Gamma(kFreedom / 2) * 2 / kFreedom));
  }
  return values;
}

double SquaredNorm(std::span<const float> values) {
  double sum = 0;
  for (const float v : values) sum += static_cast<double>(v) * static_cast<double>(v);
  return sum;
}

double SquaredError(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  }
  return sum;
}

class CodecConformanceTest : public testing::TestWithParam<std::string> {
 protected:
  std::string Encode(const std::vector<float>& values) {
    std::string encoded = "replaced";
    const absl::Status status = codec_->Encode(values, Context(), &encoded);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_LE(encoded.size(), codec_->MaxEncodedBytes(values.size()));
    return encoded;
  }

  std::vector<float> Decode(const std::string& encoded, size_t n) {
    auto decoded = DecodeAll(*codec_, AsBytes(encoded), n);
    EXPECT_TRUE(decoded.ok()) << decoded.status();
    return decoded.ok() ? *std::move(decoded) : std::vector<float>(n, kInfinity);
  }

  // Of the squared norm. No codec loses more than all, but those that are unbiased at less than a
  // bit; short vectors vary more.
  double MostError(size_t n) const {
    const double vnmse = codec_->quality().vnmse;
    return n < 1000 ? std::max(4.0, 6 * vnmse) : std::max(1.01, 1.3 * vnmse);
  }

  void ExpectComesBack(const std::vector<float>& values, const std::string& what) {
    const size_t n = values.size();
    const std::vector<float> decoded = Decode(Encode(values), n);
    EXPECT_LE(SquaredError(values, decoded), MostError(n) * SquaredNorm(values))
        << what << ", " << n << " coordinates";
  }

  // Encodes and comes back within the error, or is refused as such.
  void ExpectComesBackOrIsRefused(const std::vector<float>& values, const std::string& what) {
    std::string encoded;
    const absl::Status status = codec_->Encode(values, Context(), &encoded);
    if (status.ok()) return ExpectComesBack(values, what);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << what;
    EXPECT_NE(status.message().find("coordinate 0 "), std::string::npos) << status;
  }

  const std::unique_ptr<Codec> codec_ = *MakeCodec(GetParam());
};

TEST_P(CodecConformanceTest, ItsSpecMakesTheSameCodec) {
  const std::string text = codec_->spec().ToString();
  const auto again = MakeCodec(text);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->spec(), codec_->spec());
  const std::vector<float> values = Gaussian(1000);
  std::string encoded;
  ASSERT_TRUE((*again)->Encode(values, Context(), &encoded).ok());
  EXPECT_EQ(encoded, Encode(values));
}

TEST_P(CodecConformanceTest, VectorsOfAnyLengthComeBack) {
  for (const size_t n : {0, 1, 2, 3, 7, 8, 63, 65, 255, 256, 1000, 4099, 65537}) {
    ExpectComesBack(Gaussian(n), "Gaussian");
    ExpectComesBack(StudentT(n), "Student t");
  }
}

TEST_P(CodecConformanceTest, QualityForetellsSizeAndErrorOfGaussianVectors) {
  const std::vector<float> values = Gaussian(1 << 20);
  const std::string encoded = Encode(values);
  const std::vector<float> decoded = Decode(encoded, values.size());
  const CodecQuality quality = codec_->quality();
  const double bits = 8.0 * static_cast<double>(encoded.size()) / static_cast<double>(1 << 20);
  EXPECT_NEAR(bits, quality.bits, 0.02 * quality.bits);
  EXPECT_NEAR(SquaredError(values, decoded) / SquaredNorm(values), quality.vnmse,
              0.02 * quality.vnmse);
}

TEST_P(CodecConformanceTest, EncodingIsDeterministic) {
  const std::vector<float> values = Gaussian(1000);
  EXPECT_EQ(Encode(values), Encode(values));
}

TEST_P(CodecConformanceTest, AZeroVectorStaysZero) {
  for (const size_t n : {1, 2, 300, 70'000}) {
    const std::vector<float> zeros(n, 0.0f);
    EXPECT_EQ(Decode(Encode(zeros), n), zeros);
  }
}

TEST_P(CodecConformanceTest, SpikesComeBack) {
  for (const size_t n : {1, 2, 3, 100, 1024, 70'001}) {
    for (const size_t at : {size_t{0}, n / 2, n - 1}) {
      std::vector<float> values(n);
      values[at] = -3.0f;
      ExpectComesBack(values, "one-hot");
      values[n / 3] += 3.0f;
      ExpectComesBack(values, "two spikes");
    }
  }
}

TEST_P(CodecConformanceTest, DenormalValuesComeBack) {
  std::vector<float> values = Gaussian(1000);
  for (float& v : values) v *= 1e-40f;
  ExpectComesBack(values, "denormal");
  values.assign(1000, std::numeric_limits<float>::denorm_min());
  ExpectComesBack(values, "least denormal");
  values[500] = 1.0f;
  ExpectComesBack(values, "denormal beside one");
}

TEST_P(CodecConformanceTest, HugeValuesComeBackFiniteOrAreRefused) {
  for (const float huge : {60'000.0f, 1e6f, 0x1p59f, 0x1p79f, 1e30f, kMax / 2, kMax}) {
    ExpectComesBackOrIsRefused({huge}, "one value");
    ExpectComesBackOrIsRefused({huge, -huge, 1, 0}, "few values");
    ExpectComesBackOrIsRefused(std::vector<float>(1000, huge), "huge everywhere");
  }
}

// Whoever folds validates what was decoded, so a codec must not turn NaN into a number.
TEST_P(CodecConformanceTest, NotFiniteValuesAreRefusedOrStayVisible) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    for (const size_t at : {0, 17, 49}) {
      std::vector<float> values = Gaussian(50);
      values[at] = bad;
      std::string encoded;
      const absl::Status status = codec_->Encode(values, Context(), &encoded);
      if (!status.ok()) {
        EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
        const std::string index = "coordinate " + std::to_string(at) + " ";
        EXPECT_NE(status.message().find(index), std::string::npos) << status;
        continue;
      }
      const std::vector<float> decoded = Decode(encoded, 50);
      EXPECT_TRUE(
          std::any_of(decoded.begin(), decoded.end(), [](float v) { return !std::isfinite(v); }));
      const auto stats = (*codec_->Open(AsBytes(encoded), 50))->Scan();
      EXPECT_TRUE(!stats.ok() || !stats->finite);
    }
  }
}

TEST_P(CodecConformanceTest, BlocksInAnyOrderDecodeToTheSameBits) {
  constexpr size_t kCount = 70'001;
  const std::string encoded = Encode(StudentT(kCount));
  const std::vector<float> whole = Decode(encoded, kCount);
  const auto same = [&](size_t begin, std::span<const float> part) {
    return std::memcmp(whole.data() + begin, part.data(), part.size_bytes()) == 0;
  };
  const auto decoder = *codec_->Open(AsBytes(encoded), kCount);
  std::vector<float> part;
  for (const size_t block : {13, 1023, 65'536}) {
    for (size_t begin = 0; begin < kCount; begin += block) {
      part.assign(std::min(block, kCount - begin), -1.0f);
      ASSERT_TRUE(decoder->Read(begin, part).ok());
      ASSERT_TRUE(same(begin, part)) << block << " at " << begin;
    }
  }
  for (size_t end = kCount; end > 0;) {
    const size_t begin = end > 5003 ? end - 5003 : 0;
    part.assign(end - begin, -1.0f);
    ASSERT_TRUE(decoder->Read(begin, part).ok());
    ASSERT_TRUE(same(begin, part)) << "backwards at " << begin;
    end = begin;
  }
  part.assign(1, -1.0f);
  for (const size_t at : {0, 70'000, 3, 65'536, 65'535, 3, 3}) {
    ASSERT_TRUE(decoder->Read(at, part).ok());
    ASSERT_TRUE(same(at, part)) << "alone at " << at;
  }
}

TEST_P(CodecConformanceTest, AScanAgreesWithReading) {
  const std::function<std::vector<float>(size_t)> makers[] = {
      Gaussian, StudentT, [](size_t n) { return std::vector<float>(n, 0.0f); }};
  for (const auto& make : makers) {
    for (const size_t n : {0, 1, 100, 70'001}) {
      const std::string encoded = Encode(make(n));
      const auto decoder = *codec_->Open(AsBytes(encoded), n);
      std::vector<float> before(n / 2);
      ASSERT_TRUE(decoder->Read(0, before).ok());
      const auto stats = decoder->Scan();
      ASSERT_TRUE(stats.ok()) << stats.status();
      std::vector<float> decoded(n);
      ASSERT_TRUE(decoder->Read(0, decoded).ok());
      float max_abs = 0;
      for (const float v : decoded) max_abs = std::max(max_abs, std::fabs(v));
      const double squares = SquaredNorm(decoded);
      EXPECT_TRUE(stats->finite);
      EXPECT_GE(stats->max_abs, max_abs);
      EXPECT_NEAR(stats->sum_squares, squares, 1e-4 * squares);
    }
  }
}

TEST_P(CodecConformanceTest, AnySpecOfTheNameOpensIt) {
  const std::vector<float> values = Gaussian(3000);
  const std::string encoded = Encode(values);
  const std::vector<float> decoded = Decode(encoded, values.size());
  for (const std::string& text : CodecVariants()) {
    const auto other = *MakeCodec(text);
    if (other->spec().name != codec_->spec().name) continue;
    const auto read = DecodeAll(*other, AsBytes(encoded), values.size());
    ASSERT_TRUE(read.ok()) << text << ": " << read.status();
    EXPECT_EQ(*read, decoded) << text;
  }
}

// The same update each round, then none; what an encoding leaves out is added to the next update.
TEST_P(CodecConformanceTest, ErrorFeedbackSendsEverythingInTime) {
  if (!codec_->needs_error_feedback()) return;
  constexpr size_t kCount = 500;
  constexpr int kRounds = 4000;
  const std::vector<float> update = Gaussian(kCount);
  std::vector<float> left(kCount);
  const auto round = [&](bool with_update) {
    std::vector<float> values = left;
    for (size_t i = 0; with_update && i < kCount; ++i) values[i] += update[i];
    const std::vector<float> decoded = Decode(Encode(values), kCount);
    for (size_t i = 0; i < kCount; ++i) left[i] = values[i] - decoded[i];
    return std::sqrt(SquaredNorm(left));
  };
  double early = 0;
  double late = 0;
  for (int i = 0; i < kRounds; ++i) (i < kRounds / 2 ? early : late) = round(true);
  EXPECT_LE(late, 1.2 * early + 0.01);  // does not grow
  EXPECT_LE(late, 0.1 * kRounds * std::sqrt(SquaredNorm(update)));
  double rest = late;
  for (int i = 0; i < 2 * kRounds && rest > late / 20; ++i) rest = round(false);
  EXPECT_LE(rest, late / 20);
}

INSTANTIATE_TEST_SUITE_P(Builtin, CodecConformanceTest, testing::ValuesIn(CodecVariants()),
                         [](const auto& info) { return TestName(info.param); });

}  // namespace
}  // namespace fedwatt
