#pragma once

// The two modes of `eden`: how rotated coordinates become symbols and symbols become bytes. The
// symbols of several slots make one stream, which begins with its length.
//
//   uniform    the nearest multiple of a step, entropy-coded (symbol_coder.h)
//   lloyd_max  the nearest centroid; indices packed into bytes as their number of bits allows,
//              then zstd unless that is longer (centroid_table.h)
//
// Quantised values are in units of the writer's choosing: the piece's scale makes up for it, so a
// reader needs no step.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"

namespace fedwatt {

enum class EdenMode : uint8_t { kUniform = 1, kLloydMax = 2 };

inline constexpr uint64_t kMaxSlotsPerStream = 16;

// One thread at a time.
class EdenWriter {
 public:
  virtual ~EdenWriter() = default;

  // Begins a stream of `symbols` symbols, all zero (or the first index).
  virtual void Begin(size_t symbols) = 0;

  // Quantises z = gain * rotated, of mean square 1, as symbols `at` and on; rotated.size() is a
  // multiple of 16. Returns <Q, z>, above 0.
  virtual double Quantize(std::span<const float> rotated, double gain, size_t at) = 0;

  // Appends the stream.
  virtual void Finish(std::string* out) = 0;
};

// One thread at a time.
class EdenReader {
 public:
  virtual ~EdenReader() = default;

  // Moves *bytes behind the stream at its front, which is *stream then; looks at the length only.
  virtual absl::Status Skip(std::span<const uint8_t>* bytes, std::span<const uint8_t>* stream) = 0;

  // Decodes a whole stream, checking every byte. INVALID_ARGUMENT: not one of `symbols` symbols.
  virtual absl::Status Load(std::span<const uint8_t> stream, size_t symbols) = 0;

  // The quantised values of symbols `at` and on of the stream loaded last; `at` and q.size() are
  // multiples of 16.
  virtual void Values(size_t at, std::span<float> q) const = 0;
};

std::unique_ptr<EdenWriter> MakeUniformWriter(double step);
std::unique_ptr<EdenReader> MakeUniformReader();

// 1 <= bits <= kMaxCentroidBits.
std::unique_ptr<EdenWriter> MakeLloydMaxWriter(int bits);
std::unique_ptr<EdenReader> MakeLloydMaxReader(int bits);

// The most bytes of a stream of so many symbols, up to 2^20.
uint64_t MaxLloydMaxStreamBytes(int bits, uint64_t symbols);

}  // namespace fedwatt
