#include "common/tensor/update_sketch.h"

#include <cmath>

namespace fedwatt {
namespace {

// SplitMix64's finalizer (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
// OOPSLA'14).
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

void UpdateSketcher::Add(uint64_t begin, std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint64_t hash = Mix(begin + i);
    const auto value = static_cast<double>(values[i]);
    sums_[hash % kSketchSize] += (hash >> 63) != 0 ? value : -value;
  }
}

UpdateSketch UpdateSketcher::Finish() const {
  double squares = 0;
  for (const double sum : sums_) squares += sum * sum;
  if (!(squares > 0) || !std::isfinite(squares)) return {};
  const double scale = 1 / std::sqrt(squares);
  UpdateSketch sketch;
  for (const double sum : sums_) sketch.push_back(static_cast<float>(sum * scale));
  return sketch;
}

}  // namespace fedwatt
