#pragma once

// Where a coordinator listens or is dialled: "host:port".

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace fedwatt {

struct Endpoint {
  std::string host;  // name or literal; IPv6 literals without brackets
  uint16_t port = 0;

  // "host:port", with brackets around IPv6.
  std::string ToString() const;

  // True for 127.0.0.0/8, ::1 and "localhost": nobody else can connect there.
  bool IsLoopback() const;
};

// INVALID_ARGUMENT says what is wrong and shows the form. Port 0 is legal: "any" for listeners.
absl::StatusOr<Endpoint> ParseEndpoint(const std::string& text);

}  // namespace fedwatt
