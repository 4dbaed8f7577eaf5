#include "common/transport/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"

namespace fedwatt {
namespace {

absl::Status BadEndpoint(const std::string& text, const std::string& reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::CHexEscape(text), "\" is not an address: ", reason,
                   "; expected host:port, for example 127.0.0.1:7443 or [::1]:7443"));
}

bool IsDigits(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string Endpoint::ToString() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

bool Endpoint::IsLoopback() const {
  if (host == "localhost") return true;
  in_addr ipv4{};
  if (inet_pton(AF_INET, host.c_str(), &ipv4) == 1) return (ntohl(ipv4.s_addr) >> 24) == 127;
  in6_addr ipv6{};
  return inet_pton(AF_INET6, host.c_str(), &ipv6) == 1 && IN6_IS_ADDR_LOOPBACK(&ipv6);
}

absl::StatusOr<Endpoint> ParseEndpoint(const std::string& text) {
  if (text.size() > bounds::kMaxNameLength) {
    return BadEndpoint(text.substr(0, 32), "it is too long");
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return BadEndpoint(text, "the port is missing");
  Endpoint endpoint;
  endpoint.host = text.substr(0, colon);
  const std::string port = text.substr(colon + 1);
  if (endpoint.host.size() >= 2 && endpoint.host.front() == '[' && endpoint.host.back() == ']') {
    endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
  } else if (endpoint.host.find(':') != std::string::npos) {
    return BadEndpoint(text, "an IPv6 literal needs brackets");
  }
  if (endpoint.host.empty()) return BadEndpoint(text, "the host is missing");
  uint32_t number = 0;
  if (port.empty() || !IsDigits(port) || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return BadEndpoint(text, "the port must be a number from 0 to 65535");
  }
  endpoint.port = static_cast<uint16_t>(number);
  return endpoint;
}

}  // namespace fedwatt
