#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/codec/codec_spec.h"
#include "common/tensor/fixed_point.h"

// Codecs turn a vector of float32 coordinates (an update, a step of a model) into bytes and back.
//
// An encoding is complete in itself: it carries its seed and whatever else decoding needs, so that
// a decoder is told only how many coordinates there are. Decoding gives the same bits on every
// machine. docs/codecs.md has the byte formats.
namespace fedwatt {

// Coordinates [offset, offset + rows * columns) are a row-major matrix: a tensor of two or more
// dimensions, its first against the product of the others.
struct MatrixShape {
  uint64_t offset = 0;
  uint64_t rows = 0;
  uint64_t columns = 0;
};

// Who encodes what: the key of an encoder's randomness, so that no two clients and no two rounds
// share a rotation, and the shapes for codecs that use them.
struct CodecContext {
  std::string job;
  uint64_t round = 0;
  std::string client;
  std::string purpose = "up";
  uint64_t seed = 0;                           // the job's
  std::span<const MatrixShape> matrices = {};  // in rising order, disjoint; may be empty
};

// What is known of a codec before it has seen a value; for choosing between codecs.
struct CodecQuality {
  double bits = 32;  // per coordinate, at 2^20 Gaussian coordinates
  // E||x - decoded||^2 / ||x||^2 on them. Of codecs that need error feedback: of one encoding by
  // itself.
  double vnmse = 0;
};

// One encoding, opened. One thread at a time. Refers to the encoded bytes, which must outlive it.
class Decoder {
 public:
  virtual ~Decoder() = default;

  // Coordinates [begin, begin + out.size()), fastest in rising order; any order gives the same
  // bits. INVALID_ARGUMENT for bytes that Encode cannot have made and for coordinates that are not
  // there; never reads or writes out of bounds, whatever the bytes.
  virtual absl::Status Read(uint64_t begin, std::span<float> out) = 0;

  // What there is to know before folding: checks all bytes (after OK, Read does not fail), and
  // gives the values' statistics, of which max_abs may be an upper bound. Codecs that can tell
  // without making the values do; this one reads them all.
  virtual absl::StatusOr<F32Stats> Scan();

  uint64_t coordinates() const { return coordinates_; }

 protected:
  explicit Decoder(uint64_t coordinates) : coordinates_(coordinates) {}
  // INVALID_ARGUMENT unless [begin, begin + count) exists.
  absl::Status CheckRange(uint64_t begin, uint64_t count) const;

 private:
  const uint64_t coordinates_;
};

// Immutable and thread-safe.
class Codec {
 public:
  virtual ~Codec() = default;

  // Name and all parameters.
  virtual CodecSpec spec() const = 0;
  virtual CodecQuality quality() const = 0;

  // Drops part of every vector for good unless the encoder adds what was lost to the next one
  // (error feedback): only for clients that keep state.
  virtual bool needs_error_feedback() const { return false; }

  // The most bytes that Encode gives for so many coordinates: what an upload may declare.
  // Saturates.
  virtual uint64_t MaxEncodedBytes(uint64_t coordinates) const = 0;

  // Replaces *out. INVALID_ARGUMENT names the first value that is not finite or too large for the
  // codec.
  virtual absl::Status Encode(std::span<const float> values, const CodecContext& context,
                              std::string* out) const = 0;

  // Looks at the framing only; INVALID_ARGUMENT as Decoder::Read. Any spec of the same name opens
  // what another has encoded.
  virtual absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                        uint64_t coordinates) const = 0;
};

struct CodecEntry {
  std::string name;
  std::function<absl::StatusOr<std::unique_ptr<Codec>>(const CodecSpec&)> make;
};

const std::vector<CodecEntry>& BuiltinCodecs();  // common/codec/builtin.def

// By text, as "eden:bits=2". NOT_FOUND lists the known names and the nearest; INVALID_ARGUMENT: the
// text or a parameter.
absl::StatusOr<std::unique_ptr<Codec>> MakeCodec(const std::string& text);

// For encoders: INVALID_ARGUMENT, with `codec` and the index, if a value is not finite or beyond
// +-max_abs.
absl::Status CheckEncodable(const std::string& codec, std::span<const float> values,
                            double max_abs);

// All of an encoding, for tests and small vectors.
absl::StatusOr<std::vector<float>> DecodeAll(const Codec& codec, std::span<const uint8_t> encoded,
                                             uint64_t coordinates);

}  // namespace fedwatt
