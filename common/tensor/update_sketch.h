#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace fedwatt {

// In which direction an update goes, in few numbers: a count sketch (Charikar, Chen, Farach-Colton:
// "Finding frequent items in data streams", ICALP'02) of unit length. Coordinate i is added to
// bucket h(i) with sign s(i), both fixed for ever, so that sketches of different clients and rounds
// compare: their inner products are about those of the updates' directions. The same update gives
// the same bits on every machine.
inline constexpr size_t kSketchSize = 64;
using UpdateSketch = std::vector<float>;  // kSketchSize numbers, or empty: none is known

class UpdateSketcher {
 public:
  // Coordinates begin, begin + 1, ...; in rising order, each once.
  void Add(uint64_t begin, std::span<const float> values);
  // Empty where the update is zero or not finite.
  UpdateSketch Finish() const;

 private:
  std::array<double, kSketchSize> sums_{};
};

}  // namespace fedwatt
