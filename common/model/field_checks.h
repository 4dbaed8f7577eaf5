#pragma once

// The checks that validation of job specs, plans and messages is made of. Each returns OK or
// INVALID_ARGUMENT "<key> = <value>: must be <limit>; write e.g. <key's last part> = <example>";
// without an example the hint is left out (messages from peers: nobody writes those by hand).
//
// `key` is the path as a job file or message spells it, such as "round.goal".

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"

namespace fedwatt {

absl::Status CheckCount(const std::string& key, uint64_t value, uint64_t min, uint64_t max,
                        const std::string& example = "");

absl::Status CheckSigned(const std::string& key, int64_t value, int64_t min, int64_t max,
                         const std::string& example = "");

// Both limits included; refuses NaN and infinities.
absl::Status CheckReal(const std::string& key, double value, double min, double max,
                       const std::string& example = "");

absl::Status CheckFinite(const std::string& key, double value);

// Free text: at most `max` bytes, without control characters.
absl::Status CheckText(const std::string& key, const std::string& value, size_t max);

// As CheckText, and not empty.
absl::Status CheckName(const std::string& key, const std::string& value, size_t max,
                       const std::string& example = "");

// 1 to 64 of letters, digits, '.', '_', '-', beginning with a letter or digit: safe in paths, URLs
// and certificate names.
absl::Status CheckToken(const std::string& key, const std::string& value,
                        const std::string& example = "");

// An id (common/model/ids.h).
absl::Status CheckId(const std::string& key, const std::string& value);

// One of `words`; the error lists them and the nearest.
absl::Status CheckWord(const std::string& key, const std::string& value,
                       std::span<const std::string> words);

}  // namespace fedwatt
