#include "common/transport/authenticator.h"

#include <sys/stat.h>

#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/x509.h"

namespace fedwatt {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;

std::optional<Role> RoleFromName(const std::string& name) {
  for (const Role role : {Role::kClient, Role::kEvaluator, Role::kOperator, Role::kCoordinator}) {
    if (name == RoleName(role)) return role;
  }
  return std::nullopt;
}

// What CertificateIdentity says about a peer's certificate is the peer's fault, not its argument's.
absl::Status Unauthenticated(const absl::Status& status) {
  return absl::UnauthenticatedError(std::string(status.message()));
}

absl::Status CheckDates(const CertificateInfo& certificate, const Identity& identity,
                        int64_t now_ms) {
  if (now_ms >= certificate.not_after_ms) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate of '", identity.id, "' expired at ",
                     UtcTime(certificate.not_after_ms), " (the coordinator's clock says ",
                     UtcTime(now_ms), "); ask the operator for a new one and connect again"));
  }
  if (now_ms < certificate.not_before_ms) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate of '", identity.id, "' is valid only from ",
                     UtcTime(certificate.not_before_ms), " and the coordinator's clock says ",
                     UtcTime(now_ms), "; one of the two clocks is off"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<CertificateAuthenticator>> CertificateAuthenticator::Create(
    const Clock* clock, const std::string& revocations_path) {
  std::unique_ptr<CertificateAuthenticator> authenticator(
      new CertificateAuthenticator(clock, revocations_path));
  {
    MutexLock lock(&authenticator->mutex_);
    FW_RETURN_IF_ERROR(Annotate(authenticator->ReadRevocationsIfChanged(), "revocation list"));
  }
  return authenticator;
}

CertificateAuthenticator::FileVersion CertificateAuthenticator::VersionOf(const std::string& path) {
  struct stat file {};
  if (path.empty() || stat(path.c_str(), &file) != 0) return {};
  return {.modified_ns = file.st_mtim.tv_sec * 1000 * kNsPerMs + file.st_mtim.tv_nsec,
          .size = file.st_size,
          .inode = file.st_ino};
}

absl::Status CertificateAuthenticator::ReadRevocationsIfChanged() {
  const FileVersion version = VersionOf(revocations_path_);
  if (version == version_) return absl::OkStatus();
  // Remembered even if reading fails: one warning for each broken version, not for each call.
  version_ = version;
  FW_ASSIGN_OR_RETURN(revocations_, RevocationList::Load(revocations_path_));
  return absl::OkStatus();
}

absl::Status CertificateAuthenticator::CheckNotRevoked(const CertificateInfo& certificate,
                                                       const Identity& identity) {
  MutexLock lock(&mutex_);
  if (const absl::Status read = ReadRevocationsIfChanged(); !read.ok()) {
    LogWarning("revocation list unreadable; the one read before stays in force",
               {{"path", revocations_path_}, {"error", StatusText(read)}});
  }
  if (!revocations_.Contains(certificate)) return absl::OkStatus();
  return absl::UnauthenticatedError(
      absl::StrCat("certificate of '", identity.id, "' was revoked on or before ",
                   UtcTime(version_.modified_ns / kNsPerMs), "; ask the operator for a new one"));
}

absl::StatusOr<Principal> CertificateAuthenticator::Authenticate(const PeerInfo& peer) {
  if (peer.certificate_pem.empty()) {
    return absl::UnauthenticatedError(
        "no client certificate; connect with mutual TLS (fedwatt certs issue makes one)");
  }
  absl::StatusOr<CertificateInfo> certificate = ParseCertificate(peer.certificate_pem);
  if (!certificate.ok()) return Unauthenticated(certificate.status());
  const absl::StatusOr<Identity> identity = CertificateIdentity(*certificate);
  if (!identity.ok()) return Unauthenticated(identity.status());
  FW_RETURN_IF_ERROR(CheckDates(*certificate, *identity, clock_->NowMs()));
  FW_RETURN_IF_ERROR(CheckNotRevoked(*certificate, *identity));

  Principal principal;
  principal.subject = identity->id;
  principal.role = RoleFromName(identity->role).value();
  principal.method = "mtls";
  principal.assurance = certificate->fingerprint;
  return principal;
}

absl::StatusOr<Principal> InsecureAuthenticator::Authenticate(const PeerInfo& peer) {
  const std::string role_name = peer.claimed_role.empty() ? "client" : peer.claimed_role;
  const std::optional<Role> role = RoleFromName(role_name);
  const bool named = ParseIdentityUri(absl::StrCat("fedwatt://client/", peer.claimed_subject)).ok();
  if (!role.has_value() || !named) {
    return absl::UnauthenticatedError(absl::StrCat(
        "insecure mode reads who calls from the metadata ", kSubjectMetadataKey, " (is \"",
        absl::CHexEscape(peer.claimed_subject.substr(0, 64)), "\", must be an id) and ",
        kRoleMetadataKey, " (is \"", absl::CHexEscape(peer.claimed_role.substr(0, 64)),
        "\", must be client, evaluator or operator)"));
  }
  Principal principal;
  principal.subject = peer.claimed_subject;
  principal.role = *role;
  principal.method = "insecure";
  return principal;
}

absl::Status RequireOperator(const Principal& who, const std::string& what) {
  if (who.role == Role::kOperator) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(what, " needs the role operator; '", who.subject,
                                                  "' has the role ", RoleName(who.role),
                                                  ": use an operator certificate"));
}

absl::Status RequireDevice(const Principal& who, const std::string& what) {
  if (who.role == Role::kClient || who.role == Role::kEvaluator) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(what, " needs the role client or evaluator; '", who.subject, "' has the role ",
                   RoleName(who.role), ": use a client certificate"));
}

}  // namespace fedwatt
