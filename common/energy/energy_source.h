#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

// What a meter reads, as one running total: the part of a meter that differs from source to
// source. Windows, attribution and samples are SourceMeter's (source_meter.h).
namespace fedwatt {

// Since the source was made. Two of them subtracted are a window.
struct EnergyTotal {
  double energy_uj = 0;
  double variance_uj2 = 0;   // of what was read between readings, not of the sensor's calibration
  int64_t seen_us = 0;       // of the time passed, what the energy stands for
  uint64_t breaks = 0;       // moments across which nothing can be said
  std::string break_reason;  // of the last
  uint64_t gaps = 0;         // readings that failed, which costs `seen_us` alone
  std::string gap_reason;    // of the last
};

// One thread at a time. Restart and Read at a window's begin, Read in between at least every
// PollPeriodUs(), Read at its end.
class EnergySource {
 public:
  virtual ~EnergySource() = default;

  // Forgets the last reading: time until the next is not seen.
  virtual void Restart() = 0;

  // Reads, and adds what flowed since the last reading. `now_us` never goes back.
  virtual void Read(int64_t now_us) = 0;

  virtual const EnergyTotal& total() const = 0;

  // How often the hardware renews its figure. Windows below it say nothing.
  virtual int64_t UpdateIntervalUs() const = 0;

  virtual int64_t PollPeriodUs() const = 0;

  // Of a difference of two readings, by the counter's steps alone.
  virtual double ResolutionVarianceUj2() const { return 0; }
};

}  // namespace fedwatt
