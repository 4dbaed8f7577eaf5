#pragma once

// Between the C++ interface and the C one. Not part of the interface.

#include <fedwatt/fedwatt.h>
#include <fedwatt/status.h>
#include <fedwatt/tensor.h>

#include <algorithm>
#include <exception>
#include <string>

namespace fedwatt::detail {

inline Status ToStatus(int32_t code, const fedwatt_error& error) {
  if (code == FEDWATT_OK) return Status();
  return Status(static_cast<Code>(code), error.message);
}

inline int32_t Fail(fedwatt_error* error, const Status& status) {
  return fedwatt_fail(error, static_cast<int32_t>(status.code()), status.message().c_str());
}

inline TensorView ToView(const fedwatt_tensor& tensor) {
  return {tensor.data, static_cast<DType>(tensor.dtype),
          std::vector<int64_t>(tensor.shape, tensor.shape + tensor.dims)};
}

// Too many dimensions stay too many, so that the client refuses them.
inline fedwatt_tensor ToTensor(const TensorView& view) {
  fedwatt_tensor tensor{};
  tensor.data = view.data;
  tensor.dtype = static_cast<int32_t>(view.dtype);
  tensor.dims = static_cast<uint32_t>(view.shape.size());
  const size_t dims = std::min<size_t>(view.shape.size(), FEDWATT_MAX_DIMS);
  std::copy_n(view.shape.begin(), dims, tensor.shape);
  return tensor;
}

// Runs `body`, which gives a Status; nothing leaves it but a code.
template <typename Body>
int32_t Guard(fedwatt_error* error, Body body) noexcept {
  try {
    return Fail(error, body());
  } catch (const std::exception& thrown) {
    return fedwatt_fail(error, FEDWATT_INTERNAL, thrown.what());
  } catch (...) {
    return fedwatt_fail(error, FEDWATT_INTERNAL, "it threw something that is no std::exception");
  }
}

}  // namespace fedwatt::detail
