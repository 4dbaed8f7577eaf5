#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bench/table.h"
#include "common/base/clock.h"

// What this machine can do at best, on one thread, out of cache: the floors of the figures.
namespace fedwatt::bench {

struct MachineLimits {
  double memcpy_gb_s = 0;  // traffic: a byte read and a byte written are two
  double axpy_gb_s = 0;    // float32 y += a x: 12 bytes an element
  double sha256_gb_s = 0;  // bytes hashed
};

// y += a x
void Axpy(float a, const float* x, float* y, size_t n);

MachineLimits MeasureLimits(const Clock& clock);

void AddLimits(const MachineLimits& limits, Table* table);

// The median of the times that `body` takes, in seconds, after one run that does not count.
template <typename Body>
double MedianSeconds(const Clock& clock, int repetitions, Body&& body) {
  body();
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    const int64_t begin_us = clock.MonotonicUs();
    body();
    seconds.push_back(static_cast<double>(clock.MonotonicUs() - begin_us) * 1e-6);
  }
  return Median(std::move(seconds));
}

// Makes the compiler believe that the memory behind `pointer` is read.
inline void KeepMemory(const void* pointer) { asm volatile("" : : "r"(pointer) : "memory"); }

}  // namespace fedwatt::bench
