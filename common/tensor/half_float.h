#pragma once

// 16-bit floats as bits. Conversions to 16 bits round to nearest even; NaN stays NaN, overflow
// becomes infinity.

#include <cstdint>

namespace fedwatt {

float F16ToF32(uint16_t bits);
uint16_t F32ToF16(float value);

float BF16ToF32(uint16_t bits);
uint16_t F32ToBF16(float value);

}  // namespace fedwatt
