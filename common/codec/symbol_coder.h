#pragma once

// Small integers as bytes at the cost of their entropy: rANS (htscodecs' 4x16, order 0), an escape
// for what lies beyond its alphabet, and for wide ranges the low bits apart, unmodelled.
//
// A stream is complete in itself: it begins with its length, so that streams follow one another
// and can be skipped. docs/codecs.md has the format. Stateless and thread-safe.

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"

namespace fedwatt {

// At most so many symbols in one stream: bounds what a hostile stream can make a reader allocate.
inline constexpr uint64_t kMaxSymbolsPerStream = uint64_t{1} << 20;

// The most bytes that AppendSymbols appends for `count` symbols.
uint64_t MaxSymbolBytes(uint64_t count);

// Appends the stream of `symbols`, any values, 0 to kMaxSymbolsPerStream of them.
void AppendSymbols(std::span<const int16_t> symbols, std::string* out);

// Reads exactly `symbols.size()` symbols from the stream at the front of *bytes and moves *bytes
// behind it. INVALID_ARGUMENT: not such a stream, or one of another number of symbols; the symbols
// are of no use then. Needs no memory but for escapes, each of which takes a byte of the stream.
// What AppendSymbols made gives the same symbols everywhere; damaged streams that go unnoticed may
// give others on other instruction sets (they end where the library's variants look ahead
// differently).
absl::Status TakeSymbols(std::span<const uint8_t>* bytes, std::span<int16_t> symbols);

// Moves *bytes behind the stream at its front, which is *stream then; looks at the length only.
absl::Status SkipSymbols(std::span<const uint8_t>* bytes, std::span<const uint8_t>* stream);

}  // namespace fedwatt
