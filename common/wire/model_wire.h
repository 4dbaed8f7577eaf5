#pragma once

// proto/fedwatt/v1/model.proto <-> common/model. The rules of every *_wire.h of this folder:
//
//   ToProto(value, &message)  total; `message` is empty before. Free texts that no peer could take
//                             (bytes that are not UTF-8, overlong) are made fit.
//   FromProto(message)        trusts nothing: lengths, counts, enums, digests, sizes and floats are
//                             checked against common/base/bounds.h. INVALID_ARGUMENT names the
//                             field, its value and the limit.
//
// FromProto(ToProto(x)) is x for every x that FromProto can give. Stateless, thread-safe.

#include "absl/status/statusor.h"
#include "common/model/bundle_header.h"
#include "common/model/fleet.h"
#include "common/model/manifest.h"
#include "fedwatt/v1/model.pb.h"

namespace fedwatt::wire {

void ToProto(const Manifest& manifest, v1::Manifest* out);
absl::StatusOr<Manifest> FromProto(const v1::Manifest& in);

void ToProto(const Artifact& artifact, v1::Artifact* out);
absl::StatusOr<Artifact> FromProto(const v1::Artifact& in);

// `format_version` is 1; a greater one is FAILED_PRECONDITION, asking for an upgrade.
void ToProto(const BundleHeader& header, v1::BundleHeader* out);
absl::StatusOr<BundleHeader> FromProto(const v1::BundleHeader& in);

void ToProto(const SignedBundleHeader& header, v1::SignedBundleHeader* out);
absl::StatusOr<SignedBundleHeader> FromProto(const v1::SignedBundleHeader& in);

// Inline data are checked against size and hash here, so that nobody behind has to.
void ToProto(const Resource& resource, v1::Resource* out);
absl::StatusOr<Resource> FromProto(const v1::Resource& in);

void ToProto(const ModelRef& ref, v1::ModelRef* out);
absl::StatusOr<ModelRef> FromProto(const v1::ModelRef& in);

}  // namespace fedwatt::wire
