#include "common/model/telemetry.h"

#include <algorithm>
#include <cmath>

namespace fedwatt {
namespace {

// Edge i is first * ratio^i; bucket b lies below edge b, the last one above all.
struct Edges {
  double first;
  double ratio;
  double root;  // of the ratio
};

constexpr double kRootOf2 = 1.4142135623730951;
constexpr Edges kCapacityWh = {2.5, 2, kRootOf2};
constexpr Edges kLink = {16 * 1024, 4, 2};
constexpr Edges kLoss = {0.125, 2, kRootOf2};

uint8_t BucketOf(const Edges& edges, double value) {
  uint8_t bucket = 0;
  for (double edge = edges.first; bucket + 1 < kTelemetryBuckets && value >= edge; ++bucket) {
    edge *= edges.ratio;
  }
  return bucket;
}

double MiddleOf(const Edges& edges, uint8_t bucket) {
  double middle = edges.first / edges.root;
  for (int i = 0; i < std::min<int>(bucket, kTelemetryBuckets - 1); ++i) middle *= edges.ratio;
  return middle;
}

bool IsFigure(double value) { return std::isfinite(value) && value >= 0; }

}  // namespace

DeviceTelemetry AtLevel(const DeviceTelemetry& telemetry, uint32_t level) {
  return level == 0 ? DeviceTelemetry() : telemetry;
}

std::optional<uint8_t> ChargeBucket(double share) {
  if (!IsFigure(share) || share > 1) return std::nullopt;
  return std::min<uint8_t>(static_cast<uint8_t>(share * kTelemetryBuckets), kTelemetryBuckets - 1);
}

std::optional<uint8_t> CapacityBucket(double watt_hours) {
  if (!IsFigure(watt_hours) || watt_hours == 0) return std::nullopt;
  return BucketOf(kCapacityWh, watt_hours);
}

std::optional<uint8_t> LinkBucket(double bytes_per_s) {
  if (!IsFigure(bytes_per_s)) return std::nullopt;
  return BucketOf(kLink, bytes_per_s);
}

std::optional<uint8_t> LossBucket(double mean_loss) {
  if (!IsFigure(mean_loss)) return std::nullopt;
  return BucketOf(kLoss, mean_loss);
}

double ChargeOf(uint8_t bucket) {
  return (std::min<int>(bucket, kTelemetryBuckets - 1) + 0.5) / kTelemetryBuckets;
}

double CapacityWhOf(uint8_t bucket) { return MiddleOf(kCapacityWh, bucket); }

double LinkBytesPerSecondOf(uint8_t bucket) { return MiddleOf(kLink, bucket); }

double LossOf(uint8_t bucket) { return MiddleOf(kLoss, bucket); }

}  // namespace fedwatt
