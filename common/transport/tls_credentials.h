#pragma once

// Mutual TLS from files: each side shows a certificate of the deployment's authority and demands
// one. Files of NAME in a folder, as `fedwatt certs` writes them: ca.pem, NAME.pem, NAME.key.

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/crypto/x509.h"

namespace fedwatt {

struct TlsFiles {
  std::string authority;    // ca.pem
  std::string certificate;  // NAME.pem
  std::string key;          // NAME.key

  static TlsFiles In(const std::string& folder, const std::string& name);
};

// Texts of TlsFiles, checked against each other and the time.
struct TlsIdentity {
  std::string authority_pem;
  std::string certificate_pem;
  std::string key_pem;
  CertificateInfo certificate;
  Identity identity;
};

// Reads the files and says what a peer would only answer with a broken connection. NOT_FOUND: a
// file is missing. UNAUTHENTICATED: expired, not valid yet (the clock may be off), of another
// authority, not the key's. PERMISSION_DENIED: others may read the key. INVALID_ARGUMENT: not PEM,
// no identity. Each names the file.
absl::StatusOr<TlsIdentity> LoadTlsIdentity(const TlsFiles& files, int64_t now_ms);

std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsIdentity& identity);

// Demands and verifies client certificates. Follows the files: a renewed certificate is used by new
// connections within `kTlsReloadSeconds`, without a restart. Check with LoadTlsIdentity first.
inline constexpr unsigned kTlsReloadSeconds = 5;
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsFiles& files);

}  // namespace fedwatt
