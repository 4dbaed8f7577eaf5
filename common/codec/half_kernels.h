#pragma once

// The conversions of common/tensor/half_float.h for whole spans: the same bits, dispatched to the
// best instruction set. `out` is as long as `in`; neither needs alignment. Stateless and
// thread-safe.

#include <cstdint>
#include <span>

namespace fedwatt {

void F32ToF16(std::span<const float> in, uint16_t* out);
void F16ToF32(std::span<const uint16_t> in, float* out);
void F32ToBF16(std::span<const float> in, uint16_t* out);
void BF16ToF32(std::span<const uint16_t> in, float* out);

}  // namespace fedwatt
