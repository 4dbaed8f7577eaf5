#include "common/codec/bit_packing.h"

#include <algorithm>
#include <cstring>

namespace fedwatt {
namespace {

constexpr size_t kGroup = 8;

// Four 16-bit lanes of one uint64_t at a time: in two steps, neighbours move together or apart.
// The width is a template argument, so that shifts and masks are constants.
template <int kWidth>
struct Lanes {
  static constexpr uint64_t Repeat(int bits, int every) {
    uint64_t mask = 0;
    for (int at = 0; at < 64; at += every) mask |= ((uint64_t{1} << bits) - 1) << at;
    return mask;
  }
  static constexpr uint64_t kOnes = Repeat(kWidth, 16);
  static constexpr uint64_t kTwos = Repeat(2 * kWidth, 32);
  static constexpr uint64_t kFours = (uint64_t{1} << (4 * kWidth)) - 1;

  static uint64_t Join(uint64_t lanes) {
    lanes &= kOnes;
    lanes = (lanes | lanes >> (16 - kWidth)) & kTwos;
    return (lanes | lanes >> (32 - 2 * kWidth)) & kFours;
  }
  static uint64_t Split(uint64_t bits) {
    bits &= kFours;
    bits = (bits | bits << (32 - 2 * kWidth)) & kTwos;
    return (bits | bits << (16 - kWidth)) & kOnes;
  }
};

template <int kWidth>
void Pack(const int16_t* values, int drop, size_t count, uint8_t* out) {
  const auto group = [drop](const int16_t* eight) {
    uint64_t lanes[2];
    std::memcpy(lanes, eight, sizeof(lanes));
    return Lanes<kWidth>::Join(lanes[0] >> drop) | Lanes<kWidth>::Join(lanes[1] >> drop)
                                                       << (4 * kWidth);
  };
  size_t i = 0;
  for (; i + kGroup <= count; i += kGroup, out += kWidth) {
    const uint64_t bits = group(values + i);
    std::memcpy(out, &bits, kWidth);
  }
  if (i == count) return;
  int16_t last[kGroup] = {};
  std::copy(values + i, values + count, last);
  const uint64_t bits = group(last);
  std::memcpy(out, &bits, PackedBytes(count - i, kWidth));
}

template <int kWidth>
void Or(const uint8_t* packed, int lift, size_t count, int16_t* values) {
  const auto group = [lift](uint64_t bits, int16_t* eight) {
    uint64_t lanes[2];
    std::memcpy(lanes, eight, sizeof(lanes));
    lanes[0] |= Lanes<kWidth>::Split(bits) << lift;
    lanes[1] |= Lanes<kWidth>::Split(bits >> (4 * kWidth)) << lift;
    std::memcpy(eight, lanes, sizeof(lanes));
  };
  size_t i = 0;
  // Reading eight bytes where fewer belong to the group is much faster than gathering three.
  const size_t roomy = count < 64 / kWidth + kGroup ? 0 : count - 64 / kWidth - kGroup + 1;
  for (; i < roomy; i += kGroup, packed += kWidth) {
    uint64_t bits;
    std::memcpy(&bits, packed, sizeof(bits));
    group(bits, values + i);
  }
  for (; i + kGroup <= count; i += kGroup, packed += kWidth) {
    uint64_t bits = 0;
    std::memcpy(&bits, packed, kWidth);
    group(bits, values + i);
  }
  if (i == count) return;
  uint64_t bits = 0;
  std::memcpy(&bits, packed, PackedBytes(count - i, kWidth));
  int16_t last[kGroup] = {};
  std::copy(values + i, values + count, last);
  group(bits, last);
  std::copy(last, last + (count - i), values + i);
}

using PackFn = void (*)(const int16_t*, int, size_t, uint8_t*);
using OrFn = void (*)(const uint8_t*, int, size_t, int16_t*);
constexpr PackFn kPack[] = {nullptr, Pack<1>, Pack<2>, Pack<3>, Pack<4>,
                            Pack<5>, Pack<6>, Pack<7>, Pack<8>};
constexpr OrFn kOr[] = {nullptr, Or<1>, Or<2>, Or<3>, Or<4>, Or<5>, Or<6>, Or<7>, Or<8>};

}  // namespace

size_t PackedBytes(size_t count, int width) {
  if (width < 8) return (count * static_cast<size_t>(width) + 7) / 8;
  return count + (count * static_cast<size_t>(width - 8) + 7) / 8;
}

void AppendPacked(std::span<const int16_t> values, int width, std::string* out) {
  const size_t before = out->size();
  out->resize(before + PackedBytes(values.size(), width));
  auto* at = reinterpret_cast<uint8_t*>(out->data()) + before;
  int drop = 0;
  if (width >= 8) {
    Pack<8>(values.data(), 0, values.size(), at);
    at += values.size();
    drop = 8;
  }
  const PackFn rest = kPack[width - drop];
  if (rest != nullptr) rest(values.data(), drop, values.size(), at);
}

void OrPacked(std::span<const uint8_t> packed, int width, std::span<int16_t> values) {
  const uint8_t* at = packed.data();
  int lift = 0;
  if (width >= 8) {
    Or<8>(at, 0, values.size(), values.data());
    at += values.size();
    lift = 8;
  }
  const OrFn rest = kOr[width - lift];
  if (rest != nullptr) rest(at, lift, values.size(), values.data());
}

}  // namespace fedwatt
