#pragma once

// The loops of `eden` around the rotation, dispatched to the best instruction set; all give the
// same bits. `n` is a multiple of 16. Sums run in 16 lanes (index mod 16): floats within 256
// coordinates, doubles beyond.

#include <cstddef>
#include <cstdint>

namespace fedwatt {

// q[i] = r[i] * gain, rounded to the nearest, to even when halfway. Returns the sum of
// q[i] * (r[i] * gain).
double QuantizeKernel(const float* r, float gain, int16_t* q, size_t n);

void ToFloatKernel(const int16_t* q, float* out, size_t n);

// The sum of a[i] * b[i].
double DotKernel(const float* a, const float* b, size_t n);

}  // namespace fedwatt
