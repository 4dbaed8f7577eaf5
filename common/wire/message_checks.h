#pragma once

// What the conversions of this folder check a peer's values with, beside
// common/model/field_checks.h. Internal to common/wire.

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/crypto/sha256.h"

namespace fedwatt::wire {

// A year: no duration or limit of the protocol is longer.
inline constexpr int64_t kMaxDurationMs = int64_t{366} * 24 * 3600 * 1000;
// 1e9 J: beyond what any device spends on one piece of work, and far from overflow when summed.
inline constexpr int64_t kMaxEnergyUj = 1'000'000'000'000'000;
inline constexpr size_t kMaxUriLength = 2048;

// Empty bytes stand for a zero digest ("none"); else exactly 32 bytes.
absl::Status DigestFrom(const std::string& key, const std::string& bytes, Digest* out);
void DigestTo(const Digest& digest, std::string* out);

// Our enums carry the wire's numbers. `last` is the greatest known; zero is UNSPECIFIED.
template <typename E>
absl::Status EnumFrom(const std::string& key, int value, E last, E* out) {
  if (value < 1 || value > static_cast<int>(last)) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, " = ", value, ": is not one of the values 1 to ", static_cast<int>(last),
                     " that this version knows"));
  }
  *out = static_cast<E>(value);
  return absl::OkStatus();
}

// As EnumFrom, but absence leaves `out` as it is.
template <typename E>
absl::Status OptionalEnumFrom(const std::string& key, int value, E last, E* out) {
  return value == 0 ? absl::OkStatus() : EnumFrom(key, value, last, out);
}

// Names and finite values, at most bounds::kMaxMetrics of them, each at least `min`.
absl::Status CheckNamedValues(const std::string& key, const std::map<std::string, double>& values,
                              double min);

// Any text made fit for a `string` field: invalid UTF-8 and control characters become '?', more
// than `max` bytes are cut between characters. A peer would refuse the whole message otherwise.
std::string SafeText(const std::string& text, size_t max);

}  // namespace fedwatt::wire
