// What EDEN's decoder does with bytes that no encoder wrote: refuses them, or stays finite.

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/codec/codec.h"
#include "common/codec/eden_format.h"
#include "common/codec/symbol_coder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

constexpr size_t kCount = 1000;  // pieces of 512, 256 and 232 coordinates
constexpr size_t kScales = kEdenHeaderBytes;

class EdenBytesTest : public testing::TestWithParam<const char*> {
 protected:
  EdenBytesTest() {
    Rng rng(RngKey{"eden-test", 0, "", "bytes", 1});
    std::vector<float> x(kCount);
    for (float& v : x) v = static_cast<float>(rng.Normal());
    EXPECT_TRUE(codec_->Encode(x, CodecContext{}, &encoded_).ok());
  }

  absl::Status Decode(const std::string& bytes, uint64_t coordinates = kCount) {
    return DecodeAll(*codec_, AsBytes(bytes), coordinates).status();
  }

  absl::Status DecodeWith(size_t at, uint8_t byte) {
    std::string bytes = encoded_;
    bytes[at] = static_cast<char>(byte);
    return Decode(bytes);
  }

  const std::unique_ptr<Codec> codec_ = *MakeCodec(GetParam());
  std::string encoded_;
};

void ExpectRefused(const absl::Status& status, const std::string& why) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(why));
}

TEST_P(EdenBytesTest, HeadersOfNoKnownFormAreRefused) {
  ExpectRefused(Decode(""), "the header has 19");
  ExpectRefused(Decode(encoded_.substr(0, kEdenHeaderBytes - 1)), "the header has 19");
  for (const int mode : {0, 3, 255}) ExpectRefused(DecodeWith(0, mode), "no such header");
  ExpectRefused(DecodeWith(1, 9), "no such header");
  for (const int slots : {0, 17, 255}) ExpectRefused(DecodeWith(2, slots), "no such header");
}

TEST_P(EdenBytesTest, CoordinatesThatTheBytesCannotHoldAreRefusedBeforeMemoryIsTaken) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  for (const uint64_t coordinates : {kMax, kMax - 65535, uint64_t{1} << 40}) {
    ExpectRefused(codec_->Open(AsBytes(encoded_), coordinates).status(), "scales");
  }
  EXPECT_EQ(codec_->MaxEncodedBytes(kMax), kMax);
  for (const uint64_t coordinates : {0, 1, 999, 1001, 2000}) {
    if (coordinates == 999 || coordinates == 1001) continue;  // padded alike
    EXPECT_FALSE(Decode(encoded_, coordinates).ok()) << coordinates;
  }
}

TEST_P(EdenBytesTest, ScalesOutOfRangeAreRefused) {
  for (const float scale : {NAN, INFINITY, -1.0f, 2e30f}) {
    std::string bytes = encoded_;
    std::memcpy(bytes.data() + kScales + sizeof(float), &scale, sizeof(scale));
    ExpectRefused(Decode(bytes), "eden: the scale of piece 1 is ");
  }
}

TEST_P(EdenBytesTest, MissingAndExcessBytesAreRefused) {
  for (size_t size = 0; size < encoded_.size(); ++size) {
    EXPECT_EQ(Decode(encoded_.substr(0, size)).code(), absl::StatusCode::kInvalidArgument) << size;
  }
  ExpectRefused(Decode(encoded_ + '\0'), "1 bytes behind the last stream");
}

// A scan that finds nothing wrong promises that every read will succeed.
TEST_P(EdenBytesTest, WhatAScanAcceptsReadsAsFiniteValuesWithinItsBound) {
  Rng rng(RngKey{"eden-test", 0, "", "flips", 1});
  int accepted = 0;
  std::vector<float> y(kCount);
  for (int i = 0; i < 4000; ++i) {
    std::string bytes = encoded_;
    for (uint64_t flips = rng.UniformInt(3) + 1; flips > 0; --flips) {
      bytes[rng.UniformInt(bytes.size())] ^= static_cast<char>(1 << rng.UniformInt(8));
    }
    auto decoder = codec_->Open(AsBytes(bytes), kCount);
    const absl::StatusOr<F32Stats> stats =
        decoder.ok() ? (*decoder)->Scan() : absl::StatusOr<F32Stats>(decoder.status());
    if (!stats.ok()) {
      ASSERT_EQ(stats.status().code(), absl::StatusCode::kInvalidArgument) << stats.status();
      continue;
    }
    ++accepted;
    ASSERT_TRUE((*decoder)->Read(0, y).ok());
    for (const float v : y) ASSERT_LE(std::fabs(v), stats->max_abs);
  }
  EXPECT_GT(accepted, 100);  // seeds and scales may be anything
}

INSTANTIATE_TEST_SUITE_P(Modes, EdenBytesTest,
                         testing::Values("eden", "eden:mode=lloyd_max,bits=2",
                                         "eden:mode=lloyd_max,bits=3"),
                         [](const auto& info) { return "Mode" + std::to_string(info.index); });

TEST(EdenExtremeBytesTest, TheGreatestScaleAndSymbolsDecodeToFiniteValues) {
  EdenHeader header;
  std::string bytes;
  AppendEdenHeader(header, &bytes);
  const float scale = kMaxEdenScale;
  bytes.append(reinterpret_cast<const char*>(&scale), sizeof(scale));
  const std::vector<int16_t> symbols(65536, std::numeric_limits<int16_t>::min());
  AppendSymbols(symbols, &bytes);
  const auto codec = *MakeCodec("eden");
  const auto y = DecodeAll(*codec, AsBytes(bytes), symbols.size());
  ASSERT_TRUE(y.ok()) << y.status();
  for (const float v : *y) ASSERT_TRUE(std::isfinite(v));
  auto decoder = *codec->Open(AsBytes(bytes), symbols.size());
  EXPECT_TRUE(std::isfinite(decoder->Scan()->max_abs));
}

TEST(EdenExtremeBytesTest, IndicesThatNameNoCentroidAreRefused) {
  EdenHeader header;
  header.mode = EdenMode::kLloydMax;
  header.bits = 3;
  std::string bytes;
  AppendEdenHeader(header, &bytes);
  bytes.append(sizeof(float), '\0');
  bytes += '\x20';
  bytes.append(32, '\x3f');  // two indices of 3 bits each
  const auto codec = *MakeCodec("eden");
  EXPECT_TRUE(DecodeAll(*codec, AsBytes(bytes), 64).ok());
  bytes.back() = '\x40';
  ExpectRefused(DecodeAll(*codec, AsBytes(bytes), 64).status(), "names no centroid");
}

}  // namespace
}  // namespace fedwatt
