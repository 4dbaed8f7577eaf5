#include "common/crypto/x509.h"

#include <openssl/ec.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <ctime>
#include <initializer_list>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/hex.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/base/suggest.h"
#include "common/crypto/openssl_ptr.h"
#include "common/crypto/sha256.h"

namespace fedwatt {
namespace {

constexpr char kScheme[] = "fedwatt://";
constexpr int64_t kMaxValidDays = 36'500;
// X.509's upper bound on a common name (RFC 5280, ub-common-name).
constexpr size_t kMaxCommonName = 64;

const std::vector<std::string>& Roles() {
  static const auto* const roles =
      new std::vector<std::string>{"client", "operator", "evaluator", "coordinator"};
  return *roles;
}

absl::Status OpenSslError(const std::string& what) {
  return absl::InternalError(absl::StrCat("cannot ", what, ": ", OpenSslReason()));
}

absl::Status CheckId(const std::string& id) {
  const bool legal = std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
  if (id.empty() || id.size() > bounds::kMaxIdLength || !legal) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", absl::CHexEscape(id.substr(0, bounds::kMaxIdLength)), "\" is not a legal id: 1 to ",
        bounds::kMaxIdLength, " characters out of A-Z a-z 0-9 . _ -"));
  }
  return absl::OkStatus();
}

absl::Status CheckRole(const std::string& role) {
  if (std::find(Roles().begin(), Roles().end(), role) != Roles().end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("unknown role \"", absl::CHexEscape(role), "\"", DidYouMean(role, Roles())));
}

absl::Status CheckDays(int64_t valid_days) {
  if (valid_days >= 1 && valid_days <= kMaxValidDays) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a validity of ", valid_days, " days is not within 1 to ", kMaxValidDays));
}

// SAN values become OpenSSL configuration text, where a comma would start another entry.
absl::Status CheckHost(const std::string& host) {
  const bool legal = std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == ':' || c == '*' || c == '_';
  });
  if (!host.empty() && host.size() <= 253 && legal) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::CHexEscape(host), "\" is not a host name or an IP address"));
}

std::string KeyPem(EVP_PKEY* key) {
  const BioPtr bio = WriteBio();
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return BioText(bio.get());
}

std::string CertificatePem(X509* certificate) {
  const BioPtr bio = WriteBio();
  PEM_write_bio_X509(bio.get(), certificate);
  return BioText(bio.get());
}

absl::StatusOr<X509Ptr> ReadCertificate(const std::string& pem) {
  const BioPtr bio = ReadBio(pem);
  X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("not a certificate in PEM: ", OpenSslReason()));
  }
  return certificate;
}

absl::StatusOr<EvpKeyPtr> ReadKey(const std::string& pem) {
  const BioPtr bio = ReadBio(pem);
  EvpKeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("not a private key in PEM: ", OpenSslReason()));
  }
  return key;
}

int64_t Asn1Ms(const ASN1_TIME* time) {
  std::tm utc{};
  if (ASN1_TIME_to_tm(time, &utc) != 1) return 0;
  return static_cast<int64_t>(timegm(&utc)) * 1000;
}

absl::Status SetName(X509_NAME* name, const std::string& common_name) {
  const auto add = [name](const char* field, const std::string& value) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(value.data()),
                                      static_cast<int>(value.size()), -1, 0) == 1;
  };
  if (!add("O", "fedwatt") || !add("CN", common_name.substr(0, kMaxCommonName))) {
    return OpenSslError("set the certificate's name");
  }
  return absl::OkStatus();
}

absl::Status SetSerial(X509* certificate) {
  std::array<uint8_t, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return OpenSslError("draw a serial number");
  }
  bytes[0] = static_cast<uint8_t>((bytes[0] & 0x7F) | 0x40);  // positive, and always 16 bytes
  const BignumPtr number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  if (number == nullptr ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr) {
    return OpenSslError("set the serial number");
  }
  return absl::OkStatus();
}

absl::Status AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const X509ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return OpenSslError(absl::StrCat("add the extension ", OBJ_nid2sn(nid), " = ", value));
  }
  return absl::OkStatus();
}

struct Draft {
  X509Ptr certificate;
  EvpKeyPtr key;
};

absl::StatusOr<Draft> StartDraft(const std::string& common_name, int64_t not_before_ms,
                                 int64_t not_after_ms) {
  Draft draft{X509Ptr(X509_new()), EvpKeyPtr(EVP_EC_gen("P-256"))};
  X509* const certificate = draft.certificate.get();
  if (certificate == nullptr || draft.key == nullptr) return OpenSslError("create a P-256 key");
  FW_RETURN_IF_ERROR(SetSerial(certificate));
  FW_RETURN_IF_ERROR(SetName(X509_get_subject_name(certificate), common_name));
  if (X509_set_version(certificate, X509_VERSION_3) != 1 ||
      ASN1_TIME_set(X509_getm_notBefore(certificate), not_before_ms / 1000) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate), not_after_ms / 1000) == nullptr ||
      X509_set_pubkey(certificate, draft.key.get()) != 1) {
    return OpenSslError("fill in the certificate");
  }
  return draft;
}

using Extension = std::pair<int, std::string>;

absl::StatusOr<CertifiedKey> SignDraft(const Draft& draft, X509* issuer, EVP_PKEY* issuer_key,
                                       std::initializer_list<Extension> extensions) {
  X509* const certificate = draft.certificate.get();
  if (X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1) {
    return OpenSslError("name the issuer");
  }
  for (const auto& [nid, value] : extensions) {
    FW_RETURN_IF_ERROR(AddExtension(certificate, issuer, nid, value));
  }
  if (X509_sign(certificate, issuer_key, EVP_sha256()) == 0) {
    return OpenSslError("sign the certificate");
  }
  return CertifiedKey{CertificatePem(certificate), KeyPem(draft.key.get())};
}

absl::StatusOr<std::string> SubjectAltName(const CertificateRequest& request) {
  std::vector<std::string> entries = {
      absl::StrCat("URI:", IdentityUri({request.role, request.id}))};
  for (const std::string& name : request.dns_names) {
    FW_RETURN_IF_ERROR(CheckHost(name));
    entries.push_back(absl::StrCat("DNS:", name));
  }
  for (const std::string& address : request.ip_addresses) {
    FW_RETURN_IF_ERROR(CheckHost(address));
    entries.push_back(absl::StrCat("IP:", address));
  }
  return absl::StrJoin(entries, ",");
}

std::string Asn1Text(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

std::string NameText(const X509_NAME* name) {
  const BioPtr bio = WriteBio();
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  return BioText(bio.get());
}

std::string IpText(const std::string& bytes) {
  const std::string hex = HexEncode(AsBytes(bytes));
  const auto octet = [&bytes](size_t i) {
    return static_cast<int>(static_cast<uint8_t>(bytes[i]));
  };
  if (bytes.size() == 4) return absl::StrCat(octet(0), ".", octet(1), ".", octet(2), ".", octet(3));
  std::vector<std::string> groups;
  for (size_t i = 0; i + 4 <= hex.size(); i += 4) groups.push_back(hex.substr(i, 4));
  return absl::StrJoin(groups, ":");
}

void ReadAltNames(X509* certificate, CertificateInfo& info) {
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type = 0;
    const void* const value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
    if (type != GEN_URI && type != GEN_DNS && type != GEN_IPADD) continue;
    const std::string text = Asn1Text(static_cast<const ASN1_STRING*>(value));
    if (type == GEN_URI) info.san_uris.push_back(text);
    if (type == GEN_DNS) info.san_dns.push_back(text);
    if (type == GEN_IPADD) info.san_ips.push_back(IpText(text));
  }
}

std::string SerialHex(X509* certificate) {
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  std::vector<uint8_t> bytes(number == nullptr ? 0 : BN_num_bytes(number.get()));
  if (number != nullptr) BN_bn2bin(number.get(), bytes.data());
  return HexEncode(bytes);
}

std::string Fingerprint(X509* certificate) {
  std::array<uint8_t, 32> digest{};
  unsigned int size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  return HexEncode(digest);
}

CertificateInfo Describe(X509* certificate) {
  CertificateInfo info;
  info.subject = NameText(X509_get_subject_name(certificate));
  info.issuer = NameText(X509_get_issuer_name(certificate));
  ReadAltNames(certificate, info);
  info.not_before_ms = Asn1Ms(X509_get0_notBefore(certificate));
  info.not_after_ms = Asn1Ms(X509_get0_notAfter(certificate));
  info.serial = SerialHex(certificate);
  info.fingerprint = Fingerprint(certificate);
  info.is_ca = X509_check_ca(certificate) == 1;
  ERR_clear_error();
  return info;
}

absl::Status CheckDates(const CertificateInfo& info, const std::string& what, int64_t now_ms) {
  if (now_ms < info.not_before_ms) {
    return absl::UnauthenticatedError(absl::StrCat(
        what, " (", info.subject, ") is valid only from ", UtcTime(info.not_before_ms),
        ", and this machine's clock says ", UtcTime(now_ms), "; the clock is probably off by ",
        HumanDuration(info.not_before_ms - now_ms), " or more: set it and try again"));
  }
  if (now_ms >= info.not_after_ms) {
    return absl::UnauthenticatedError(absl::StrCat(
        what, " (", info.subject, ") expired at ", UtcTime(info.not_after_ms), ", ",
        HumanDuration(now_ms - info.not_after_ms), " ago by this machine's clock (",
        UtcTime(now_ms), "); issue a new one (fedwatt certs issue), or set the clock"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string UtcTime(int64_t unix_ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

std::string IdentityUri(const Identity& identity) {
  return absl::StrCat(kScheme, identity.role, "/", identity.id);
}

absl::StatusOr<Identity> ParseIdentityUri(const std::string& uri) {
  const size_t prefix = sizeof(kScheme) - 1;
  const size_t slash = uri.find('/', prefix);
  if (!absl::StartsWith(uri, kScheme) || slash == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", absl::CHexEscape(uri), "\" is not an identity: fedwatt://ROLE/ID"));
  }
  Identity identity{uri.substr(prefix, slash - prefix), uri.substr(slash + 1)};
  FW_RETURN_IF_ERROR(CheckRole(identity.role));
  FW_RETURN_IF_ERROR(CheckId(identity.id));
  return identity;
}

absl::StatusOr<CertifiedKey> CreateAuthority(const std::string& name, int64_t now_ms,
                                             int64_t valid_days) {
  FW_RETURN_IF_ERROR(CheckDays(valid_days));
  if (name.empty()) return absl::InvalidArgumentError("the authority needs a name");
  FW_ASSIGN_OR_RETURN(const Draft draft,
                      StartDraft(name, now_ms - kBackdateMs, now_ms + valid_days * kMsPerDay));
  return SignDraft(draft, draft.certificate.get(), draft.key.get(),
                   {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                    {NID_key_usage, "critical,keyCertSign,cRLSign"},
                    {NID_subject_key_identifier, "hash"}});
}

absl::StatusOr<CertifiedKey> IssueCertificate(const CertifiedKey& authority,
                                              const CertificateRequest& request, int64_t now_ms) {
  FW_RETURN_IF_ERROR(CheckRole(request.role));
  FW_RETURN_IF_ERROR(CheckId(request.id));
  FW_RETURN_IF_ERROR(CheckDays(request.valid_days));
  FW_ASSIGN_OR_RETURN(const std::string alt_name, SubjectAltName(request));
  FW_ASSIGN_OR_RETURN(const X509Ptr issuer, ReadCertificate(authority.certificate_pem));
  FW_ASSIGN_OR_RETURN(const EvpKeyPtr issuer_key, ReadKey(authority.key_pem));
  FW_RETURN_IF_ERROR(CheckKeyMatches(authority.certificate_pem, authority.key_pem));
  const CertificateInfo issuer_info = Describe(issuer.get());
  FW_RETURN_IF_ERROR(CheckDates(issuer_info, "the authority's certificate", now_ms));

  const int64_t not_after_ms =
      std::min(now_ms + request.valid_days * kMsPerDay, issuer_info.not_after_ms);
  FW_ASSIGN_OR_RETURN(const Draft draft,
                      StartDraft(request.id, now_ms - kBackdateMs, not_after_ms));
  // A coordinator also dials: it may forward a client to another coordinator.
  const bool server = request.role == "coordinator";
  return SignDraft(draft, issuer.get(), issuer_key.get(),
                   {{NID_basic_constraints, "critical,CA:FALSE"},
                    {NID_key_usage, "critical,digitalSignature"},
                    {NID_ext_key_usage, server ? "serverAuth,clientAuth" : "clientAuth"},
                    {NID_subject_key_identifier, "hash"},
                    {NID_authority_key_identifier, "keyid:always"},
                    {NID_subject_alt_name, alt_name}});
}

absl::StatusOr<CertificateInfo> ParseCertificate(const std::string& pem) {
  FW_ASSIGN_OR_RETURN(const X509Ptr certificate, ReadCertificate(pem));
  return Describe(certificate.get());
}

absl::StatusOr<Identity> CertificateIdentity(const CertificateInfo& certificate) {
  std::optional<Identity> found;
  for (const std::string& uri : certificate.san_uris) {
    if (!absl::StartsWith(uri, kScheme)) continue;
    if (found.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("certificate ", certificate.subject, " carries more than one identity"));
    }
    FW_ASSIGN_OR_RETURN(found, ParseIdentityUri(uri));
  }
  if (!found.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "certificate ", certificate.subject,
        " carries no identity (a SAN URI fedwatt://ROLE/ID); issue one with: fedwatt certs issue"));
  }
  return *found;
}

absl::Status CheckCertificate(const std::string& certificate_pem, const std::string& authority_pem,
                              int64_t now_ms) {
  absl::StatusOr<X509Ptr> certificate = ReadCertificate(certificate_pem);
  if (!certificate.ok()) return Annotate(certificate.status(), "the certificate");
  absl::StatusOr<X509Ptr> authority = ReadCertificate(authority_pem);
  if (!authority.ok()) return Annotate(authority.status(), "the authority's certificate");
  const CertificateInfo info = Describe(certificate->get());
  const CertificateInfo authority_info = Describe(authority->get());
  if (!authority_info.is_ca) {
    return absl::InvalidArgumentError(
        absl::StrCat("the authority's certificate (", authority_info.subject,
                     ") is not a certificate authority; pass the file that certs init made"));
  }
  // The signature and not the name decides: a re-created authority has the same name.
  const int verified = X509_verify(certificate->get(), X509_get0_pubkey(authority->get()));
  ERR_clear_error();
  if (verified != 1) {
    return absl::UnauthenticatedError(absl::StrCat(
        "the certificate (", info.subject, ") was not signed by the authority at hand (",
        authority_info.subject, ", fingerprint ", authority_info.fingerprint.substr(0, 16),
        "), but by another one named ", info.issuer,
        "; issue it again with this authority, or use the other authority's certificate"));
  }
  FW_RETURN_IF_ERROR(CheckDates(authority_info, "the authority's certificate", now_ms));
  return CheckDates(info, "the certificate", now_ms);
}

absl::Status CheckKeyMatches(const std::string& certificate_pem, const std::string& key_pem) {
  FW_ASSIGN_OR_RETURN(const X509Ptr certificate, ReadCertificate(certificate_pem));
  FW_ASSIGN_OR_RETURN(const EvpKeyPtr key, ReadKey(key_pem));
  const int matches = X509_check_private_key(certificate.get(), key.get());
  ERR_clear_error();
  if (matches == 1) return absl::OkStatus();
  return absl::UnauthenticatedError(
      absl::StrCat("the private key does not belong to the certificate (",
                   NameText(X509_get_subject_name(certificate.get())),
                   "); use the key that was written beside it, or issue both again"));
}

}  // namespace fedwatt
