#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace fedwatt {

// What a meter needs of NVIDIA's management library. Destruction shuts it down.
class NvmlLibrary {
 public:
  virtual ~NvmlLibrary() = default;
  virtual absl::StatusOr<uint32_t> DeviceCount() = 0;
  // Millijoules since the driver was loaded.
  virtual absl::StatusOr<uint64_t> TotalEnergyMj(uint32_t device) = 0;
};

using NvmlLoader = std::function<absl::StatusOr<std::unique_ptr<NvmlLibrary>>()>;

// By dlopen, so that no program depends on it. NOT_FOUND without the library or one of its
// functions, UNAVAILABLE with the library's words if it does not start.
absl::StatusOr<std::unique_ptr<NvmlLibrary>> LoadNvml(
    const std::string& library = "libnvidia-ml.so.1");

}  // namespace fedwatt
