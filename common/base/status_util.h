#pragma once

// Adds context to an error on its way up.

#include <string>

#include "absl/status/status.h"

namespace fedwatt {

// The same code and payloads, with the message "prefix: message". An OK status stays OK.
absl::Status Annotate(const absl::Status& status, const std::string& prefix);

// "NOT_FOUND: the message", or "OK".
std::string StatusText(const absl::Status& status);

}  // namespace fedwatt
