#pragma once

#include <map>
#include <optional>
#include <utility>

#include "common/energy/energy_meter.h"

namespace fedwatt {

// The windows of one meter that are open, each with what the meter noted at its beginning. Numbers
// begin at 1 and are not used again. One thread at a time.
template <typename Start>
class OpenWindows {
 public:
  EnergyMeter::Window Open(Start start) {
    open_.emplace(++last_, std::move(start));
    return last_;
  }

  // Takes the window out. Nothing if it is not open; `sample` then says so.
  std::optional<Start> Close(EnergyMeter::Window window, EnergySample* sample) {
    auto node = open_.extract(window);
    if (!node.empty()) return std::move(node.mapped());
    sample->reason = "the window is not open";
    return std::nullopt;
  }

  bool empty() const { return open_.empty(); }

 private:
  EnergyMeter::Window last_ = 0;
  std::map<EnergyMeter::Window, Start> open_;
};

}  // namespace fedwatt
