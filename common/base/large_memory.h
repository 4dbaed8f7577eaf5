#pragma once

// Memory for whole models. Its first touch costs a fault for each 4 KiB page, which for an array of
// tens of megabytes takes several times as long as filling it; with huge pages (Linux: transparent
// ones, on request) there are 500 times fewer. Where the system has none, all of this still works.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace fedwatt {

// Asks for huge pages under memory that nobody has touched yet: call it between reserve and
// resize. A hint; small arrays are left as they are. Thread-safe.
void PreferHugePages(const void* data, size_t bytes);

// `size` zeros, or as many copies of T().
template <typename T>
std::vector<T> LargeVector(size_t size) {
  std::vector<T> values;
  values.reserve(size);
  PreferHugePages(values.data(), size * sizeof(T));
  values.resize(size);
  return values;
}

// Zeroed memory that exists from its first touch on, and of which parts can be given back while
// the rest is in use. Movable. As thread-safe as plain memory.
class LargeMemory {
 public:
  // Parts smaller than this, and at its multiples only, stay until destruction.
  static constexpr size_t kReleaseBytes = size_t{2} << 20;

  // RESOURCE_EXHAUSTED: the system has no room for so many bytes.
  static absl::StatusOr<LargeMemory> Create(size_t bytes);

  LargeMemory() = default;
  LargeMemory(LargeMemory&& other) noexcept;
  LargeMemory& operator=(LargeMemory&& other) noexcept;
  ~LargeMemory();

  // Aligned to kReleaseBytes.
  std::span<uint8_t> bytes() const { return {data_, size_}; }

  // Whole parts of kReleaseBytes within [begin, end) become zeros without memory.
  void Release(size_t begin, size_t end);

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  uint8_t* mapping_ = nullptr;
  size_t mapped_ = 0;
};

}  // namespace fedwatt
