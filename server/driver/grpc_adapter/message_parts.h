#pragma once

// Single values of requests, checked; whole messages are common/wire's.

#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/crypto/sha256.h"

namespace fedwatt {

// INVALID_ARGUMENT unless 32 bytes.
inline absl::StatusOr<Digest> DigestOf(const std::string& key, const std::string& bytes) {
  Digest digest{};
  if (bytes.size() != digest.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, " has ", bytes.size(), " bytes; a SHA-256 has ", digest.size()));
  }
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

// INVALID_ARGUMENT if `text` is empty or overlong.
inline absl::Status CheckName(const std::string& key, const std::string& text) {
  if (!text.empty() && text.size() <= bounds::kMaxNameLength) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      key, " has ", text.size(), " characters; legal are 1 to ", bounds::kMaxNameLength));
}

// The request of a call whose messages gRPC hands over unparsed.
template <typename Message>
absl::StatusOr<Message> ParseMessage(const grpc::ByteBuffer& raw) {
  Message message;
  grpc::ByteBuffer copy(raw);  // shares the bytes; parsing consumes it
  if (!grpc::SerializationTraits<Message>::Deserialize(&copy, &message).ok()) {
    return absl::InvalidArgumentError(absl::StrCat("the request is not a ", message.GetTypeName()));
  }
  return message;
}

}  // namespace fedwatt
