#include "common/base/large_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace fedwatt {
namespace {

constexpr size_t kPart = LargeMemory::kReleaseBytes;

bool AllAre(std::span<const uint8_t> bytes, uint8_t value) {
  return std::all_of(bytes.begin(), bytes.end(), [value](uint8_t byte) { return byte == value; });
}

TEST(LargeVectorTest, HoldsZerosWhateverItsSize) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{3'000'001}}) {
    const std::vector<float> values = LargeVector<float>(size);
    ASSERT_EQ(values.size(), size);
    EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](float v) { return v == 0; })) << size;
  }
}

TEST(LargeMemoryTest, BeginsAlignedAndZeroed) {
  const auto memory = LargeMemory::Create(2 * kPart + 5);
  ASSERT_TRUE(memory.ok()) << memory.status();
  ASSERT_EQ(memory->bytes().size(), 2 * kPart + 5);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->bytes().data()) % kPart, 0u);
  EXPECT_TRUE(AllAre(memory->bytes(), 0));
}

TEST(LargeMemoryTest, NoBytesAreNoMemory) {
  const auto memory = LargeMemory::Create(0);
  ASSERT_TRUE(memory.ok());
  EXPECT_TRUE(memory->bytes().empty());
}

TEST(LargeMemoryTest, WhatIsReleasedIsZeroAndTheRestStays) {
  auto memory = LargeMemory::Create(3 * kPart + 100);
  ASSERT_TRUE(memory.ok());
  std::memset(memory->bytes().data(), 7, memory->bytes().size());
  // From within the first part: only the second one lies wholly in the range.
  memory->Release(1, 2 * kPart + 1);
  EXPECT_TRUE(AllAre(memory->bytes().first(kPart), 7));
  EXPECT_TRUE(AllAre(memory->bytes().subspan(kPart, kPart), 0));
  EXPECT_TRUE(AllAre(memory->bytes().subspan(2 * kPart), 7));
}

TEST(LargeMemoryTest, ReleasesNothingBeyondItsEnd) {
  auto memory = LargeMemory::Create(kPart + 100);
  ASSERT_TRUE(memory.ok());
  std::memset(memory->bytes().data(), 7, memory->bytes().size());
  memory->Release(0, std::numeric_limits<size_t>::max());
  EXPECT_TRUE(AllAre(memory->bytes().first(kPart), 0));
  EXPECT_TRUE(AllAre(memory->bytes().subspan(kPart), 7));
}

TEST(LargeMemoryTest, MovesItsBytes) {
  auto memory = LargeMemory::Create(100);
  ASSERT_TRUE(memory.ok());
  const uint8_t* const before = memory->bytes().data();
  LargeMemory other;
  other = *std::move(memory);
  EXPECT_EQ(other.bytes().data(), before);
  EXPECT_EQ(other.bytes().size(), 100u);
}

TEST(LargeMemoryTest, SaysWhenThereIsNoRoom) {
  for (const size_t bytes :
       {std::numeric_limits<size_t>::max() / 2, std::numeric_limits<size_t>::max()}) {
    EXPECT_EQ(LargeMemory::Create(bytes).status().code(), absl::StatusCode::kResourceExhausted);
  }
}

}  // namespace
}  // namespace fedwatt
