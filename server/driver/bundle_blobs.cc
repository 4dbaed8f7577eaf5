#include "server/driver/bundle_blobs.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle.h"
#include "common/bundle/bundle_layout.h"
#include "common/wire/bundle_bytes.h"

namespace fedwatt {
namespace {

constexpr char kPartsTitle[] = "fedwatt-bundle-parts-v1";

}  // namespace

absl::StatusOr<Digest> PutBundle(BlobStore* blobs, const std::string& file_path,
                                 std::string* name) {
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const Bundle> bundle, Bundle::Open(file_path));
  if (bundle->Tensors().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("bundle \"", bundle->header().name,
                     "\" carries no initial tensors; submit the file that `fedwatt-torch new` or "
                     "`import` wrote"));
  }
  const std::string stripped_path = absl::StrCat(file_path, ".stripped");
  const absl::Cleanup remove = [&] { RemoveIfExists(stripped_path).IgnoreError(); };
  FW_RETURN_IF_ERROR(BundleWriter::WriteWithTensors(stripped_path, *bundle, {}));
  FW_ASSIGN_OR_RETURN(const MappedFile stripped, MappedFile::Open(stripped_path));
  FW_ASSIGN_OR_RETURN(const BlobRef stripped_ref, blobs->Put(stripped.bytes()));
  FW_ASSIGN_OR_RETURN(const BlobRef tensors_ref, blobs->Put(bundle->Tensors()));
  const std::string parts = absl::StrCat(kPartsTitle, "\n", DigestHex(stripped_ref.sha256), "\n",
                                         DigestHex(tensors_ref.sha256), "\n");
  FW_ASSIGN_OR_RETURN(const BlobRef parts_ref, blobs->Put(AsBytes(parts)));
  if (name != nullptr) *name = bundle->header().name;
  return parts_ref.sha256;
}

absl::StatusOr<BundleParts> FindBundle(BlobStore* blobs, const Digest& bundle) {
  const auto unknown = [&bundle] {
    return absl::NotFoundError(
        absl::StrCat("no bundle ", DigestHex(bundle), " on this coordinator; upload it again"));
  };
  const auto file = blobs->Open(bundle);
  if (!file.ok()) return absl::IsNotFound(file.status()) ? unknown() : file.status();
  const std::vector<std::string> lines = absl::StrSplit(
      std::string(AsText((*file)->bytes().first(std::min<size_t>((*file)->bytes().size(), 256)))),
      '\n');
  if (lines.size() < 3 || lines[0] != kPartsTitle) return unknown();
  BundleParts parts;
  FW_ASSIGN_OR_RETURN(parts.stripped, ParseDigest(lines[1]));
  FW_ASSIGN_OR_RETURN(parts.tensors, ParseDigest(lines[2]));
  return parts;
}

absl::StatusOr<BundleHeader> ReadBundleHeader(const MappedFile& stripped) {
  FW_ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, SignedHeaderBytes(stripped.bytes()));
  FW_ASSIGN_OR_RETURN(const SignedBundleHeader header, wire::ParseSignedBundleHeader(bytes));
  return wire::ParseBundleHeader(AsBytes(header.header));
}

absl::Status WriteBundleFile(BlobStore* blobs, const Digest& stripped,
                             std::span<const uint8_t> tensors, const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, blobs->Open(stripped));
  const std::string stripped_path = absl::StrCat(path, ".stripped");
  const absl::Cleanup remove = [&] { RemoveIfExists(stripped_path).IgnoreError(); };
  FW_RETURN_IF_ERROR(WriteFileAtomic(stripped_path, AsText(file->bytes())));
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const Bundle> bundle, Bundle::Open(stripped_path));
  return BundleWriter::WriteWithTensors(path, *bundle, tensors);
}

}  // namespace fedwatt
