#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "server/driver/plugins.h"
#include "tests/server/plugins/example_specs.h"

namespace fedwatt {

// An update in memory. Can be told to fail from its n-th read on.
struct MemoryUpdate final : UpdateView {
  std::vector<float> delta;
  std::vector<uint8_t> buffers;
  uint64_t declared_weight = 1;
  double clip = 1;
  int reads_before_failure = -1;  // negative: never fails
  int failing_reads = 1'000'000;  // so many, then all is well again
  mutable std::atomic<int> reads{0};

  uint64_t weight() const override { return declared_weight; }
  double clip_factor() const override { return clip; }
  absl::Status ReadDelta(uint64_t begin, std::span<float> out) const override {
    const int read = reads++;
    if (reads_before_failure >= 0 && read >= reads_before_failure &&
        read < reads_before_failure + failing_reads) {
      return absl::UnavailableError("the disk is tired");
    }
    std::copy_n(delta.begin() + static_cast<ptrdiff_t>(begin), out.size(), out.begin());
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<uint8_t>> ReadBuffers() const override { return buffers; }
};

constexpr uint64_t kCoordinates = 200'000;  // some blocks and a rest
constexpr size_t kBufferBytes = 2 * sizeof(float) + sizeof(int64_t);

inline std::vector<uint8_t> BatchNormBuffers(float mean, float variance, int64_t count) {
  std::vector<uint8_t> bytes(kBufferBytes);
  std::memcpy(bytes.data(), &mean, sizeof(mean));
  std::memcpy(bytes.data() + 4, &variance, sizeof(variance));
  std::memcpy(bytes.data() + 8, &count, sizeof(count));
  return bytes;
}

inline AggregatorConfig TestConfig(const std::string& name, uint32_t max_reports = 16) {
  AggregatorConfig config;
  config.manifest = *Manifest::Create({
      {"weight", DType::kF32, {199'991}, TensorRole::kTrainable},
      {"bn.running", DType::kF32, {2}, TensorRole::kBuffer},
      {"bn.count", DType::kI64, {}, TensorRole::kBuffer},
      {"bias", DType::kF32, {9}, TensorRole::kTrainable},
  });
  config.layout = *MakeUpdateLayout(config.manifest, {}, BufferMode::kAverage);
  config.max_abs_delta = 4;
  config.max_weight = 1000;
  config.max_reports = max_reports;
  config.plugin = ExampleSpec(name);
  return config;
}

inline std::unique_ptr<Aggregator> NewAggregator(const AggregatorConfig& config) {
  return *Plugins::Builtin().MakeAggregator(config);
}

// Values over many magnitudes, with both bounds, zeros and denormals among them.
inline std::unique_ptr<MemoryUpdate> RandomUpdate(uint64_t seed) {
  Rng rng(RngKey{"", seed, "", "test-update", 0});
  auto update = std::make_unique<MemoryUpdate>();
  update->delta.resize(kCoordinates);
  for (float& x : update->delta) {
    const double magnitude = std::ldexp(rng.Uniform01(), 2 - static_cast<int>(rng.UniformInt(30)));
    x = static_cast<float>(rng.UniformInt(2) == 0 ? magnitude : -magnitude);
  }
  update->delta[0] = 4;
  update->delta[kCoordinates - 1] = -4;
  update->delta[1] = seed % 2 == 0 ? 0.0f : -0.0f;
  update->delta[2] = 1e-42f;
  update->declared_weight = 1 + rng.UniformInt(1000);
  if (seed % 3 == 0) update->clip = 0.1 + 0.9 * rng.Uniform01();
  update->buffers =
      BatchNormBuffers(static_cast<float>(rng.Normal()), static_cast<float>(rng.Uniform01()),
                       static_cast<int64_t>(rng.UniformInt(1000)));
  return update;
}

inline std::vector<std::unique_ptr<MemoryUpdate>> RandomUpdates(size_t count) {
  std::vector<std::unique_ptr<MemoryUpdate>> updates;
  for (size_t i = 0; i < count; ++i) updates.push_back(RandomUpdate(i));
  return updates;
}

inline bool SameBits(const AggregateResult& a, const AggregateResult& b) {
  return a.mean_delta.size() == b.mean_delta.size() && a.total_weight == b.total_weight &&
         a.updates == b.updates && a.buffers == b.buffers &&
         std::memcmp(a.mean_delta.data(), b.mean_delta.data(),
                     a.mean_delta.size() * sizeof(float)) == 0;
}

}  // namespace fedwatt
