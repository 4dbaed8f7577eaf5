#pragma once

#include <cstdint>
#include <optional>

// What a device tells of its condition when it asks for work: buckets of at most 3 bits. Its own
// gate (battery floor, thermal, metered network) works on exact figures and never leaves it.
//
// `telemetry_level`, the user's consent, honoured on both sides of the wire:
//   0  nothing of this, and no cost estimates;
//   1  these buckets, and the totals of a round: joules, seconds, bytes, loss;
//   2, 3  no more than 1 today.
// A job has a level, too; what is used is the lower of both.
namespace fedwatt {

inline constexpr uint8_t kTelemetryBuckets = 8;  // of every figure

struct DeviceTelemetry {
  std::optional<bool> charging;     // on external power; a device without a battery always is
  std::optional<uint8_t> charge;    // of the battery's capacity
  std::optional<uint8_t> capacity;  // of the battery when full
  std::optional<uint8_t> link;      // upload speed
  std::optional<uint8_t> loss;      // mean per example of the latest model on its data
  bool operator==(const DeviceTelemetry&) const = default;
};

// What may leave a device, or be used of it, at that level.
DeviceTelemetry AtLevel(const DeviceTelemetry& telemetry, uint32_t level);

// To a bucket. Empty for what is no such figure: NaN, infinite, negative; a share above 1; a
// battery of no capacity.
std::optional<uint8_t> ChargeBucket(double share);         // eighths
std::optional<uint8_t> CapacityBucket(double watt_hours);  // edges 2.5, 5, 10, ... 160 Wh
std::optional<uint8_t> LinkBucket(double bytes_per_s);     // edges 16, 64, 256 KiB/s, ... 64 MiB/s
std::optional<uint8_t> LossBucket(double mean_loss);       // edges 1/8, 1/4, ... 8

// What a bucket stands for: the middle of an eighth; else, as the edges are powers, the geometric
// middle, where the outer buckets are taken to be as wide as their neighbours. Buckets beyond the
// last count as the last.
double ChargeOf(uint8_t bucket);
double CapacityWhOf(uint8_t bucket);
double LinkBytesPerSecondOf(uint8_t bucket);
double LossOf(uint8_t bucket);

}  // namespace fedwatt
