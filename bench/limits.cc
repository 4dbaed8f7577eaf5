#include "bench/limits.h"

#include <cstring>

#include "common/base/bytes.h"
#include "common/crypto/sha256.h"

namespace fedwatt::bench {
namespace {

// Several times the last-level cache.
constexpr size_t kElements = size_t{1} << 24;
constexpr int kRepetitions = 9;

}  // namespace

__attribute__((optimize("O3"))) void Axpy(float a, const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] += a * x[i];
}

MachineLimits MeasureLimits(const Clock& clock) {
  std::vector<float> x(kElements, 1.0f);
  std::vector<float> y(kElements, 0.5f);
  const double bytes = static_cast<double>(kElements) * sizeof(float);
  MachineLimits limits;
  limits.memcpy_gb_s = 2e-9 * bytes / MedianSeconds(clock, kRepetitions, [&] {
                         std::memcpy(y.data(), x.data(), kElements * sizeof(float));
                         KeepMemory(y.data());
                       });
  limits.axpy_gb_s = 3e-9 * bytes / MedianSeconds(clock, kRepetitions, [&] {
                       Axpy(1e-6f, x.data(), y.data(), kElements);
                       KeepMemory(y.data());
                     });
  limits.sha256_gb_s =
      1e-9 * bytes / MedianSeconds(clock, 3, [&] {
        const Digest digest =
            Sha256Of({reinterpret_cast<const uint8_t*>(x.data()), kElements * sizeof(float)});
        KeepMemory(&digest);
      });
  return limits;
}

void AddLimits(const MachineLimits& limits, Table* table) {
  constexpr char kGroup[] = "this machine, one thread, out of cache";
  table->Add({.group = kGroup,
              .name = "memcpy (read + write)",
              .value = limits.memcpy_gb_s,
              .unit = "GB/s"});
  table->Add({.group = kGroup,
              .name = "axpy float32 (12 bytes an element)",
              .value = limits.axpy_gb_s,
              .unit = "GB/s"});
  table->Add(
      {.group = kGroup, .name = "SHA-256 (OpenSSL)", .value = limits.sha256_gb_s, .unit = "GB/s"});
}

}  // namespace fedwatt::bench
