// What every codec promises about bytes that no encoder wrote: they decode to something, or are
// refused; nothing is read or written out of bounds, and no memory is taken for what is not there.

#include <algorithm>
#include <cmath>
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

constexpr size_t kCount = 300;

class CodecBytesTest : public testing::TestWithParam<std::string> {
 protected:
  CodecBytesTest() {
    std::vector<float> values(kCount);
    for (float& v : values) v = static_cast<float>(rng_.Normal());
    EXPECT_TRUE(codec_->Encode(values, CodecContext{}, &encoded_).ok());
  }

  absl::Status Decode(const std::string& bytes, uint64_t coordinates, uint64_t begin,
                      std::span<float> out) {
    // Their own allocation, so that a sanitizer sees what is read beyond.
    const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
    auto decoder = codec_->Open(exact, coordinates);
    return decoder.ok() ? (*decoder)->Read(begin, out) : decoder.status();
  }

  void ExpectRefused(const std::string& bytes, uint64_t coordinates) {
    std::vector<float> out(std::min<uint64_t>(coordinates, kCount));
    EXPECT_EQ(Decode(bytes, coordinates, 0, out).code(), absl::StatusCode::kInvalidArgument)
        << bytes.size() << " bytes, " << coordinates << " coordinates";
  }

  // Decodes, or is refused; whichever, a scan says the same.
  void ExpectHarmless(const std::string& bytes, uint64_t coordinates) {
    const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
    auto decoder = codec_->Open(exact, coordinates);
    if (!decoder.ok()) {
      EXPECT_EQ(decoder.status().code(), absl::StatusCode::kInvalidArgument) << decoder.status();
      return;
    }
    std::vector<float> out(coordinates);
    const auto stats = (*decoder)->Scan();
    const absl::Status read = (*decoder)->Read(0, out);
    EXPECT_EQ(read.code(), stats.status().code()) << read << " after " << stats.status();
    if (!stats.ok()) {
      EXPECT_EQ(read.code(), absl::StatusCode::kInvalidArgument) << read;
    } else if (stats->finite) {
      for (const float v : out) ASSERT_LE(std::fabs(v), stats->max_abs);
    }
  }

  const std::unique_ptr<Codec> codec_ = *MakeCodec(GetParam());
  Rng rng_{RngKey{"codec", 0, "", "bytes", 1}};
  std::string encoded_;
};

TEST_P(CodecBytesTest, EveryTruncationIsRefused) {
  for (size_t size = 0; size < encoded_.size(); ++size) {
    ExpectRefused(encoded_.substr(0, size), kCount);
  }
}

TEST_P(CodecBytesTest, MoreBytesAreRefused) {
  ExpectRefused(encoded_ + '\0', kCount);
  ExpectRefused(encoded_ + 'x', kCount);
  ExpectRefused(encoded_ + encoded_, kCount);
}

TEST_P(CodecBytesTest, MoreCoordinatesThanWereEncodedAreRefused) {
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  for (const uint64_t coordinates : {uint64_t{0}, uint64_t{10 * kCount}, uint64_t{1} << 32,
                                     uint64_t{1} << 40, kHuge / 4 + 301, kHuge - 1, kHuge}) {
    ExpectRefused(encoded_, coordinates);
  }
  for (const uint64_t coordinates : {kCount - 1, kCount + 1}) ExpectHarmless(encoded_, coordinates);
}

TEST_P(CodecBytesTest, CoordinatesOutsideAreRefused) {
  std::vector<float> out(10);
  EXPECT_TRUE(Decode(encoded_, kCount, kCount - 10, out).ok());
  EXPECT_TRUE(Decode(encoded_, kCount, kCount, std::span<float>()).ok());
  EXPECT_FALSE(Decode(encoded_, kCount, kCount - 9, out).ok());
  EXPECT_FALSE(Decode(encoded_, kCount, kCount + 1, std::span<float>()).ok());
  EXPECT_FALSE(Decode(encoded_, kCount, std::numeric_limits<uint64_t>::max() - 5, out).ok());
}

TEST_P(CodecBytesTest, CorruptedBytesAreHarmless) {
  for (int i = 0; i < 5000; ++i) {
    std::string bytes = encoded_;
    const uint64_t changes = 1 + rng_.UniformInt(4);
    for (uint64_t c = 0; c < changes; ++c) {
      // Every other one near the front, where the headers are.
      const size_t range = c % 2 == 0 ? bytes.size() : std::min<size_t>(bytes.size(), 32);
      char& byte = bytes[rng_.UniformInt(range)];
      byte = static_cast<char>(i % 2 == 0 ? rng_.NextU32() : byte ^ (1 << rng_.UniformInt(8)));
    }
    if (i % 5 == 0) bytes.resize(rng_.UniformInt(bytes.size() + 1));
    if (i % 7 == 0) bytes.insert(rng_.UniformInt(bytes.size() + 1), 1, '\x7f');
    ExpectHarmless(bytes, kCount);
  }
}

TEST_P(CodecBytesTest, RandomBytesAreHarmless) {
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(rng_.UniformInt(64), '\0');
    for (char& byte : bytes) byte = static_cast<char>(rng_.NextU32());
    ExpectHarmless(bytes, rng_.UniformInt(kCount));
  }
}

// A few bytes that claim a vector of terabytes.
TEST_P(CodecBytesTest, BombsAreRefusedWithoutMemory) {
  std::vector<float> out(16);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = encoded_.substr(0, rng_.UniformInt(24));
    for (int c = 0; c < 3 && !bytes.empty(); ++c) {
      bytes[rng_.UniformInt(bytes.size())] = static_cast<char>(rng_.NextU32());
    }
    const absl::Status status = Decode(bytes, uint64_t{1} << 40, rng_.NextU32(), out);
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument) << status;
  }
}

INSTANTIATE_TEST_SUITE_P(Builtin, CodecBytesTest, testing::ValuesIn(CodecVariants()),
                         [](const auto& info) { return TestName(info.param); });

}  // namespace
}  // namespace fedwatt
