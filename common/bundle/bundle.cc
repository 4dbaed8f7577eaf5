#include "common/bundle/bundle.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/bundle/bundle_layout.h"
#include "common/wire/bundle_bytes.h"

namespace fedwatt {

absl::StatusOr<std::shared_ptr<const Bundle>> Bundle::Open(const std::string& path) {
  std::shared_ptr<Bundle> bundle(new Bundle());
  bundle->path_ = path;
  FW_ASSIGN_OR_RETURN(bundle->file_, MappedFile::Open(path));
  FW_RETURN_IF_ERROR(Annotate(bundle->Parse(), path));
  FW_RETURN_IF_ERROR(Annotate(bundle->CheckBlobs(), path));
  return bundle;
}

absl::Status Bundle::Parse() {
  const std::span<const uint8_t> bytes = file_.bytes();
  FW_ASSIGN_OR_RETURN(const std::span<const uint8_t> header, SignedHeaderBytes(bytes));
  blobs_offset_ = static_cast<uint64_t>(header.data() + header.size() - bytes.data());
  FW_ASSIGN_OR_RETURN(signed_header_, wire::ParseSignedBundleHeader(header));
  const std::span<const uint8_t> signed_part = AsBytes(signed_header_.header);
  FW_ASSIGN_OR_RETURN(header_, wire::ParseBundleHeader(signed_part));
  header_sha256_ = Sha256Of(signed_part);
  return CheckBlobLayout(header_, signed_header_.tensors, bytes.size() - blobs_offset_);
}

absl::Status Bundle::CheckBlobs() const {
  for (const Artifact& artifact : header_.artifacts) {
    if (Sha256Of(Blob(artifact)) != artifact.sha256) {
      return absl::DataLossError(absl::StrCat(
          "the ", artifact.format, " artifact does not have the hash ", DigestHex(artifact.sha256),
          " of its header: the file is damaged or was altered; get it again"));
    }
  }
  if (!Tensors().empty() && Sha256Of(Tensors()) != signed_header_.tensors.sha256) {
    return absl::DataLossError(absl::StrCat("the tensors do not have the declared hash ",
                                            DigestHex(signed_header_.tensors.sha256),
                                            ": the file is damaged; get it again"));
  }
  return absl::OkStatus();
}

std::span<const uint8_t> Bundle::Blob(const Artifact& artifact) const {
  return file_.bytes().subspan(blobs_offset_ + artifact.offset, artifact.size);
}

std::span<const uint8_t> Bundle::ArtifactData(const Artifact& artifact) const {
  return Blob(artifact);
}

std::span<const uint8_t> Bundle::Tensors() const {
  return signed_header_.tensors.size == 0 ? std::span<const uint8_t>()
                                          : Blob(signed_header_.tensors);
}

std::vector<std::string> Bundle::signer_key_ids() const {
  std::vector<std::string> ids;
  for (const auto& entry : signed_header_.signatures) ids.push_back(entry.key_id);
  return ids;
}

absl::Status Bundle::VerifySignedBy(std::span<const PublicKey> trusted) const {
  if (signed_header_.signatures.empty()) {
    return absl::PermissionDeniedError(absl::StrCat(
        path_, ": the bundle is not signed; its owner signs it with the job-owner key"));
  }
  const std::string text = BundleSignedText(signed_header_.header);
  std::string altered;
  for (const auto& entry : signed_header_.signatures) {
    for (const PublicKey& key : trusted) {
      if (key.KeyId() != entry.key_id) continue;
      Signature signature;
      std::memcpy(signature.data(), entry.signature.data(), signature.size());
      if (key.Verify(AsBytes(text), signature).ok()) return absl::OkStatus();
      altered = entry.key_id;
    }
  }
  if (!altered.empty()) {
    return absl::PermissionDeniedError(
        absl::StrCat(path_, ": the bundle's header was altered after key ", altered,
                     " signed it; get the bundle from its owner again"));
  }
  return absl::PermissionDeniedError(absl::StrCat(
      path_, ": the bundle is signed by key ", absl::StrJoin(signer_key_ids(), ", "),
      ", which is not trusted here; if its owner is, add that public key to the trusted keys"));
}

}  // namespace fedwatt
