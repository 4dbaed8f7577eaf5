#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace fedwatt::bench {

// `size` values that begin a cache line, as large allocations of the programs do: where a loop's
// data happens to lie would otherwise change its speed by a third.
template <typename T>
class AlignedArray {
 public:
  explicit AlignedArray(size_t size, T value = T{})
      : data_(static_cast<T*>(::operator new(size * sizeof(T), kAlignment))), size_(size) {
    std::fill_n(data_.get(), size, value);
  }

  std::span<T> span() { return {data_.get(), size_}; }
  std::span<const T> span() const { return {data_.get(), size_}; }
  T* data() { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(T* data) const { ::operator delete(data, kAlignment); }
  };

  std::unique_ptr<T[], Free> data_;
  size_t size_;
};

}  // namespace fedwatt::bench
