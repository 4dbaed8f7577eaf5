#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

// Vectors to encode: the same in every run and on every machine (up to libm).
namespace fedwatt::bench {

std::vector<float> Gaussian(size_t coordinates, uint64_t seed = 1);
// Student's t with 1.5 degrees of freedom: no variance.
std::vector<float> HeavyTailed(size_t coordinates);
std::vector<float> OneHot(size_t coordinates, size_t at);

}  // namespace fedwatt::bench
