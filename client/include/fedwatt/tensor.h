#pragma once

// Views of numbers that live elsewhere.

#include <fedwatt/fedwatt.h>

#include <cstdint>
#include <span>
#include <vector>

namespace fedwatt {

enum class DType {
  kF32 = FEDWATT_F32,
  kF64 = FEDWATT_F64,
  kF16 = FEDWATT_F16,
  kBF16 = FEDWATT_BF16,
  kI64 = FEDWATT_I64,
  kI32 = FEDWATT_I32,
  kI16 = FEDWATT_I16,
  kI8 = FEDWATT_I8,
  kU8 = FEDWATT_U8,
  kBool = FEDWATT_BOOL,
};

// Row-major, little-endian, without padding; at most FEDWATT_MAX_DIMS dimensions.
struct TensorView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // empty: a scalar

  uint64_t Elements() const {
    uint64_t elements = 1;
    for (const int64_t size : shape) elements *= static_cast<uint64_t>(size);
    return elements;
  }
  // The elements as T, which must be the type of `dtype`.
  template <typename T>
  std::span<const T> As() const {
    return {static_cast<const T*>(data), static_cast<size_t>(Elements())};
  }
};

// Some examples. The first dimension of x and y is `examples`. y is int64 for classes and
// sequences, float32 like the model's output for regressions.
struct Batch {
  uint64_t examples = 0;
  TensorView x;
  TensorView y;
};

}  // namespace fedwatt
