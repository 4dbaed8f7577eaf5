#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/model/bundle_header.h"
#include "server/store/blob_store.h"

// Bundles in the blob store. A bundle file is kept as two blobs, the file without tensors (what
// clients download) and the flat tensors (a model like any other), under one name: the hash of a
// third, small blob that lists both.
namespace fedwatt {

struct BundleParts {
  Digest stripped{};  // the bundle file without tensors
  Digest tensors{};
};

// Checks the file (structure, every hash), keeps its parts; idempotent. INVALID_ARGUMENT: no
// tensors. `name` gets the bundle's own.
absl::StatusOr<Digest> PutBundle(BlobStore* blobs, const std::string& file_path, std::string* name);

// NOT_FOUND: no such bundle here, upload it (again).
absl::StatusOr<BundleParts> FindBundle(BlobStore* blobs, const Digest& bundle);

// Of a stripped bundle's blob.
absl::StatusOr<BundleHeader> ReadBundleHeader(const MappedFile& stripped);

// Writes the bundle file with `tensors` to `path`.
absl::Status WriteBundleFile(BlobStore* blobs, const Digest& stripped,
                             std::span<const uint8_t> tensors, const std::string& path);

}  // namespace fedwatt
