#include "common/wire/bundle_bytes.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/wire/model_wire.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace fedwatt::wire {
namespace {

// Protobuf promises stable bytes only on request, and signatures and hashes are over these.
std::string Serialize(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

template <typename Message>
absl::Status Parse(ByteSpan bytes, const char* what, Message* out) {
  if (bytes.size() <= static_cast<size_t>(std::numeric_limits<int>::max()) &&
      out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(what, " of ", bytes.size(), " bytes is damaged"));
}

}  // namespace

std::string SerializeBundleHeader(const BundleHeader& header) {
  v1::BundleHeader message;
  ToProto(header, &message);
  return Serialize(message);
}

std::string SerializeSignedBundleHeader(const SignedBundleHeader& header) {
  v1::SignedBundleHeader message;
  ToProto(header, &message);
  return Serialize(message);
}

absl::StatusOr<BundleHeader> ParseBundleHeader(ByteSpan bytes) {
  v1::BundleHeader message;
  FW_RETURN_IF_ERROR(Parse(bytes, "the bundle header", &message));
  return FromProto(message);
}

absl::StatusOr<SignedBundleHeader> ParseSignedBundleHeader(ByteSpan bytes) {
  v1::SignedBundleHeader message;
  FW_RETURN_IF_ERROR(Parse(bytes, "the signed bundle header", &message));
  return FromProto(message);
}

}  // namespace fedwatt::wire
