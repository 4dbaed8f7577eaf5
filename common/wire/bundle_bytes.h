#pragma once

// Bundle headers as bytes, for common/bundle, which sees no protobuf.

#include <string>

#include "absl/status/statusor.h"
#include "common/base/bytes.h"
#include "common/model/bundle_header.h"

namespace fedwatt::wire {

// The same header gives the same bytes, in every run and on every machine.
std::string SerializeBundleHeader(const BundleHeader& header);
std::string SerializeSignedBundleHeader(const SignedBundleHeader& header);

// DATA_LOSS: not such a message. FAILED_PRECONDITION: of a newer format. INVALID_ARGUMENT: a value
// out of its bounds (model_wire.h).
absl::StatusOr<BundleHeader> ParseBundleHeader(ByteSpan bytes);
absl::StatusOr<SignedBundleHeader> ParseSignedBundleHeader(ByteSpan bytes);

}  // namespace fedwatt::wire
