#include "common/transport/tls_credentials.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, bounds::kMaxConfigBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(
        absl::StrCat(text.status().message(), "; fedwatt certs init and issue write such files"));
  }
  return text;
}

absl::Status CheckKeyIsPrivate(const std::string& path) {
  struct stat file {};
  if (stat(path.c_str(), &file) != 0 || (file.st_mode & 077) == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("others may read the private key ", path, "; run: chmod 600 ", path));
}

}  // namespace

TlsFiles TlsFiles::In(const std::string& folder, const std::string& name) {
  return {.authority = absl::StrCat(folder, "/ca.pem"),
          .certificate = absl::StrCat(folder, "/", name, ".pem"),
          .key = absl::StrCat(folder, "/", name, ".key")};
}

absl::StatusOr<TlsIdentity> LoadTlsIdentity(const TlsFiles& files, int64_t now_ms) {
  TlsIdentity identity;
  FW_ASSIGN_OR_RETURN(identity.authority_pem, ReadPem(files.authority));
  FW_ASSIGN_OR_RETURN(identity.certificate_pem, ReadPem(files.certificate));
  FW_ASSIGN_OR_RETURN(identity.key_pem, ReadPem(files.key));
  FW_RETURN_IF_ERROR(CheckKeyIsPrivate(files.key));
  FW_RETURN_IF_ERROR(
      Annotate(CheckCertificate(identity.certificate_pem, identity.authority_pem, now_ms),
               files.certificate));
  FW_RETURN_IF_ERROR(
      Annotate(CheckKeyMatches(identity.certificate_pem, identity.key_pem), files.key));
  FW_ASSIGN_OR_RETURN(identity.certificate, ParseCertificate(identity.certificate_pem));
  absl::StatusOr<Identity> name = CertificateIdentity(identity.certificate);
  if (!name.ok()) return Annotate(name.status(), files.certificate);
  identity.identity = *std::move(name);
  return identity;
}

std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsIdentity& identity) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = identity.authority_pem;
  options.pem_cert_chain = identity.certificate_pem;
  options.pem_private_key = identity.key_pem;
  return grpc::SslCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsFiles& files) {
  auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      files.key, files.certificate, files.authority, kTlsReloadSeconds);
  grpc::experimental::TlsServerCredentialsOptions options(std::move(provider));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace fedwatt
