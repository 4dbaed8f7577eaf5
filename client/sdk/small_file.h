#pragma once

// Small files of measurements and hints: what they hold can be measured or fetched again, so
// nobody waits for a disk because of them. Free functions, thread-safe for different paths.

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fedwatt {

// Replaces `path` by its own SHA-256 in hex, a line end and `text`. After a kill there is the old
// content or the new; after a loss of power also neither, which ReadSmallFile finds out.
absl::Status WriteSmallFile(const std::string& path, const std::string& text);

// What WriteSmallFile writes, for who wants it durable.
std::string SmallFileContent(const std::string& text);

// The text. NOT_FOUND: no such file. DATA_LOSS: damaged. RESOURCE_EXHAUSTED: not a small file.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

}  // namespace fedwatt
