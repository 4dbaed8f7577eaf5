#include "common/codec/zstd_section.h"

#include <zstd.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/varint.h"

namespace fedwatt {
namespace {

constexpr int kLevel = 3;
constexpr int kWindowLog = 20;  // a reader's memory

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

uint64_t TotalBytes(std::span<const std::span<const uint8_t>> pieces) {
  uint64_t total = 0;
  for (const std::span<const uint8_t> piece : pieces) total += piece.size();
  return total;
}

absl::Status Malformed(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("zstd: ", why));
}

// The frame's end goes with the last piece.
absl::Status Compress(ZSTD_CCtx* context, std::span<const uint8_t> piece, bool last,
                      std::span<char> block, std::string* frame) {
  ZSTD_inBuffer in{piece.data(), piece.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{block.data(), block.size(), 0};
    const size_t left =
        ZSTD_compressStream2(context, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left) != 0) {
      return absl::ResourceExhaustedError(absl::StrCat("zstd: ", ZSTD_getErrorName(left)));
    }
    frame->append(block.data(), out.pos);
    if (last ? left == 0 : in.pos == in.size) return absl::OkStatus();
  }
}

// Returns whether the frame has ended.
absl::StatusOr<bool> Decompress(ZSTD_DCtx* context, ZSTD_inBuffer* in, std::span<uint8_t> piece) {
  ZSTD_outBuffer out{piece.data(), piece.size(), 0};
  for (;;) {
    const size_t made = out.pos;
    const size_t read = in->pos;
    const size_t left = ZSTD_decompressStream(context, &out, in);
    if (ZSTD_isError(left) != 0) return Malformed(ZSTD_getErrorName(left));
    if (left == 0) {
      if (out.pos != out.size) return Malformed("fewer bytes than expected");
      return true;
    }
    if (out.pos == out.size && out.size > 0) return false;
    if (out.pos == made && in->pos == read) {
      return Malformed(in->pos == in->size ? "the frame ends early" : "more bytes than expected");
    }
  }
}

}  // namespace

absl::Status AppendZstdSection(std::span<const std::span<const uint8_t>> pieces, std::string* out) {
  const uint64_t total = TotalBytes(pieces);
  std::string frame;
  if (total > 0) {
    const std::unique_ptr<ZSTD_CCtx, FreeZstd> context(ZSTD_createCCtx());
    if (context == nullptr) return absl::ResourceExhaustedError("zstd: no memory to compress");
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, kWindowLog);
    ZSTD_CCtx_setPledgedSrcSize(context.get(), total);
    std::vector<char> block(ZSTD_CStreamOutSize());
    for (const std::span<const uint8_t> piece : pieces) {
      FW_RETURN_IF_ERROR(Compress(context.get(), piece, false, block, &frame));
    }
    FW_RETURN_IF_ERROR(Compress(context.get(), {}, true, block, &frame));
  }
  AppendVarint(frame.size(), out);
  *out += frame;
  return absl::OkStatus();
}

absl::Status TakeZstdSection(std::span<const uint8_t>* bytes,
                             std::span<const std::span<uint8_t>> pieces) {
  FW_ASSIGN_OR_RETURN(const uint64_t size, TakeVarint(bytes));
  if (size > bytes->size()) return Malformed("the frame ends early");
  ZSTD_inBuffer in{bytes->data(), size, 0};
  *bytes = bytes->subspan(size);
  // Making one costs more than a small section, and a round has many of these.
  static thread_local std::unique_ptr<ZSTD_DCtx, FreeZstd> context(ZSTD_createDCtx());
  if (context == nullptr) return absl::ResourceExhaustedError("zstd: no memory to decompress");
  ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_and_parameters);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kWindowLog);
  bool ended = false;
  bool any = false;
  for (const std::span<uint8_t> piece : pieces) {
    if (piece.empty()) continue;
    if (ended) return Malformed("fewer bytes than expected");
    any = true;
    FW_ASSIGN_OR_RETURN(ended, Decompress(context.get(), &in, piece));
  }
  if (any && !ended) {
    FW_ASSIGN_OR_RETURN(ended, Decompress(context.get(), &in, {}));
  }
  if (in.pos != in.size) return Malformed("more bytes than expected");
  return absl::OkStatus();
}

}  // namespace fedwatt
