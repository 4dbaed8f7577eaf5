#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

// Selector states as text: words of 16 hexadecimal digits, one after another.
namespace fedwatt {

std::string FormatStateWords(std::span<const uint64_t> words);

// INVALID_ARGUMENT unless `state` is exactly `count` words. `selector` is for the message.
absl::StatusOr<std::vector<uint64_t>> ParseStateWords(const std::string& selector,
                                                      const std::string& state, size_t count);

}  // namespace fedwatt
