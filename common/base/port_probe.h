#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace fedwatt {

// Whether this process could listen on host:port (a name or a literal) now. FAILED_PRECONDITION
// when the port is in use, PERMISSION_DENIED below 1024 without the right, NOT_FOUND for a host
// that is not of this machine; each says so.
absl::Status ProbeListen(const std::string& host, uint16_t port);

}  // namespace fedwatt
