#include "client/sdk/update_encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr char kIdentityCodec[] = "raw_f32";

// Branch-free, so that it runs at memory speed. NaN fails the comparison.
bool AllWithin(std::span<const float> values, float bound) {
  constexpr size_t kBlock = 4096;
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const std::span<const float> block =
        values.subspan(begin, std::min(kBlock, values.size() - begin));
    int bad = 0;
    for (const float value : block) bad |= static_cast<int>(!(std::fabs(value) <= bound));
    if (bad != 0) return false;
  }
  return true;
}

template <typename T>
absl::Status CheckBuffer(std::span<const uint8_t> bytes, const TensorSpec& tensor) {
  for (size_t i = 0; i < tensor.Elements(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    if (std::isfinite(value)) continue;
    return absl::InvalidArgumentError(absl::StrCat("element ", i, " of the buffer ", tensor.name,
                                                   " is ", value, " after training"));
  }
  return absl::OkStatus();
}

float LimitOf(const EncodeRequest& request) {
  return request.max_abs_delta > 0 ? static_cast<float>(request.max_abs_delta)
                                   : std::numeric_limits<float>::max();
}

absl::Status CheckDelta(const EncodeRequest& request, std::span<const float> delta) {
  const float limit = LimitOf(request);
  if (AllWithin(delta, limit)) return absl::OkStatus();
  for (const UpdateLayout::Piece& piece : request.layout.trainable) {
    for (uint64_t i = 0; i < piece.elements; ++i) {
      const float value = delta[piece.offset + i];
      if (std::fabs(value) <= limit) continue;
      const std::string& name = request.manifest->tensors()[piece.tensor].name;
      return absl::InvalidArgumentError(
          absl::StrCat("the delta of ", name, " at element ", i, " is ", value,
                       std::isfinite(value) ? absl::StrCat(", beyond the job's bound of ", limit)
                                            : std::string(),
                       "; lower the learning rate or set clip_grad_norm"));
    }
  }
  return absl::InternalError("the update layout does not cover its own coordinates");
}

absl::Status CheckBuffers(const EncodeRequest& request, std::span<const uint8_t> buffers) {
  for (const UpdateLayout::Piece& piece : request.layout.buffers) {
    const TensorSpec& tensor = request.manifest->tensors()[piece.tensor];
    const std::span<const uint8_t> bytes = buffers.subspan(piece.offset, tensor.Bytes());
    if (tensor.dtype == DType::kF32) FW_RETURN_IF_ERROR(CheckBuffer<float>(bytes, tensor));
    if (tensor.dtype == DType::kF64) FW_RETURN_IF_ERROR(CheckBuffer<double>(bytes, tensor));
  }
  return absl::OkStatus();
}

absl::Status CheckBytes(uint64_t bytes, uint64_t max_bytes) {
  if (max_bytes == 0 || bytes <= max_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the encoded update has ", bytes, " bytes, the coordinator takes ", max_bytes));
}

absl::Status SyncFile(const std::string& path) {
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Open(path));
  FW_RETURN_IF_ERROR(file.Sync());
  return file.Close();
}

// One pass for bound and hash. Says only that something is wrong: CheckDelta and CheckBuffers find
// what. Nothing: the hash of a file whose delta is within the limit.
absl::StatusOr<std::optional<Digest>> HashIfWithin(const std::string& path, uint64_t delta_bytes,
                                                   float limit) {
  FW_ASSIGN_OR_RETURN(FileReader file, FileReader::Open(path));
  Sha256 hash;
  for (uint64_t position = 0;;) {
    FW_ASSIGN_OR_RETURN(const ByteSpan block, file.Next());
    if (block.empty()) return hash.Finish();
    const uint64_t delta = std::min<uint64_t>(block.size(), delta_bytes - position);
    if (!AllWithin({reinterpret_cast<const float*>(block.data()), delta / sizeof(float)}, limit)) {
      return std::nullopt;
    }
    hash.Update(block);
    position += delta;
  }
}

absl::StatusOr<EncodedUpdate> Keep(const EncodeRequest& request, const std::string& from,
                                   uint64_t bytes, const Digest& sha256) {
  EncodedUpdate update{sha256, bytes};
  if (from == request.update_path) return update;
  if (request.sync) FW_RETURN_IF_ERROR(SyncFile(from));
  FW_RETURN_IF_ERROR(RenameFile(from, request.update_path));
  return update;
}

absl::StatusOr<EncodedUpdate> Write(const EncodeRequest& request, const std::string& encoded,
                                    std::span<const uint8_t> buffers) {
  const std::string temporary = absl::StrCat(request.update_path, ".new");
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(temporary, 0600));
  FW_RETURN_IF_ERROR(file.Append(AsBytes(encoded)));
  FW_RETURN_IF_ERROR(file.Append(buffers));
  if (request.sync) FW_RETURN_IF_ERROR(file.Sync());
  FW_RETURN_IF_ERROR(file.Close());
  FW_RETURN_IF_ERROR(RenameFile(temporary, request.update_path));
  Sha256 hash;
  hash.Update(AsBytes(encoded));
  hash.Update(buffers);
  return EncodedUpdate{hash.Finish(), encoded.size() + buffers.size()};
}

absl::StatusOr<EncodedUpdate> EncodeWithFeedback(const EncodeRequest& request, const Codec& codec,
                                                 std::span<const float> delta,
                                                 std::span<const uint8_t> buffers) {
  FW_RETURN_IF_ERROR(CheckStateful(codec, request.feedback.has_value()));
  FW_ASSIGN_OR_RETURN(const FeedbackStep step,
                      FeedbackStep::Open(*request.feedback, delta, LimitOf(request)));
  std::string encoded;
  FW_RETURN_IF_ERROR(codec.Encode(step.values(), request.context, &encoded));
  FW_RETURN_IF_ERROR(CheckBytes(encoded.size() + buffers.size(), request.max_bytes));
  FW_RETURN_IF_ERROR(step.WriteNext(codec, AsBytes(encoded)));
  FW_ASSIGN_OR_RETURN(EncodedUpdate update, Write(request, encoded, buffers));
  update.problem = step.problem();
  return update;
}

}  // namespace

absl::Status CheckStateful(const Codec& codec, bool keeps_state) {
  if (keeps_state || !codec.needs_error_feedback()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the codec ", codec.spec().name,
      " needs error feedback, and this client keeps no state between rounds; give it a codec "
      "without, for example eden"));
}

absl::StatusOr<EncodedUpdate> EncodeKeptUpdate(const EncodeRequest& request, const Codec& codec) {
  static_assert(std::endian::native == std::endian::little, "files are little-endian");
  const bool identity = codec.spec().name == kIdentityCodec;
  std::string from = request.delta_path;
  if (identity && !FileExists(from)) from = request.update_path;
  FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(from));
  const std::span<const uint8_t> bytes = file.bytes();
  const uint64_t delta_bytes = request.layout.coordinates * sizeof(float);
  if (bytes.size() != delta_bytes + request.layout.buffer_bytes) {
    return absl::DataLossError(absl::StrCat(
        "the trainer's output has ", bytes.size(), " bytes, this model's updates have ",
        delta_bytes, " of delta and ", request.layout.buffer_bytes, " of buffers"));
  }
  const std::span<const float> delta(reinterpret_cast<const float*>(bytes.data()),
                                     request.layout.coordinates);
  const std::span<const uint8_t> buffers = bytes.subspan(delta_bytes);
  FW_RETURN_IF_ERROR(CheckBuffers(request, buffers));
  if (identity) {
    FW_RETURN_IF_ERROR(CheckBytes(bytes.size(), request.max_bytes));
    FW_ASSIGN_OR_RETURN(const std::optional<Digest> sha256,
                        HashIfWithin(from, delta_bytes, LimitOf(request)));
    if (sha256.has_value()) return Keep(request, from, bytes.size(), *sha256);
  }
  FW_RETURN_IF_ERROR(CheckDelta(request, delta));
  if (codec.needs_error_feedback()) return EncodeWithFeedback(request, codec, delta, buffers);
  std::string encoded;
  FW_RETURN_IF_ERROR(codec.Encode(delta, request.context, &encoded));
  FW_RETURN_IF_ERROR(CheckBytes(encoded.size() + buffers.size(), request.max_bytes));
  return Write(request, encoded, buffers);
}

}  // namespace fedwatt
