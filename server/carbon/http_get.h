#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace fedwatt {

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "auth-token: ..."
  int64_t timeout_ms = 10'000;       // for the whole of it
  uint64_t max_bytes = 4 * 1024 * 1024;
  std::string ca_file;  // empty: the system's authorities
};

// The body of a 200 answer to a GET. Blocks up to the timeout. Certificates and host names are
// verified; plain http:// is for loopback only, where no token can be overheard; redirects are not
// followed, for a token must not travel on. Thread-safe.
//
// INVALID_ARGUMENT: the address. UNAVAILABLE: no connection, timeout, TLS, or a 5xx.
// RESOURCE_EXHAUSTED: the answer is above `max_bytes`, or 429. UNAUTHENTICATED: 401 or 403.
// FAILED_PRECONDITION: another status. No message holds a header or a query.
absl::StatusOr<std::string> HttpGet(const HttpRequest& request);

}  // namespace fedwatt
