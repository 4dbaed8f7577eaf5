#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "client/sdk/device_conditions.h"
#include "common/base/clock.h"

// The condition of a Linux device, Android's included, from the files of its kernel:
//
//   charging, charge, capacity   /sys/class/power_supply: batteries of the system (not those of
//                                mice), several added up by their energy; Mains, USB and wireless
//   temperature                  /sys/class/thermal, and what batteries say of theirs: the hottest
//   load                         /proc/stat between two reads less the client's own CPU time;
//                                before there are two, /proc/loadavg
//   metered                      as its owner says; else a default route over a modem (rmnet,
//                                ccmni, or DEVTYPE=wwan) is metered and others are unknown
//
// A gauge that shows 0 or what cannot be (above 110 %) while the device runs is unknown, with a
// flaw that says so. So is a charge of which one battery's part is unknown.
namespace fedwatt {

struct LinuxConditionsOptions {
  std::string root = "/";        // of sys and proc
  const Clock* clock = nullptr;  // outlives it
  // Of the client and its trainers, in microseconds so far; null: all load is others'.
  std::function<int64_t()> own_cpu_time_us;
  std::optional<bool> metered;  // the owner's word
  // A file that holds "yes" or "no" (or 1 or 0), read every time; unreadable or anything else:
  // unknown. For hosts on which a program such as NetworkManager knows. Empty: none.
  std::string metered_file;
};

std::unique_ptr<DeviceConditions> MakeLinuxConditions(LinuxConditionsOptions options);

}  // namespace fedwatt
