#pragma once

// Who may no longer connect although a certificate says so. A text file, one entry a line,
// `#` starts a comment:
//
//   identity fedwatt://client/7        every certificate of that identity, present and future
//   fingerprint 9f86d0...              one certificate (SHA-256 of its DER form)

#include <cstddef>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/crypto/x509.h"

namespace fedwatt {

// A value; one thread at a time, or const.
class RevocationList {
 public:
  // INVALID_ARGUMENT naming the line.
  static absl::StatusOr<RevocationList> Parse(const std::string& text);

  // A missing file is an empty list.
  static absl::StatusOr<RevocationList> Load(const std::string& path);

  // Atomically.
  absl::Status Save(const std::string& path) const;

  std::string ToText() const;

  // INVALID_ARGUMENT for anything that is not an identity URI or a fingerprint. Adding twice is
  // fine.
  absl::Status Add(const std::string& identity_or_fingerprint);

  // True if the certificate itself or one of its identities is revoked.
  bool Contains(const CertificateInfo& certificate) const;
  bool Contains(const Identity& identity) const;

  size_t size() const { return identities_.size() + fingerprints_.size(); }

 private:
  std::set<std::string> identities_;
  std::set<std::string> fingerprints_;
};

}  // namespace fedwatt
