#include "common/base/bytes.h"

#include <array>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fedwatt {

std::string HumanBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1000.0;
  size_t unit = 0;
  // 999.95 would print as 1000.0.
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string HumanDuration(int64_t duration_ms) {
  if (duration_ms < 0) {
    return absl::StrCat("-", HumanDuration(duration_ms == INT64_MIN ? INT64_MAX : -duration_ms));
  }
  if (duration_ms < 1000) return absl::StrCat(duration_ms, " ms");
  if (duration_ms < 59'950) {
    return absl::StrFormat("%.1f s", static_cast<double>(duration_ms) / 1000.0);
  }
  const int64_t seconds = duration_ms / 1000 + (duration_ms % 1000 >= 500 ? 1 : 0);
  const int64_t minutes = seconds / 60;
  if (minutes < 60) return absl::StrFormat("%d m %02d s", minutes, seconds % 60);
  const int64_t hours = minutes / 60;
  if (hours < 48) return absl::StrFormat("%d h %02d m", hours, minutes % 60);
  return absl::StrFormat("%d d %02d h", hours / 24, hours % 24);
}

}  // namespace fedwatt
