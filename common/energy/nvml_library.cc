#include "common/energy/nvml_library.h"

#include <dlfcn.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

// Of nvml.h, which is not needed to build: handles are pointers, results are enums with 0 for
// success.
using Result = int;
using Device = void*;

struct Functions {
  Result (*init)() = nullptr;
  Result (*shutdown)() = nullptr;
  const char* (*error_string)(Result) = nullptr;
  Result (*count)(unsigned*) = nullptr;
  Result (*handle)(unsigned, Device*) = nullptr;
  Result (*total_energy)(Device, unsigned long long*) = nullptr;  // NOLINT(google-runtime-int)
};

class DlopenedNvml final : public NvmlLibrary {
 public:
  DlopenedNvml(void* library, Functions functions) : library_(library), call_(functions) {}
  ~DlopenedNvml() override {
    call_.shutdown();
    dlclose(library_);
  }
  DlopenedNvml(const DlopenedNvml&) = delete;
  DlopenedNvml& operator=(const DlopenedNvml&) = delete;

  absl::StatusOr<uint32_t> DeviceCount() override {
    unsigned count = 0;
    if (const Result result = call_.count(&count)) return Error("nvmlDeviceGetCount", result);
    return count;
  }

  absl::StatusOr<uint64_t> TotalEnergyMj(uint32_t index) override {
    Device device = nullptr;
    if (const Result result = call_.handle(index, &device)) {
      return Error("nvmlDeviceGetHandleByIndex", result);
    }
    unsigned long long energy_mj = 0;  // NOLINT(google-runtime-int): nvml.h's type
    if (const Result result = call_.total_energy(device, &energy_mj)) {
      return Error("nvmlDeviceGetTotalEnergyConsumption", result);
    }
    return energy_mj;
  }

 private:
  absl::Status Error(const char* function, Result result) const {
    return absl::UnavailableError(absl::StrCat(function, ": ", call_.error_string(result)));
  }

  void* const library_;
  const Functions call_;
};

template <typename Function>
bool Find(void* library, const char* name, Function* out) {
  *out = reinterpret_cast<Function>(dlsym(library, name));
  return *out != nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NvmlLibrary>> LoadNvml(const std::string& name) {
  void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return absl::NotFoundError(absl::StrCat("no NVIDIA driver here: ", dlerror()));
  }
  Functions call;
  const bool complete = Find(library, "nvmlInit_v2", &call.init) &&
                        Find(library, "nvmlShutdown", &call.shutdown) &&
                        Find(library, "nvmlErrorString", &call.error_string) &&
                        Find(library, "nvmlDeviceGetCount_v2", &call.count) &&
                        Find(library, "nvmlDeviceGetHandleByIndex_v2", &call.handle) &&
                        Find(library, "nvmlDeviceGetTotalEnergyConsumption", &call.total_energy);
  if (!complete) {
    dlclose(library);
    return absl::NotFoundError(
        absl::StrCat(name, " is too old: it lacks nvmlDeviceGetTotalEnergyConsumption"));
  }
  if (const Result result = call.init()) {
    const std::string words = call.error_string(result);
    dlclose(library);
    return absl::UnavailableError(absl::StrCat("nvmlInit: ", words));
  }
  return std::make_unique<DlopenedNvml>(library, call);
}

}  // namespace fedwatt
