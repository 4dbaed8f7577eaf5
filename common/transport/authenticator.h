#pragma once

// Who calls. Every handler asks an Authenticator first; further ones (tokens behind a load balancer
// that ends TLS, attestation) implement the same interface.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/crypto/revocation_list.h"
#include "common/model/fleet.h"

namespace fedwatt {

// Metadata that InsecureAuthenticator believes. CertificateAuthenticator ignores it.
inline constexpr char kSubjectMetadataKey[] = "fedwatt-subject";
inline constexpr char kRoleMetadataKey[] = "fedwatt-role";

struct PeerInfo {
  std::string address;          // for logs: "ipv4:127.0.0.1:40000"
  std::string certificate_pem;  // empty unless the TLS handshake verified one
  std::string claimed_subject;  // from metadata: anybody can write it
  std::string claimed_role;
};

// Thread-safe.
class Authenticator {
 public:
  virtual ~Authenticator() = default;

  // UNAUTHENTICATED says why and what to do; the text is for the peer.
  virtual absl::StatusOr<Principal> Authenticate(const PeerInfo& peer) = 0;

  // For the ready line and logs: "mutual TLS".
  virtual std::string Describe() const = 0;
};

// Believes certificates that the TLS handshake verified. Identity and role are the one SAN URI
// fedwatt://ROLE/ID. Dates are checked again with every call: a connection outlives a certificate.
//
// The revocation list is read again whenever its file changes. If it then cannot be read or parsed,
// the list last read stays in force and a warning is logged.
class CertificateAuthenticator final : public Authenticator {
 public:
  // `revocations_path` may name a file that does not exist yet; empty: none. `clock` outlives this.
  // Errors: the list cannot be read (with the line).
  static absl::StatusOr<std::unique_ptr<CertificateAuthenticator>> Create(
      const Clock* clock, const std::string& revocations_path);

  absl::StatusOr<Principal> Authenticate(const PeerInfo& peer) override;
  std::string Describe() const override { return "mutual TLS"; }

 private:
  // Of the file as last read; any difference means that it was written since.
  struct FileVersion {
    int64_t modified_ns = 0;
    int64_t size = -1;  // -1: no file
    uint64_t inode = 0;

    bool operator==(const FileVersion&) const = default;
  };

  CertificateAuthenticator(const Clock* clock, std::string revocations_path)
      : clock_(clock), revocations_path_(std::move(revocations_path)) {}

  static FileVersion VersionOf(const std::string& path);
  absl::Status ReadRevocationsIfChanged() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckNotRevoked(const CertificateInfo& certificate, const Identity& identity)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const Clock* const clock_;
  const std::string revocations_path_;

  Mutex mutex_;
  RevocationList revocations_ ABSL_GUARDED_BY(mutex_);
  FileVersion version_ ABSL_GUARDED_BY(mutex_);
};

// Believes the metadata. Only behind a listener on loopback, and only by an explicit flag.
class InsecureAuthenticator final : public Authenticator {
 public:
  absl::StatusOr<Principal> Authenticate(const PeerInfo& peer) override;
  std::string Describe() const override { return "insecure, loopback only"; }
};

// PERMISSION_DENIED names the role that the caller has and the one that `what` needs.
absl::Status RequireOperator(const Principal& who, const std::string& what);
absl::Status RequireDevice(const Principal& who, const std::string& what);

}  // namespace fedwatt
