#include "common/bundle/bundle_layout.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

uint32_t LoadU32(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8 |
         static_cast<uint32_t>(p[2]) << 16 | static_cast<uint32_t>(p[3]) << 24;
}

absl::Status Truncated(uint64_t have, uint64_t need) {
  return absl::DataLossError(absl::StrCat("the bundle is truncated: ", have, " bytes of at least ",
                                          need, "; get it again"));
}

// `next` is the end of the blob before.
absl::Status CheckBlob(const std::string& what, const Artifact& blob, uint64_t next,
                       uint64_t blob_bytes) {
  if (blob.offset < next) {
    return absl::DataLossError(absl::StrCat(what, " at offset ", blob.offset,
                                            " overlaps what is before it, up to ", next));
  }
  if (blob.offset > next) {
    return absl::DataLossError(
        absl::StrCat(what, " at offset ", blob.offset, " leaves a gap after ", next));
  }
  if (blob.size > blob_bytes - next) {
    return absl::DataLossError(absl::StrCat(what, " of ", blob.size, " bytes at offset ",
                                            blob.offset, " reaches beyond the ", blob_bytes,
                                            " bytes of the file's blobs: truncated"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string BundlePrologue(uint32_t header_bytes) {
  std::string out(kBundleMagic, kBundleMagicBytes);
  for (const uint32_t value : {kBundleVersion, header_bytes}) {
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
  }
  return out;
}

absl::StatusOr<std::span<const uint8_t>> SignedHeaderBytes(std::span<const uint8_t> file) {
  if (file.size() < kBundleMagicBytes ||
      std::memcmp(file.data(), kBundleMagic, kBundleMagicBytes) != 0) {
    return absl::InvalidArgumentError(
        "not a bundle (it does not begin with FWBUNDLE); make one with fedwatt-torch new or "
        "import");
  }
  if (file.size() < kBundlePrologueBytes) return Truncated(file.size(), kBundlePrologueBytes);
  const uint32_t version = LoadU32(file.data() + kBundleMagicBytes);
  if (version > kBundleVersion) {
    return absl::FailedPreconditionError(absl::StrCat("bundle version ", version,
                                                      ": this fedwatt reads up to version ",
                                                      kBundleVersion, "; upgrade it"));
  }
  if (version != kBundleVersion) {
    return absl::DataLossError(absl::StrCat("bundle version ", version, " does not exist"));
  }
  const uint32_t header_bytes = LoadU32(file.data() + kBundleMagicBytes + 4);
  if (header_bytes > kMaxBundleHeaderBytes) {
    return absl::DataLossError(absl::StrCat("a header of ", header_bytes, " bytes: at most ",
                                            kMaxBundleHeaderBytes, " are allowed"));
  }
  if (header_bytes > file.size() - kBundlePrologueBytes) {
    return Truncated(file.size(), kBundlePrologueBytes + header_bytes);
  }
  return file.subspan(kBundlePrologueBytes, header_bytes);
}

absl::Status CheckBlobLayout(const BundleHeader& header, const Artifact& tensors,
                             uint64_t blob_bytes) {
  uint64_t next = 0;
  for (const Artifact& artifact : header.artifacts) {
    if (artifact.size == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the ", artifact.format, " artifact is empty"));
    }
    FW_RETURN_IF_ERROR(
        CheckBlob(absl::StrCat("the ", artifact.format, " artifact"), artifact, next, blob_bytes));
    next += artifact.size;
  }
  if (tensors.size > 0) {
    if (tensors.size != header.manifest.TotalBytes()) {
      return absl::InvalidArgumentError(absl::StrCat("the tensors have ", tensors.size,
                                                     " bytes, the manifest of \"", header.name,
                                                     "\" asks for ", header.manifest.TotalBytes()));
    }
    FW_RETURN_IF_ERROR(CheckBlob("the tensors", tensors, next, blob_bytes));
    next += tensors.size;
  }
  if (next != blob_bytes) {
    return absl::DataLossError(
        absl::StrCat(blob_bytes - next, " unexpected bytes behind the bundle's end"));
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
