#include "simulation/virtual_meter.h"

#include <cmath>

namespace fedwatt {

EnergyMeter::Window VirtualMeter::Begin(Phase phase) {
  open_[++last_] = {phase, options_.clock->MonotonicUs()};
  return last_;
}

double VirtualMeter::TransferUj(Phase phase, uint64_t bytes, int64_t begin_us,
                                int64_t duration_us) {
  Transfer transfer;
  (phase == Phase::kUpload ? transfer.bytes_up : transfer.bytes_down) = bytes;
  transfer.duration_us = duration_us;
  transfer.since_last_us = transfer_end_us_ < 0 ? -1 : begin_us - transfer_end_us_;
  transfer_end_us_ = begin_us + duration_us;
  return TransferJoules(PowerOf(options_.radio), transfer) * 1e6;
}

EnergySample VirtualMeter::End(Window window, uint64_t bytes) {
  EnergySample sample{.source = name(), .scope = scope()};
  sample.bytes = bytes;
  const auto it = open_.find(window);
  if (it == open_.end()) {
    sample.reason = "the window is not open";
    return sample;
  }
  const Start start = it->second;
  open_.erase(it);
  sample.phase = start.phase;
  sample.duration_us = options_.clock->MonotonicUs() - start.at_us;
  const bool transfer = start.phase == Phase::kDownload || start.phase == Phase::kUpload;
  // W x us are microjoules. A window without bytes, such as an assembly's, is no transfer.
  const double energy_uj = transfer && bytes > 0
                               ? TransferUj(start.phase, bytes, start.at_us, sample.duration_us)
                               : options_.train_w * static_cast<double>(sample.duration_us);
  if (options_.spent) {
    options_.spent(start.phase, std::llround(energy_uj), sample.duration_us);
  }
  sample.energy_uj = std::llround(energy_uj * options_.claim_factor);
  sample.sigma_uj = 0;
  sample.quality = quality();
  sample.coverage = 1;
  return sample;
}

}  // namespace fedwatt
