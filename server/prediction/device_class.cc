#include "server/prediction/device_class.h"

#include <cstring>

#include "absl/strings/match.h"

namespace fedwatt {
namespace {

constexpr std::array<ScopeFactor, 4> kHandheld = {{{2.0, 0.8}, {1.6, 0.4}, {1.1, 0.1}, {1, 0}}};
constexpr std::array<ScopeFactor, 4> kMains = {{{2.5, 1.0}, {1.5, 0.3}, {1.1, 0.1}, {1, 0}}};

constexpr DeviceTraits kAny = {"", 15, 1e10, {{{2.0, 1.0}, {1.6, 0.5}, {1.15, 0.15}, {1, 0}}}};
constexpr DeviceTraits kKnown[] = {
    {"phone", 4, 1e10, kHandheld},    {"tablet", 6, 1e10, kHandheld},
    {"watch", 0.5, 1e9, kHandheld},   {"laptop", 25, 3e10, kHandheld},
    {"desktop", 90, 5e10, kMains},    {"server", 200, 1e11, kMains},
    {"raspberry", 5, 5e9, kHandheld}, {"jetson", 12, 5e10, kHandheld},
    {"gateway", 6, 5e9, kHandheld},
};

constexpr double kPeakPower = 10;
constexpr double kRackWatts = 20'000;

}  // namespace

const DeviceTraits& TraitsOf(const std::string& device_class) {
  const DeviceTraits* best = &kAny;
  for (const DeviceTraits& traits : kKnown) {
    if (absl::StartsWithIgnoreCase(device_class, traits.prefix) &&
        std::strlen(traits.prefix) > std::strlen(best->prefix)) {
      best = &traits;
    }
  }
  return *best;
}

double PeakWatts(const std::string& device_class) {
  const DeviceTraits& traits = TraitsOf(device_class);
  return &traits == &kAny ? kRackWatts : kPeakPower * traits.watts;
}

}  // namespace fedwatt
