// topk and stc: which coordinates they send, as what, and in how many bytes.

#include "common/codec/sparse_codec.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/codec/varint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

std::vector<float> Gaussian(size_t n) {
  Rng rng(RngKey{"sparse", 0, "", "gaussian", 1});
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.Normal());
  return values;
}

std::string Encode(const std::string& codec, const std::vector<float>& values) {
  std::string encoded;
  EXPECT_TRUE((*MakeCodec(codec))->Encode(values, CodecContext{}, &encoded).ok());
  return encoded;
}

std::vector<float> RoundTrip(const std::string& codec, const std::vector<float>& values) {
  return *DecodeAll(**MakeCodec(codec), AsBytes(Encode(codec, values)), values.size());
}

absl::Status Decode(const std::string& codec, const std::string& bytes, uint64_t coordinates) {
  auto decoder = (*MakeCodec(codec))->Open(AsBytes(bytes), coordinates);
  return decoder.ok() ? (*decoder)->Scan().status() : decoder.status();
}

void ExpectRefused(const absl::Status& status, const std::string& why) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(why));
}

TEST(FractionTest, TellsHowManyAreKept) {
  EXPECT_EQ(CoordinatesKept(0.01, 0), 0u);
  EXPECT_EQ(CoordinatesKept(0.01, 1), 1u);
  EXPECT_EQ(CoordinatesKept(0.01, 100), 1u);
  EXPECT_EQ(CoordinatesKept(0.01, 101), 2u);
  EXPECT_EQ(CoordinatesKept(0.07, 100), 7u);  // 0.07 * 100 > 7 in doubles
  EXPECT_EQ(CoordinatesKept(1, 77), 77u);
}

TEST(FractionTest, MustBeAShare) {
  for (const std::string name : {"topk", "stc"}) {
    const std::string prefix = absl::StrCat(name, ":fraction=");
    EXPECT_EQ((*MakeCodec(name))->spec().ToString(), absl::StrCat(prefix, "0.01"));
    const std::string long_one = absl::StrCat(prefix, "0.0123456789");
    EXPECT_EQ((*MakeCodec(long_one))->spec().ToString(), long_one);
    for (const std::string bad : {"0", "-0.1", "1.5", "nan", "few"}) {
      ExpectRefused(MakeCodec(absl::StrCat(prefix, bad)).status(), "fraction");
    }
    ExpectRefused(MakeCodec(absl::StrCat(name, ":share=0.1")).status(), "share");
  }
}

TEST(TopKTest, SendsTheLargestAsHalfFloats) {
  std::vector<float> values = Gaussian(1000);
  values[10] = 1e6f;
  values[20] = -70'000.7f;
  const std::vector<float> decoded = RoundTrip("topk:fraction=0.1", values);
  const auto sent = static_cast<size_t>(
      std::count_if(decoded.begin(), decoded.end(), [](float v) { return v != 0; }));
  EXPECT_EQ(sent, 100u);
  for (size_t i = 0; i < values.size(); ++i) {
    if (decoded[i] == 0) continue;
    EXPECT_NEAR(decoded[i], values[i], std::fabs(values[i]) * 0x1p-11) << i;
    EXPECT_GT(std::fabs(values[i]), 1.4f) << i;
  }
}

// What rounds up beyond float32 is rounded down.
TEST(TopKTest, ScalesFitAnyMagnitude) {
  for (const float x : {std::numeric_limits<float>::max(), 0x1.fffffep100f, 1.0f, 0x1.ffep-130f,
                        std::numeric_limits<float>::denorm_min()}) {
    const std::vector<float> decoded = RoundTrip("topk:fraction=1", {x, -x});
    EXPECT_NEAR(decoded[0], x, x * 0x1p-10);
    EXPECT_EQ(decoded[1], -decoded[0]);
    EXPECT_NE(decoded[0], 0);
  }
}

TEST(StcTest, SendsSignsAndTheMeanMagnitude) {
  const std::vector<float> values = {0.1f, -5, 0.2f, 3, 0, 4, -0.3f, 0, 0, 0};
  EXPECT_EQ(RoundTrip("stc:fraction=0.3", values),
            (std::vector<float>{0, -4, 0, 4, 0, 4, 0, 0, 0, 0}));
  EXPECT_EQ(RoundTrip("stc:fraction=0.2", values),
            (std::vector<float>{0, -4.5f, 0, 0, 0, 4.5f, 0, 0, 0, 0}));
}

// Sattler et al.: 0.01 (1 + 6 + 1 / (1 - 0.99^64)).
TEST(StcTest, TakesAsManyBitsAsThePaperSays) {
  constexpr size_t kCount = size_t{1} << 20;
  const auto bits = static_cast<double>(8 * Encode("stc:fraction=0.01", Gaussian(kCount)).size());
  EXPECT_NEAR(bits / kCount, 0.0911, 0.03 * 0.0911);
}

TEST(SparseDecoderTest, ScansExactly) {
  for (const std::string codec : {"topk:fraction=0.1", "stc:fraction=0.1"}) {
    const std::string encoded = Encode(codec, Gaussian(5000));
    const auto decoder = *(*MakeCodec(codec))->Open(AsBytes(encoded), 5000);
    std::vector<float> decoded(5000);
    ASSERT_TRUE(decoder->Read(0, decoded).ok());
    F32Scanner scanner;
    scanner.Add(decoded);
    const auto stats = decoder->Scan();
    ASSERT_TRUE(stats.ok());
    EXPECT_EQ(stats->max_abs, scanner.Stats().max_abs);
    EXPECT_EQ(stats->sum_squares, scanner.Stats().sum_squares);
  }
}

std::string Header(uint64_t coordinates, uint64_t count, int rice_bits) {
  std::string bytes;
  AppendSparseHeader({coordinates, count, rice_bits}, &bytes);
  return bytes;
}

TEST(SparseBytesTest, HeadersThatCannotBeAreRefused) {
  const std::string zeros(100, '\0');
  for (const std::string codec : {"topk", "stc"}) {
    ExpectRefused(Decode(codec, Header(99, 1, 6) + zeros, 100), "99 coordinates, not of 100");
    ExpectRefused(Decode(codec, Header(100, 1, 41) + zeros, 100), "Rice parameter 41");
    ExpectRefused(Decode(codec, Header(100, 101, 0) + zeros, 100), "101 values of 100");
    ExpectRefused(Decode(codec, Header(100, 90, 40) + zeros, 100), "90 values of 100");
    ExpectRefused(Decode(codec, Header(100, 1, 6), 100), codec);
    ExpectRefused(Decode(codec, std::string(20, '\xff'), 100), "header");
  }
}

// Ten bytes for 2^40 coordinates: nothing may be allocated for them.
TEST(SparseBytesTest, AVastVectorMayBeEmpty) {
  constexpr uint64_t kVast = uint64_t{1} << 40;
  const std::string topk = Header(kVast, 0, 0) + std::string(1, 127);
  const std::string stc = Header(kVast, 0, 0) + std::string(4, '\0');
  for (const auto& [codec, bytes] : {std::pair("topk", topk), std::pair("stc", stc)}) {
    const auto decoder = (*MakeCodec(codec))->Open(AsBytes(bytes), kVast);
    ASSERT_TRUE(decoder.ok()) << decoder.status();
    std::vector<float> out(3, 1.0f);
    EXPECT_TRUE((*decoder)->Read(kVast - 3, out).ok());
    EXPECT_EQ(out, std::vector<float>(3, 0.0f));
    EXPECT_TRUE((*decoder)->Scan().ok());
  }
}

TEST(SparseBytesTest, ValuesOutOfRangeAreRefused) {
  const auto topk = [](int exponent, uint16_t half) {
    std::string bytes = Header(100, 1, 6);
    bytes.push_back(static_cast<char>(exponent + 127));
    bytes.append(reinterpret_cast<const char*>(&half), sizeof(half));
    return bytes + std::string(1, '\0');
  };
  EXPECT_TRUE(Decode("topk", topk(0, 0x3c00), 100).ok());
  EXPECT_TRUE(Decode("topk", topk(113, 0x77ff), 100).ok());
  ExpectRefused(Decode("topk", topk(114, 0x3c00), 100), "exponent 114");
  ExpectRefused(Decode("topk", topk(-127, 0x3c00), 100), "exponent -127");
  for (const uint16_t half : {0x7800, 0x7c00, 0x7e00, 0xfc00}) {
    ExpectRefused(Decode("topk", topk(0, half), 100), "too large");
  }
  const auto stc = [](float magnitude, uint64_t count) {
    std::string bytes = Header(100, count, 6);
    bytes.append(reinterpret_cast<const char*>(&magnitude), sizeof(magnitude));
    return bytes + std::string(count, '\0');
  };
  EXPECT_TRUE(Decode("stc", stc(1.0f, 1), 100).ok());
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    ExpectRefused(Decode("stc", stc(bad, 1), 100), "magnitude");
  }
  ExpectRefused(Decode("stc", stc(1.0f, 0), 100), "magnitude");
}

TEST(VarintTest, ReadsWhatItWroteAndNothingLonger) {
  for (const uint64_t value : {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{300},
                               uint64_t{1} << 63, std::numeric_limits<uint64_t>::max()}) {
    std::string bytes;
    AppendVarint(value, &bytes);
    EXPECT_LE(bytes.size(), kMaxVarintBytes);
    ByteSpan rest = AsBytes(bytes);
    EXPECT_EQ(*TakeVarint(&rest), value);
    EXPECT_TRUE(rest.empty());
    ByteSpan cut = AsBytes(bytes).first(bytes.size() - 1);
    EXPECT_FALSE(TakeVarint(&cut).ok());
  }
  for (const std::string& bad : {std::string("\x80\x00", 2), std::string(10, '\xff'),
                                 std::string(9, '\xff') + '\x02', std::string(11, '\x80')}) {
    ByteSpan bytes = AsBytes(bad);
    EXPECT_FALSE(TakeVarint(&bytes).ok());
  }
}

}  // namespace
}  // namespace fedwatt
