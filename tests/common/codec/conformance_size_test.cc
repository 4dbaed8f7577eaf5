// Every codec takes a vector of 10^8 coordinates.

#include <cmath>
#include <memory>
#include <vector>

#include "common/base/bytes.h"
#include "common/codec/codec.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kCount = 10'000'000;
#else
constexpr size_t kCount = 100'000'000;
#endif

// Noise, and a spike now and then that holds most of the norm.
std::vector<float> SpikesInNoise() {
  constexpr size_t kSpikeEvery = 100'003;
  std::vector<float> values(kCount);
  uint32_t state = 1;
  for (float& v : values) {
    state = state * 1'664'525 + 1'013'904'223;
    v = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-41f;
  }
  for (size_t i = 0; i < kCount; i += kSpikeEvery) values[i] = i % 2 == 0 ? 1.0f : -1.5f;
  return values;
}

class CodecSizeTest : public testing::TestWithParam<CodecEntry> {};

TEST_P(CodecSizeTest, AHundredMillionCoordinatesComeBack) {
  const std::vector<float> values = SpikesInNoise();
  const auto codec = *MakeCodec(GetParam().name);
  std::string encoded;
  ASSERT_TRUE(codec->Encode(values, CodecContext{}, &encoded).ok());
  EXPECT_LE(encoded.size(), codec->MaxEncodedBytes(kCount));
  const auto decoder = *codec->Open(AsBytes(encoded), kCount);
  std::vector<float> block(size_t{1} << 18);
  double error = 0;
  double norm = 0;
  for (size_t begin = 0; begin < kCount; begin += block.size()) {
    const std::span<float> part(block.data(), std::min(block.size(), kCount - begin));
    ASSERT_TRUE(decoder->Read(begin, part).ok()) << begin;
    for (size_t i = 0; i < part.size(); ++i) {
      const double x = values[begin + i];
      const double difference = x - static_cast<double>(part[i]);
      error += difference * difference;
      norm += x * x;
    }
  }
  EXPECT_LE(error, 1.01 * norm);
}

INSTANTIATE_TEST_SUITE_P(Builtin, CodecSizeTest, testing::ValuesIn(BuiltinCodecs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fedwatt
