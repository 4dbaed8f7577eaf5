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
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr char kIdentityCodec[] = "raw_f32";

// NaN fails the comparison.
bool IsWithin(float value, float bound) { return std::fabs(value) <= bound; }

// Blocks of a fixed length and without branches: only those are compiled to vector instructions.
bool AllWithin(std::span<const float> values, float bound) {
  constexpr size_t kBlock = 1024;
  for (; values.size() >= kBlock; values = values.subspan(kBlock)) {
    int bad = 0;
    for (size_t i = 0; i < kBlock; ++i) bad |= static_cast<int>(!IsWithin(values[i], bound));
    if (bad != 0) return false;
  }
  return std::all_of(values.begin(), values.end(),
                     [bound](float value) { return IsWithin(value, bound); });
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

absl::Status CheckSize(const EncodeRequest& request, uint64_t bytes) {
  const uint64_t delta_bytes = request.layout.coordinates * sizeof(float);
  if (bytes == delta_bytes + request.layout.buffer_bytes) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the trainer's output has ", bytes, " bytes, this model's updates have ",
                   delta_bytes, " of delta and ", request.layout.buffer_bytes, " of buffers"));
}

// One pass for bound and hash. Nothing if something is wrong: CheckDelta finds what.
absl::StatusOr<std::optional<EncodedUpdate>> HashIfWithin(const EncodeRequest& request,
                                                          FileReader file) {
  const uint64_t delta_bytes = request.layout.coordinates * sizeof(float);
  const bool travels_inline = file.size() <= bounds::kMaxInlineBytes;
  EncodedUpdate update{{}, file.size()};
  Sha256 hash;
  for (uint64_t position = 0;;) {
    FW_ASSIGN_OR_RETURN(const ByteSpan block, file.Next());
    if (block.empty()) break;
    const uint64_t delta = std::min<uint64_t>(block.size(), delta_bytes - position);
    if (!AllWithin({reinterpret_cast<const float*>(block.data()), delta / sizeof(float)},
                   LimitOf(request))) {
      return std::nullopt;
    }
    hash.Update(block);
    if (travels_inline) update.inline_data.append(AsText(block));
    position += delta;
  }
  update.sha256 = hash.Finish();
  return update;
}

// Where the encoding is the delta itself. Nothing as for HashIfWithin.
absl::StatusOr<std::optional<EncodedUpdate>> KeepAsItIs(const EncodeRequest& request,
                                                        const std::string& from) {
  FW_ASSIGN_OR_RETURN(FileReader file, FileReader::Open(from));
  FW_RETURN_IF_ERROR(CheckSize(request, file.size()));
  FW_RETURN_IF_ERROR(CheckBytes(file.size(), request.max_bytes));
  FW_ASSIGN_OR_RETURN(std::optional<EncodedUpdate> update, HashIfWithin(request, std::move(file)));
  if (!update.has_value() || from == request.update_path) return update;
  if (request.sync) FW_RETURN_IF_ERROR(SyncFile(from));
  FW_RETURN_IF_ERROR(RenameFile(from, request.update_path));
  return update;
}

absl::StatusOr<EncodedUpdate> Write(const EncodeRequest& request, std::string encoded,
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
  EncodedUpdate update{hash.Finish(), encoded.size() + buffers.size()};
  if (update.bytes <= bounds::kMaxInlineBytes) {
    update.inline_data = std::move(encoded);
    update.inline_data.append(AsText(buffers));
  }
  return update;
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
  FW_ASSIGN_OR_RETURN(EncodedUpdate update, Write(request, std::move(encoded), buffers));
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
  const bool has_buffers = request.layout.buffer_bytes > 0;
  // Nothing to look at but the delta: not worth a mapping.
  if (identity && !has_buffers) {
    FW_ASSIGN_OR_RETURN(std::optional<EncodedUpdate> update, KeepAsItIs(request, from));
    if (update.has_value()) return *std::move(update);
  }
  FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(from));
  const std::span<const uint8_t> bytes = file.bytes();
  FW_RETURN_IF_ERROR(CheckSize(request, bytes.size()));
  const std::span<const float> delta(reinterpret_cast<const float*>(bytes.data()),
                                     request.layout.coordinates);
  const std::span<const uint8_t> buffers =
      bytes.subspan(request.layout.coordinates * sizeof(float));
  FW_RETURN_IF_ERROR(CheckBuffers(request, buffers));
  if (identity && has_buffers) {
    FW_ASSIGN_OR_RETURN(std::optional<EncodedUpdate> update, KeepAsItIs(request, from));
    if (update.has_value()) return *std::move(update);
  }
  FW_RETURN_IF_ERROR(CheckDelta(request, delta));
  if (codec.needs_error_feedback()) return EncodeWithFeedback(request, codec, delta, buffers);
  std::string encoded;
  FW_RETURN_IF_ERROR(codec.Encode(delta, request.context, &encoded));
  FW_RETURN_IF_ERROR(CheckBytes(encoded.size() + buffers.size(), request.max_bytes));
  return Write(request, std::move(encoded), buffers);
}

}  // namespace fedwatt
