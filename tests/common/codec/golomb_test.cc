#include "common/codec/golomb.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

std::vector<uint64_t> RandomPositions(uint64_t coordinates, double density, Rng* rng) {
  std::vector<uint64_t> positions;
  for (uint64_t i = 0; i < coordinates; ++i) {
    if (rng->Uniform01() < density) positions.push_back(i);
  }
  return positions;
}

std::string Write(const std::vector<uint64_t>& positions, int rice_bits) {
  std::string out;
  GapWriter writer(rice_bits, &out);
  for (const uint64_t position : positions) writer.Add(position);
  writer.Finish();
  return out;
}

TEST(RiceBitsTest, IsTheFormulaOfThePaper) {
  for (const double p : {0.3, 0.1, 0.03, 0.01, 0.001, 1e-5}) {
    const double formula =
        1 + std::floor(std::log2(std::log(std::numbers::phi - 1) / std::log(1 - p)));
    EXPECT_EQ(RiceBits(static_cast<uint64_t>(std::llround(p * 1e6)), 1'000'000), formula) << p;
  }
  EXPECT_EQ(RiceBits(1, 100), 6);
}

TEST(RiceBitsTest, IsThereForEveryDensity) {
  EXPECT_EQ(RiceBits(0, 0), 0);
  EXPECT_EQ(RiceBits(0, 100), 0);
  EXPECT_EQ(RiceBits(100, 100), 0);
  EXPECT_EQ(RiceBits(1, std::numeric_limits<uint64_t>::max()), kMaxRiceBits);
}

TEST(GapTest, PositionsComeBack) {
  Rng rng(RngKey{"golomb", 0, "", "positions", 1});
  for (const double density : {1.0, 0.5, 0.1, 0.003}) {
    const std::vector<uint64_t> positions = RandomPositions(10'000, density, &rng);
    for (const int rice_bits : {0, 1, 5, 13, 40}) {
      const std::string bytes = Write(positions, rice_bits);
      GapReader reader(AsBytes(bytes), rice_bits, 10'000);
      for (const uint64_t position : positions) {
        const auto read = reader.Next();
        ASSERT_TRUE(read.ok()) << read.status();
        ASSERT_EQ(*read, position);
      }
      EXPECT_TRUE(reader.Finish().ok());
    }
  }
}

TEST(GapTest, FarPositionsComeBack) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  const std::vector<uint64_t> positions = {0, 1, uint64_t{1} << 41, uint64_t{1} << 47};
  const std::string bytes = Write(positions, 40);
  GapReader reader(AsBytes(bytes), 40, kMax);
  for (const uint64_t position : positions) EXPECT_EQ(*reader.Next(), position);
}

TEST(GapTest, BitsStandBetweenPositions) {
  std::string bytes;
  GapWriter writer(3, &bytes);
  for (uint64_t i = 0; i < 100; ++i) {
    writer.Add(i * i);
    writer.AddBit(i % 3 == 0);
  }
  writer.Finish();
  GapReader reader(AsBytes(bytes), 3, 10'000);
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(*reader.Next(), i * i);
    EXPECT_EQ(*reader.NextBit(), i % 3 == 0);
  }
  EXPECT_TRUE(reader.Finish().ok());
}

// Gap 9 with b = 2: two ones, a zero, then 01, all from the low end: 0b01011.
TEST(GapTest, BitsAreAsDocumented) {
  EXPECT_EQ(Write({9}, 2), std::string(1, 0b01011));
  EXPECT_EQ(Write({}, 2), "");
}

TEST(GapTest, PositionsBehindTheEndAreRefused) {
  const std::string bytes = Write({5, 100}, 4);
  GapReader reader(AsBytes(bytes), 4, 100);
  EXPECT_EQ(*reader.Next(), 5u);
  EXPECT_EQ(reader.Next().status().code(), absl::StatusCode::kInvalidArgument);
  // A quotient of which a shift would overflow.
  const std::string ones = std::string((1 << 21) + 1, '\xff') + std::string(16, '\0');
  GapReader far(AsBytes(ones), kMaxRiceBits, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(far.Next().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(GapTest, OnesWithoutEndAreRefused) {
  const std::string ones(100, '\xff');
  GapReader reader(AsBytes(ones), 0, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(reader.Next().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(GapTest, WhatIsLeftBehindTheLastPositionIsRefused) {
  for (const std::string& more : {std::string(1, '\0'), std::string(1, '\1')}) {
    const std::string bytes = Write({9}, 2) + more;
    GapReader reader(AsBytes(bytes), 2, 100);
    EXPECT_EQ(*reader.Next(), 9u);
    EXPECT_FALSE(reader.Finish().ok());
  }
  const std::string bits(1, static_cast<char>(0b10001011));
  GapReader reader(AsBytes(bits), 2, 100);
  EXPECT_EQ(*reader.Next(), 9u);
  EXPECT_FALSE(reader.Finish().ok());
}

TEST(MaxGapBitsTest, BoundsEveryNumberOfPositionsWhereverTheyAre) {
  constexpr uint64_t kCoordinates = 2000;
  for (const uint64_t most : {1, 20, 300, 763, 764, 1200, 2000}) {
    const uint64_t bound = MaxGapBits(most, kCoordinates);
    for (uint64_t count = 1; count <= most; count += 1 + most / 50) {
      const int bits = RiceBits(count, kCoordinates);
      std::vector<uint64_t> last(count);  // all at the end: the longest quotients
      for (uint64_t i = 0; i < count; ++i) last[i] = kCoordinates - count + i;
      EXPECT_LE(8 * Write(last, bits).size(), bound + 7) << count << " of " << most;
      std::vector<uint64_t> spread(count);
      for (uint64_t i = 0; i < count; ++i) spread[i] = (i + 1) * kCoordinates / count - 1;
      EXPECT_LE(8 * Write(spread, bits).size(), bound + 7) << count << " of " << most;
    }
  }
  EXPECT_EQ(MaxGapBits(std::numeric_limits<uint64_t>::max(), std::numeric_limits<uint64_t>::max()),
            std::numeric_limits<uint64_t>::max());
}

}  // namespace
}  // namespace fedwatt
