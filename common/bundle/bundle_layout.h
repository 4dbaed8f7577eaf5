#pragma once

// Where the parts of a bundle file are (docs/bundle-format.md). Internal to common/bundle.

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/bundle_header.h"

namespace fedwatt {

inline constexpr char kBundleMagic[] = "FWBUNDLE";
inline constexpr size_t kBundleMagicBytes = 8;
inline constexpr uint32_t kBundleVersion = 1;
// Magic, version, header length.
inline constexpr size_t kBundlePrologueBytes = kBundleMagicBytes + 4 + 4;
// A manifest of kMaxTensors tensors with names of kMaxNameLength fits.
inline constexpr uint32_t kMaxBundleHeaderBytes = 32 * 1024 * 1024;

std::string BundlePrologue(uint32_t header_bytes);

// The SignedBundleHeader's bytes in a whole file.
absl::StatusOr<std::span<const uint8_t>> SignedHeaderBytes(std::span<const uint8_t> file);

// The blobs follow each other without gap or overlap: the artifacts in their order, then the
// tensors if there are any; they fill `blob_bytes` exactly.
absl::Status CheckBlobLayout(const BundleHeader& header, const Artifact& tensors,
                             uint64_t blob_bytes);

}  // namespace fedwatt
