#pragma once

// The loops of fixed_point.h, dispatched to the best instruction set. Internal to common/tensor.

#include <cstddef>
#include <cstdint>

namespace fedwatt {

void FoldKernel(const float* x, double factor, int64_t* acc, size_t n);
void AddKernel(const int64_t* other, int64_t* acc, size_t n);

// `n` is a multiple of 16. Adds the square of x[i] to squares[i % 16]; returns the greatest |x[i]|
// as bits.
uint32_t ScanKernel(const float* x, double* squares, size_t n);

}  // namespace fedwatt
