#pragma once

// The development and operations PKI: one certificate authority, EC P-256 keys, X.509 v3
// certificates whose SAN URI is the identity: fedwatt://ROLE/ID, ROLE one of client, operator,
// evaluator, coordinator. The identity outlives renewals; a certificate does not.
//
// Everything here works on PEM texts and takes the time as an argument. Thread-safe.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fedwatt {

inline constexpr int64_t kMsPerDay = 86'400'000;

// Certificates start this long before they are issued, for devices whose clock lags.
inline constexpr int64_t kBackdateMs = 300'000;

// A certificate and its private key, both PEM.
struct CertifiedKey {
  std::string certificate_pem;
  std::string key_pem;
};

struct CertificateRequest {
  std::string role;                       // client | operator | evaluator | coordinator
  std::string id;                         // [A-Za-z0-9._-], at most bounds::kMaxIdLength
  std::vector<std::string> dns_names;     // servers: host names that clients dial
  std::vector<std::string> ip_addresses;  // servers: literals, IPv4 or IPv6
  int64_t valid_days = 90;
};

// What a certificate says.
struct CertificateInfo {
  std::string subject;  // "CN=client-1,O=fedwatt"
  std::string issuer;
  std::vector<std::string> san_uris;
  std::vector<std::string> san_dns;
  std::vector<std::string> san_ips;
  int64_t not_before_ms = 0;
  int64_t not_after_ms = 0;
  std::string serial;       // hexadecimal
  std::string fingerprint;  // SHA-256 of the DER form, hexadecimal
  bool is_ca = false;
};

// The parts of fedwatt://ROLE/ID.
struct Identity {
  std::string role;
  std::string id;

  friend bool operator==(const Identity&, const Identity&) = default;
};

// A new self-signed authority. `name` becomes its common name.
absl::StatusOr<CertifiedKey> CreateAuthority(const std::string& name, int64_t now_ms,
                                             int64_t valid_days);

// A new key and its certificate, signed by `authority`. INVALID_ARGUMENT for a bad request.
// A certificate never outlives its authority: the end is cut to the authority's.
absl::StatusOr<CertifiedKey> IssueCertificate(const CertifiedKey& authority,
                                              const CertificateRequest& request, int64_t now_ms);

// The first certificate in `pem`.
absl::StatusOr<CertificateInfo> ParseCertificate(const std::string& pem);

std::string IdentityUri(const Identity& identity);

// INVALID_ARGUMENT unless `uri` is fedwatt://ROLE/ID with a known role and a legal id.
absl::StatusOr<Identity> ParseIdentityUri(const std::string& uri);

// The identity in a certificate's SAN. INVALID_ARGUMENT if there is none or more than one.
absl::StatusOr<Identity> CertificateIdentity(const CertificateInfo& certificate);

// Why a peer would refuse this certificate now, with what to do about it. UNAUTHENTICATED:
// expired (since when), not valid yet (and that the clock may be off), signed by another
// authority; INVALID_ARGUMENT: not PEM, or the authority is no CA.
absl::Status CheckCertificate(const std::string& certificate_pem, const std::string& authority_pem,
                              int64_t now_ms);

// UNAUTHENTICATED if the private key belongs to another certificate.
absl::Status CheckKeyMatches(const std::string& certificate_pem, const std::string& key_pem);

// "2026-01-31T00:00:00Z".
std::string UtcTime(int64_t unix_ms);

}  // namespace fedwatt
