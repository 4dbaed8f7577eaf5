#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/bundle/bundle.h"
#include "common/bundle/bundle_layout.h"
#include "common/wire/bundle_bytes.h"

namespace fedwatt {
namespace {

using Blobs = std::vector<std::span<const uint8_t>>;

absl::Status AppendAll(FileWriter* file, const std::string& header, const Blobs& blobs) {
  FW_RETURN_IF_ERROR(file->Append(AsBytes(BundlePrologue(static_cast<uint32_t>(header.size())))));
  FW_RETURN_IF_ERROR(file->Append(AsBytes(header)));
  for (const std::span<const uint8_t> blob : blobs) FW_RETURN_IF_ERROR(file->Append(blob));
  FW_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

// Streams, for a bundle may be larger than memory.
absl::Status WriteBundleFile(const std::string& path, const SignedBundleHeader& header,
                             const Blobs& blobs) {
  const std::string bytes = wire::SerializeSignedBundleHeader(header);
  if (bytes.size() > kMaxBundleHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": a header of ", bytes.size(),
                                                   " bytes: at most ", kMaxBundleHeaderBytes,
                                                   " are allowed"));
  }
  const std::string partial = absl::StrCat(path, ".partial");
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(partial));
  absl::Status written = AppendAll(&file, bytes, blobs);
  if (written.ok()) written = RenameFile(partial, path);
  if (!written.ok()) {
    RemoveIfExists(partial).IgnoreError();
    return written;
  }
  return FsyncDir(DirName(path));
}

void AddSignature(const SigningKey& signer, SignedBundleHeader* header) {
  const std::string key_id = signer.public_key().KeyId();
  std::erase_if(header->signatures, [&](const auto& entry) { return entry.key_id == key_id; });
  const Signature signature = signer.Sign(AsBytes(BundleSignedText(header->header)));
  header->signatures.push_back({key_id, std::string(signature.begin(), signature.end())});
}

Artifact DescribeTensors(std::span<const uint8_t> tensors, uint64_t offset) {
  Artifact entry;
  if (tensors.empty()) return entry;
  entry.format = "tensors";
  entry.version = "1";
  entry.sha256 = Sha256Of(tensors);
  entry.size = tensors.size();
  entry.offset = offset;
  return entry;
}

}  // namespace

absl::Status BundleWriter::Write(const std::string& path, BundleHeader header,
                                 const std::vector<std::span<const uint8_t>>& artifacts,
                                 std::span<const uint8_t> tensors, const SigningKey* signer) {
  if (artifacts.size() != header.artifacts.size()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", artifacts.size(), " blobs for ",
                                                   header.artifacts.size(), " artifacts"));
  }
  uint64_t offset = 0;
  for (size_t i = 0; i < artifacts.size(); ++i) {
    header.artifacts[i].sha256 = Sha256Of(artifacts[i]);
    header.artifacts[i].size = artifacts[i].size();
    header.artifacts[i].offset = offset;
    offset += artifacts[i].size();
  }
  SignedBundleHeader signed_header;
  signed_header.header = wire::SerializeBundleHeader(header);
  signed_header.tensors = DescribeTensors(tensors, offset);
  const auto readable = wire::ParseBundleHeader(AsBytes(signed_header.header));
  FW_RETURN_IF_ERROR(Annotate(readable.status(), path));
  FW_RETURN_IF_ERROR(
      Annotate(CheckBlobLayout(header, signed_header.tensors, offset + tensors.size()), path));
  if (signer != nullptr) AddSignature(*signer, &signed_header);
  Blobs blobs = artifacts;
  blobs.push_back(tensors);
  return WriteBundleFile(path, signed_header, blobs);
}

absl::Status BundleWriter::Sign(const std::string& path, const SigningKey& signer) {
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const Bundle> bundle, Bundle::Open(path));
  SignedBundleHeader header = bundle->signed_header_;
  AddSignature(signer, &header);
  return WriteBundleFile(path, header, {bundle->file_.bytes().subspan(bundle->blobs_offset_)});
}

absl::Status BundleWriter::WriteWithTensors(const std::string& path, const Bundle& bundle,
                                            std::span<const uint8_t> tensors) {
  SignedBundleHeader header = bundle.signed_header_;
  uint64_t offset = 0;
  Blobs blobs;
  for (const Artifact& artifact : bundle.header_.artifacts) {
    blobs.push_back(bundle.ArtifactData(artifact));
    offset += artifact.size;
  }
  header.tensors = DescribeTensors(tensors, offset);
  FW_RETURN_IF_ERROR(
      Annotate(CheckBlobLayout(bundle.header_, header.tensors, offset + tensors.size()), path));
  blobs.push_back(tensors);
  return WriteBundleFile(path, header, blobs);
}

}  // namespace fedwatt
