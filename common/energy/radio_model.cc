#include "common/energy/radio_model.h"

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/suggest.h"

namespace fedwatt {
namespace {

constexpr std::array<std::pair<RadioLink, const char*>, 4> kNames = {
    {{RadioLink::kWifi, "wifi"},
     {RadioLink::kLte, "lte"},
     {RadioLink::k3g, "3g"},
     {RadioLink::kEthernet, "ethernet"}}};

}  // namespace

absl::StatusOr<RadioLink> ParseRadioLink(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [link, known] : kNames) {
    if (name == known) return link;
    names.emplace_back(known);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no link is called '", name, "'", DidYouMean(name, names)));
}

const char* RadioLinkName(RadioLink link) {
  for (const auto& [known, name] : kNames) {
    if (known == link) return name;
  }
  return "unknown";
}

RadioPower PowerOf(RadioLink link) {
  switch (link) {
    case RadioLink::kWifi:
      return {283.17, 137.01, 132.86, 124.4, 0.0791, 119.3, 0.2381};
    case RadioLink::kLte:
      return {438.39, 51.97, 1288.04, 1210.7, 0.2601, 1060.0, 11.576};
    case RadioLink::k3g:
      return {868.98, 122.12, 817.88, 659.4, 0.5821, 803.9, 8.0882};
    case RadioLink::kEthernet:
      break;
  }
  return {};
}

double TransferJoules(const RadioPower& power, const Transfer& transfer) {
  constexpr double kMbitPerByte = 8e-6;
  const double seconds = static_cast<double>(transfer.duration_us) * 1e-6;
  // mW per Mbit/s times Mbit is mJ: how fast they went cancels out.
  double millijoules =
      power.up_mw_per_mbps * static_cast<double>(transfer.bytes_up) * kMbitPerByte +
      power.down_mw_per_mbps * static_cast<double>(transfer.bytes_down) * kMbitPerByte +
      power.base_mw * seconds + power.tail_mw * power.tail_s;
  const double since_s = static_cast<double>(transfer.since_last_us) * 1e-6;
  if (transfer.since_last_us >= 0 && since_s < power.tail_s) {
    millijoules -= power.tail_mw * (power.tail_s - since_s);
  } else {
    millijoules += power.promotion_mw * power.promotion_s;
  }
  return millijoules * 1e-3;
}

}  // namespace fedwatt
