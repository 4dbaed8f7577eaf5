#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

// What a transfer costs a phone's radio, by the model of Huang et al., "A Close Examination of
// Performance and Power Characteristics of 4G LTE Networks" (MobiSys 2012):
//
//   P = a_up * (Mbit/s up) + a_down * (Mbit/s down) + base         while it transfers
//
// plus the promotion to a connected state before, and the tail in which the radio stays there
// after. Phones of another year differ: it is an estimate, to compare plans by, and to show why
// few large transfers cost less than many small ones.
namespace fedwatt {

enum class RadioLink { kWifi = 1, kLte, k3g, kEthernet };

// "wifi", "lte", "3g", "ethernet"; INVALID_ARGUMENT with the nearest for another.
absl::StatusOr<RadioLink> ParseRadioLink(const std::string& name);
const char* RadioLinkName(RadioLink link);

struct RadioPower {
  double up_mw_per_mbps = 0;
  double down_mw_per_mbps = 0;
  double base_mw = 0;
  double promotion_mw = 0;
  double promotion_s = 0;
  double tail_mw = 0;
  double tail_s = 0;
};

// All zero for kEthernet: no radio.
RadioPower PowerOf(RadioLink link);

// One standard deviation of the model on today's devices, relative: the paper's own errors are
// below 6 % on its phones; generations since differ by more than half.
inline constexpr double kRadioRelativeSigma = 0.5;

struct Transfer {
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
  int64_t duration_us = 0;
  // Since the last transfer ended; negative: there was none. Within its tail the radio is still
  // connected: no promotion, and what that tail was charged beyond now is given back.
  int64_t since_last_us = -1;
};

// Joules of one transfer with its tail. Over any sequence of transfers the sum is never negative,
// nor is one of them: the new tail is at least as long as what is given back.
double TransferJoules(const RadioPower& power, const Transfer& transfer);

}  // namespace fedwatt
