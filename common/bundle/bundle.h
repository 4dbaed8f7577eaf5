#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/sha256.h"
#include "common/model/bundle_header.h"

// A bundle is a model as a file, of any size (docs/bundle-format.md):
//
//   "FWBUNDLE" | u32 version = 1 | u32 n | n bytes SignedBundleHeader | blobs
//
// The Ed25519 signatures cover the header, which holds every artifact's SHA-256, hence all that can
// run. The tensors' own entry is hashed but not signed: it changes with every round and cannot run.
namespace fedwatt {

// A verified, memory-mapped bundle file. Immutable; safe to share between threads.
class Bundle {
 public:
  // Checks structure, bounds and every blob's hash. Errors name the file and what is wrong:
  // NOT_FOUND (no file), INVALID_ARGUMENT (not a bundle, or a value out of its bounds), DATA_LOSS
  // (truncated, overlapping or oversized parts, a wrong hash, bytes behind the end),
  // FAILED_PRECONDITION (written by a newer version).
  static absl::StatusOr<std::shared_ptr<const Bundle>> Open(const std::string& path);

  const BundleHeader& header() const { return header_; }
  // `artifact` is one of header().artifacts. Valid as long as the bundle.
  std::span<const uint8_t> ArtifactData(const Artifact& artifact) const;
  // Flat data in manifest order; empty when the file carries none.
  std::span<const uint8_t> Tensors() const;
  const Digest& tensors_sha256() const { return signed_header_.tensors.sha256; }
  // SHA-256 of the header bytes: the identity of the graph and manifest.
  const Digest& header_sha256() const { return header_sha256_; }
  std::vector<std::string> signer_key_ids() const;

  // OK when one signature is valid under one of `trusted`; PERMISSION_DENIED says whether it is
  // unsigned, signed by an unknown key (with its id) or altered, and how to trust a key.
  absl::Status VerifySignedBy(std::span<const PublicKey> trusted) const;

 private:
  Bundle() = default;
  absl::Status Parse();
  absl::Status CheckBlobs() const;
  std::span<const uint8_t> Blob(const Artifact& artifact) const;

  std::string path_;
  MappedFile file_;
  BundleHeader header_;
  SignedBundleHeader signed_header_;
  Digest header_sha256_{};
  uint64_t blobs_offset_ = 0;
  friend class BundleWriter;
};

// Writes bundle files, atomically: through "<path>.partial" beside it. Refuses (INVALID_ARGUMENT)
// what Bundle::Open would.
class BundleWriter {
 public:
  // `artifacts` are the blobs in the order of header.artifacts; sizes, hashes and offsets in
  // `header` are filled in here. `tensors` may be empty, `signer` null.
  static absl::Status Write(const std::string& path, BundleHeader header,
                            const std::vector<std::span<const uint8_t>>& artifacts,
                            std::span<const uint8_t> tensors, const SigningKey* signer);
  // Adds a signature to the file at `path`, in the place of an earlier one by the same key.
  static absl::Status Sign(const std::string& path, const SigningKey& signer);
  // Copies `bundle` to `path` with other tensors (a trained model; manifest.TotalBytes() bytes) or,
  // with an empty span, without any. Signatures stay valid.
  static absl::Status WriteWithTensors(const std::string& path, const Bundle& bundle,
                                       std::span<const uint8_t> tensors);
};

}  // namespace fedwatt
