#pragma once

// The loops of lattice.h over one block, for the best instruction set at hand.

#include <cstddef>
#include <cstdint>

namespace fedwatt {

// The greatest |x| as bits: for non-negative floats the order of bits is that of values.
uint32_t MaxMagnitudeKernel(const float* values, size_t n);

// values[i] = nearest multiple of `step` to values[i] + delta[i]; `delta` may be null. Returns
// false if a sum is not finite. step > 0.
bool RoundKernel(float step, const float* delta, float* values, size_t n);

// Returns false if a value is no multiple. step > 0.
bool ToMultiplesKernel(float step, const float* values, int16_t* multiples, size_t n);

void FromMultiplesKernel(float step, const int16_t* multiples, float* values, size_t n);

}  // namespace fedwatt
