#include <algorithm>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/revocation_list.h"
#include "common/crypto/x509.h"
#include "nlohmann/json.hpp"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"

namespace fedwatt::cli {
namespace {

constexpr mode_t kSecret = 0600;
constexpr uint64_t kMaxPemBytes = 64 << 10;
constexpr uint32_t kMaxIssued = 100'000;

struct Written {
  std::string what;
  std::string path;
};

std::string In(const std::string& dir, const std::string& file) { return dir + "/" + file; }

absl::Status WritePair(const std::string& dir, const std::string& name, const CertifiedKey& pair) {
  FW_RETURN_IF_ERROR(WriteFileAtomic(In(dir, name + ".key"), pair.key_pem, kSecret));
  return WriteFileAtomic(In(dir, name + ".pem"), pair.certificate_pem);
}

absl::StatusOr<CertifiedKey> LoadAuthority(const std::string& dir) {
  CertifiedKey authority;
  auto certificate = ReadFile(In(dir, "ca.pem"), kMaxPemBytes);
  if (!certificate.ok()) {
    return absl::Status(certificate.status().code(),
                        absl::StrCat(std::string(certificate.status().message()),
                                     "; `fedwatt certs init --dir ", dir, "` makes an authority"));
  }
  authority.certificate_pem = *std::move(certificate);
  FW_ASSIGN_OR_RETURN(authority.key_pem, ReadFile(In(dir, "ca.key"), kMaxPemBytes));
  return authority;
}

absl::Status Issue(const CertifiedKey& authority, const std::string& dir,
                   const CertificateRequest& request, const std::string& file, bool replace,
                   int64_t now_ms, std::vector<Written>* written) {
  if (!replace && FileExists(In(dir, file + ".pem"))) {
    return absl::AlreadyExistsError(
        absl::StrCat(In(dir, file + ".pem"), " exists; --replace renews it (the identity stays)"));
  }
  FW_ASSIGN_OR_RETURN(const CertifiedKey pair, IssueCertificate(authority, request, now_ms));
  FW_RETURN_IF_ERROR(WritePair(dir, file, pair));
  written->push_back({IdentityUri({request.role, request.id}), In(dir, file + ".pem")});
  return absl::OkStatus();
}

absl::Status MakeOwnerKey(const std::string& dir, const std::string& name,
                          std::vector<Written>* written) {
  const std::string secret = In(dir, name + ".key");
  if (FileExists(secret)) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const SigningKey key, SigningKey::Generate());
  FW_RETURN_IF_ERROR(key.Save(secret));
  FW_RETURN_IF_ERROR(key.public_key().Save(In(dir, name + ".pub")));
  written->push_back({absl::StrCat("job-owner key ", key.public_key().KeyId(), " (clients trust ",
                                   In(dir, name + ".pub"), ")"),
                      secret});
  return absl::OkStatus();
}

bool IsAddress(const std::string& host) {
  return host.find_first_not_of("0123456789.") == std::string::npos || absl::StrContains(host, ":");
}

absl::Status Init(const Context& context, const CertsInitOptions& options,
                  std::vector<Written>* written) {
  FW_RETURN_IF_ERROR(EnsureDir(options.dir, 0700));
  if (FileExists(In(options.dir, "ca.key"))) {
    return absl::AlreadyExistsError(absl::StrCat(
        In(options.dir, "ca.key"),
        " exists; a new authority would cut off every client. "
        "`fedwatt certs issue` makes more certificates; remove the folder to start over"));
  }
  const int64_t now_ms = context.clock->NowMs();
  FW_ASSIGN_OR_RETURN(const CertifiedKey authority,
                      CreateAuthority("fedwatt development CA", now_ms, options.valid_days));
  FW_RETURN_IF_ERROR(WritePair(options.dir, "ca", authority));
  written->push_back({"certificate authority", In(options.dir, "ca.pem")});
  CertificateRequest server{.role = "coordinator",
                            .id = "coordinator",
                            .dns_names = {"localhost"},
                            .ip_addresses = {"127.0.0.1", "::1"},
                            .valid_days = options.valid_days};
  for (const std::string& host : options.hosts) {
    (IsAddress(host) ? server.ip_addresses : server.dns_names).push_back(host);
  }
  FW_RETURN_IF_ERROR(Issue(authority, options.dir, server, "coordinator", false, now_ms, written));
  const CertificateRequest admin{
      .role = "operator", .id = "operator", .valid_days = options.valid_days};
  FW_RETURN_IF_ERROR(Issue(authority, options.dir, admin, "operator", false, now_ms, written));
  return MakeOwnerKey(options.dir, "owner", written);
}

absl::Status IssueAll(const Context& context, const CertsIssueOptions& options,
                      std::vector<Written>* written) {
  if (options.count > kMaxIssued) {
    return absl::InvalidArgumentError(
        absl::StrCat("--count ", options.count, ": at most ", kMaxIssued, " at once"));
  }
  FW_ASSIGN_OR_RETURN(const CertifiedKey authority, LoadAuthority(options.dir));
  const std::string stem = options.id.empty() ? options.role : options.id;
  for (uint32_t i = 0; i < std::max(options.count, 1u); ++i) {
    CertificateRequest request{.role = options.role,
                               .id = options.count == 0 ? stem : absl::StrCat(stem, "-", i),
                               .valid_days = options.valid_days};
    if (options.role == "coordinator") {
      request.dns_names = {"localhost"};
      request.ip_addresses = {"127.0.0.1", "::1"};
    }
    FW_RETURN_IF_ERROR(Issue(authority, options.dir, request, request.id, options.replace,
                             context.clock->NowMs(), written));
  }
  return absl::OkStatus();
}

absl::StatusOr<CertificateInfo> CertificateIn(const std::string& dir, const std::string& file) {
  FW_ASSIGN_OR_RETURN(const std::string pem, ReadFile(In(dir, file), kMaxPemBytes));
  return ParseCertificate(pem);
}

// Whether a certificate in the folder is what `entry` of the revocation list names.
bool FolderHolds(const std::string& dir, const std::string& entry) {
  RevocationList only;
  const auto files = ListDir(dir);
  if (!files.ok() || !only.Add(entry).ok()) return false;
  return std::any_of(files->begin(), files->end(), [&](const std::string& file) {
    if (!absl::EndsWith(file, ".pem")) return false;
    const auto certificate = CertificateIn(dir, file);
    return certificate.ok() && only.Contains(*certificate);
  });
}

// A new certificate does not let a revoked identity in again, which is easily taken for granted.
void WarnOfRevoked(const std::string& dir, const std::vector<Written>& written) {
  const std::string path = In(dir, "revoked.txt");
  const auto list = RevocationList::Load(path);
  if (!list.ok()) {
    std::cerr << "warning: " << list.status().message() << "\n";
    return;
  }
  for (const Written& file : written) {
    const auto identity = ParseIdentityUri(file.what);
    if (!identity.ok() || !list->Contains(*identity)) continue;
    std::cerr << "warning: " << file.what << " is revoked and stays shut out, also with this "
              << "certificate; to let it in again, remove its line from " << path << "\n";
  }
}

int Show(const Context& context, const absl::Status& status, const std::vector<Written>& written) {
  if (!status.ok()) return Fail(context, status);
  if (context.json) {
    nlohmann::json out = nlohmann::json::array();
    for (const Written& file : written) out.push_back({{"what", file.what}, {"path", file.path}});
    std::cout << out.dump(2) << std::endl;
    return kOk;
  }
  constexpr size_t kShown = 8;
  for (size_t i = 0; i < written.size(); ++i) {
    if (i == kShown && written.size() > kShown + 1) {
      std::cout << "... and " << written.size() - kShown << " more\n";
      break;
    }
    std::cout << "wrote " << written[i].path << "  " << written[i].what << "\n";
  }
  return kOk;
}

}  // namespace

int InitCerts(const Context& context, const CertsInitOptions& options) {
  std::vector<Written> written;
  const absl::Status status = Init(context, options, &written);
  return Show(context, status, written);
}

int IssueCerts(const Context& context, const CertsIssueOptions& options) {
  std::vector<Written> written;
  const absl::Status status = IssueAll(context, options, &written);
  WarnOfRevoked(options.dir, written);
  return Show(context, status, written);
}

int RevokeCert(const Context& context, const std::string& dir, const std::string& what) {
  const std::string path = In(dir, "revoked.txt");
  auto list = RevocationList::Load(path);
  if (!list.ok()) return Fail(context, list.status());
  // "client-3" is short for the identity that its certificate in the folder names.
  std::string entry = what;
  if (FileExists(In(dir, what + ".pem"))) {
    const auto certificate = CertificateIn(dir, what + ".pem");
    if (!certificate.ok()) return Fail(context, certificate.status());
    const auto identity = CertificateIdentity(*certificate);
    if (!identity.ok()) return Fail(context, identity.status());
    entry = IdentityUri(*identity);
  }
  if (const absl::Status added = list->Add(entry); !added.ok()) return Fail(context, added);
  if (const absl::Status saved = list->Save(path); !saved.ok()) return Fail(context, saved);
  if (entry == what && !FolderHolds(dir, entry)) {
    std::cerr << "note: no certificate of " << entry << " is in " << dir
              << "; check the spelling\n";
  }
  return Show(
      context, absl::OkStatus(),
      {{entry + " is revoked; a running coordinator refuses it from its next call on", path}});
}

int ShowKeys(const Context& context, const std::string& dir, const std::string& name) {
  std::vector<Written> written;
  if (const absl::Status made = EnsureDir(dir, 0700); !made.ok()) return Fail(context, made);
  if (const absl::Status made = MakeOwnerKey(dir, name, &written); !made.ok()) {
    return Fail(context, made);
  }
  if (!written.empty()) return Show(context, absl::OkStatus(), written);
  const auto key = PublicKey::Load(In(dir, name + ".pub"));
  if (!key.ok()) return Fail(context, key.status());
  if (context.json) {
    const nlohmann::json out = {{"key_id", key->KeyId()},
                                {"public", In(dir, name + ".pub")},
                                {"secret", In(dir, name + ".key")}};
    std::cout << out.dump(2) << std::endl;
  } else {
    std::cout << "key " << key->KeyId() << "  secret " << In(dir, name + ".key") << "  public "
              << In(dir, name + ".pub") << std::endl;
  }
  return kOk;
}

}  // namespace fedwatt::cli
