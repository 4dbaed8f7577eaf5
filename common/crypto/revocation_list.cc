#include "common/crypto/revocation_list.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/sha256.h"

namespace fedwatt {
namespace {

// A million revoked devices fit.
constexpr uint64_t kMaxListBytes = uint64_t{256} << 20;

constexpr char kHeader[] =
    "# Revoked identities and certificates of this deployment; read by the coordinator.\n";

}  // namespace

absl::StatusOr<RevocationList> RevocationList::Parse(const std::string& text) {
  RevocationList list;
  int line_number = 0;
  for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++line_number;
    const absl::string_view line =
        absl::StripAsciiWhitespace(raw.substr(0, std::min(raw.find('#'), raw.size())));
    if (line.empty()) continue;
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipWhitespace());
    if (words.size() != 2 || (words[0] != "identity" && words[0] != "fingerprint")) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", line_number, ": expected \"identity URI\" or \"fingerprint HEX\""));
    }
    FW_RETURN_IF_ERROR(Annotate(list.Add(words[1]), absl::StrCat("line ", line_number)));
  }
  return list;
}

absl::StatusOr<RevocationList> RevocationList::Load(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxListBytes);
  if (absl::IsNotFound(text.status())) return RevocationList();
  if (!text.ok()) return text.status();
  absl::StatusOr<RevocationList> list = Parse(*text);
  if (!list.ok()) return Annotate(list.status(), path);
  return list;
}

absl::Status RevocationList::Save(const std::string& path) const {
  return WriteFileAtomic(path, ToText());
}

std::string RevocationList::ToText() const {
  std::string text = kHeader;
  for (const std::string& identity : identities_) {
    absl::StrAppend(&text, "identity ", identity, "\n");
  }
  for (const std::string& fingerprint : fingerprints_) {
    absl::StrAppend(&text, "fingerprint ", fingerprint, "\n");
  }
  return text;
}

absl::Status RevocationList::Add(const std::string& identity_or_fingerprint) {
  if (const absl::StatusOr<Identity> identity = ParseIdentityUri(identity_or_fingerprint);
      identity.ok()) {
    identities_.insert(IdentityUri(*identity));
    return absl::OkStatus();
  }
  if (const absl::StatusOr<Digest> digest = ParseDigest(identity_or_fingerprint); digest.ok()) {
    fingerprints_.insert(DigestHex(*digest));
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", identity_or_fingerprint,
                   "\" is neither an identity (fedwatt://ROLE/ID) nor the SHA-256 fingerprint of a "
                   "certificate (64 hexadecimal digits)"));
}

bool RevocationList::Contains(const CertificateInfo& certificate) const {
  return fingerprints_.contains(certificate.fingerprint) ||
         std::any_of(certificate.san_uris.begin(), certificate.san_uris.end(),
                     [this](const std::string& uri) { return identities_.contains(uri); });
}

bool RevocationList::Contains(const Identity& identity) const {
  return identities_.contains(IdentityUri(identity));
}

}  // namespace fedwatt
