#include "common/codec/symbol_coder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/bit_packing.h"
#include "common/codec/symbol_kernels.h"
#include "common/codec/symbol_plan.h"
#include "common/codec/varint.h"
#include "htscodecs/rANS_static4x16.h"

namespace fedwatt {
namespace {

constexpr uint8_t kEscape = kHighParts;
constexpr uint8_t kWidthBits = 0x1f;
constexpr uint8_t kCodedBit = 0x20;
constexpr uint64_t kMaxHeaderBytes = 16;

// The coder's first byte. NOSZ: the number of symbols is ours to tell.
constexpr uint8_t kNarrow = RANS_ORDER_NOSZ;
constexpr uint8_t kWide = RANS_ORDER_NOSZ | RANS_ORDER_X32;

// 0, -1, 1, -2, ... as 0, 1, 2, 3, ...
uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

int64_t UnZigZag(uint64_t folded) {
  return static_cast<int64_t>(folded >> 1) ^ -static_cast<int64_t>(folded & 1);
}

absl::Status Malformed(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("not a stream of symbols: ", why));
}

void AppendHeader(const SymbolPlan& plan, size_t count, std::string* body) {
  AppendVarint(count, body);
  body->push_back(static_cast<char>(plan.shift | (plan.coded ? kCodedBit : 0)));
  AppendVarint(ZigZag(plan.base), body);
}

std::string RawBody(const SymbolPlan& plan, std::span<const int16_t> symbols) {
  std::string body;
  AppendHeader(plan, symbols.size(), &body);
  std::vector<int16_t> offsets(symbols.begin(), symbols.end());
  for (int16_t& offset : offsets) offset = static_cast<int16_t>(offset - plan.base);
  AppendPacked(offsets, plan.shift, &body);
  return body;
}

// The high parts beyond the alphabet, as distances from it. Returns how many.
uint64_t AppendEscapes(const SymbolPlan& plan, std::span<const int16_t> symbols,
                       const uint8_t* high, std::string* out) {
  uint64_t count = 0;
  const uint8_t* const end = high + symbols.size();
  for (const uint8_t* at = high; at != end; ++at, ++count) {
    at = static_cast<const uint8_t*>(std::memchr(at, kEscape, static_cast<size_t>(end - at)));
    if (at == nullptr) break;
    const int offset = (symbols[static_cast<size_t>(at - high)] >> plan.shift) - plan.base;
    AppendVarint(ZigZag(offset < 0 ? offset : offset - kHighParts), out);
  }
  return count;
}

// htscodecs' AVX-512 encoder lives on gathers of 512 bits, which processors split up: it makes 540
// MB/s where its AVX2 encoder makes 640 (AMD EPYC, 2^16 symbols). The bytes are the same. It keeps
// this choice in a global of its own.
void ChooseEncoder() {
  [[maybe_unused]] static const bool kChosen = [] {
    rans_set_cpu(~RANS_CPU_ENC_AVX512);
    return true;
  }();
}

// Empty: the coder would rather store the high parts as they are.
std::string CodedBody(const SymbolPlan& plan, std::span<const int16_t> symbols) {
  const auto count = static_cast<unsigned>(symbols.size());
  ChooseEncoder();
  const int order = plan.wide ? kWide : kNarrow;
  const unsigned room = rans_compress_bound_4x16(count, order);
  // Not a std::string: it would be filled with zeros first.
  const auto high = std::make_unique_for_overwrite<uint8_t[]>(count);
  const auto coded = std::make_unique_for_overwrite<uint8_t[]>(room);
  HighPartKernel(symbols.data(), plan.shift, plan.base, high.get(), count);
  unsigned coded_bytes = room;
  if (rans_compress_to_4x16(high.get(), count, coded.get(), &coded_bytes, order) == nullptr ||
      (coded[0] != kNarrow && coded[0] != kWide)) {
    return {};
  }
  std::string escapes;
  const uint64_t escape_count = AppendEscapes(plan, symbols, high.get(), &escapes);
  std::string body;
  body.reserve(kMaxHeaderBytes + coded_bytes + escapes.size() + PackedBytes(count, plan.shift));
  AppendHeader(plan, count, &body);
  AppendVarint(escape_count, &body);
  AppendVarint(coded_bytes, &body);
  body.append(reinterpret_cast<const char*>(coded.get()), coded_bytes);
  body += escapes;
  AppendPacked(symbols, plan.shift, &body);
  return body;
}

absl::Status TakeBody(std::span<const uint8_t>* bytes, std::span<const uint8_t>* body) {
  std::span<const uint8_t> rest = *bytes;
  FW_ASSIGN_OR_RETURN(const uint64_t size, TakeVarint(&rest));
  if (size > rest.size()) return Malformed("it ends early");
  *body = rest.first(size);
  *bytes = rest.subspan(size);
  return absl::OkStatus();
}

struct Header {
  SymbolPlan plan;
  uint64_t count = 0;
};

absl::StatusOr<Header> TakeHeader(std::span<const uint8_t>* body) {
  Header header;
  FW_ASSIGN_OR_RETURN(header.count, TakeVarint(body));
  if (body->empty()) return Malformed("no header");
  const uint8_t shape = body->front();
  *body = body->subspan(1);
  FW_ASSIGN_OR_RETURN(const uint64_t folded, TakeVarint(body));
  const int64_t base = UnZigZag(folded);
  header.plan.coded = (shape & kCodedBit) != 0;
  header.plan.shift = shape & kWidthBits;
  if ((shape & ~(kWidthBits | kCodedBit)) != 0 || header.plan.shift > kMaxSymbolBits ||
      base < INT16_MIN || base > INT16_MAX || (header.plan.coded && header.plan.shift > 15)) {
    return Malformed(absl::StrCat("shape ", static_cast<int>(shape), ", base ", base));
  }
  header.plan.base = static_cast<int>(base);
  return header;
}

absl::Status ReadRaw(std::span<const uint8_t> body, const SymbolPlan& plan,
                     std::span<int16_t> symbols) {
  const size_t expected = PackedBytes(symbols.size(), plan.shift);
  if (body.size() != expected) {
    return Malformed(absl::StrCat(body.size(), " bytes for ", expected));
  }
  std::fill(symbols.begin(), symbols.end(), int16_t{0});
  OrPacked(body, plan.shift, symbols);
  for (int16_t& symbol : symbols) symbol = static_cast<int16_t>(symbol + plan.base);
  return absl::OkStatus();
}

struct Escape {
  size_t index;
  int16_t high;
};

absl::StatusOr<std::vector<Escape>> TakeEscapes(std::span<const uint8_t>* body, uint64_t count,
                                                const SymbolPlan& plan,
                                                std::span<const uint8_t> high) {
  // Each takes a byte at least, which bounds the memory.
  if (count > body->size() || count > high.size()) {
    return Malformed(absl::StrCat(count, " escapes in ", body->size(), " bytes"));
  }
  std::vector<Escape> escapes;
  escapes.reserve(count);
  const int64_t least = INT16_MIN >> plan.shift;
  const int64_t greatest = INT16_MAX >> plan.shift;
  const uint8_t* const end = high.data() + high.size();
  for (const uint8_t* at = high.data(); at != end; ++at) {
    at = static_cast<const uint8_t*>(std::memchr(at, kEscape, static_cast<size_t>(end - at)));
    if (at == nullptr) break;
    if (escapes.size() == count) return Malformed("escapes missing");
    FW_ASSIGN_OR_RETURN(const uint64_t folded, TakeVarint(body));
    const int64_t distance = UnZigZag(folded);
    if (distance < least - plan.base || distance > greatest - plan.base) {
      return Malformed(absl::StrCat("an escape to ", distance));
    }
    const int64_t value = plan.base + (distance < 0 ? distance : distance + kHighParts);
    if (value > greatest) return Malformed(absl::StrCat("an escape to ", distance));
    escapes.push_back({static_cast<size_t>(at - high.data()), static_cast<int16_t>(value)});
  }
  if (escapes.size() != count) return Malformed("more escapes than symbols need");
  return escapes;
}

absl::Status ReadHighParts(std::span<const uint8_t> coded, std::span<uint8_t> high) {
  // The other flags would have the library undo further transforms, with sizes and memory as the
  // stream claims.
  if (coded.empty() || (coded[0] != kNarrow && coded[0] != kWide)) {
    return Malformed("unknown flags of the entropy coder");
  }
  auto size = static_cast<unsigned>(high.size());
  auto* const in = const_cast<uint8_t*>(coded.data());  // not written; the library is C
  if (rans_uncompress_to_4x16(in, static_cast<unsigned>(coded.size()), high.data(), &size) ==
          nullptr ||
      size != high.size()) {
    return Malformed("the entropy coder cannot read it");
  }
  return absl::OkStatus();
}

absl::Status ReadCoded(std::span<const uint8_t> body, const SymbolPlan& plan,
                       std::span<int16_t> symbols) {
  FW_ASSIGN_OR_RETURN(const uint64_t escape_count, TakeVarint(&body));
  FW_ASSIGN_OR_RETURN(const uint64_t coded_bytes, TakeVarint(&body));
  if (coded_bytes > body.size()) return Malformed("it ends early");
  // Into the upper half of the symbols' own memory, from where they are widened in rising order.
  const std::span<uint8_t> high(reinterpret_cast<uint8_t*>(symbols.data()) + symbols.size(),
                                symbols.size());
  FW_RETURN_IF_ERROR(ReadHighParts(body.first(coded_bytes), high));
  body = body.subspan(coded_bytes);
  FW_ASSIGN_OR_RETURN(const std::vector<Escape> escapes,
                      TakeEscapes(&body, escape_count, plan, high));
  const size_t expected = PackedBytes(symbols.size(), plan.shift);
  if (body.size() != expected) {
    return Malformed(absl::StrCat(body.size(), " bytes of low bits for ", expected));
  }
  FromHighPartKernel(high.data(), plan.shift, plan.base, symbols.data(), symbols.size());
  for (const Escape& escape : escapes) {
    symbols[escape.index] = static_cast<int16_t>(static_cast<uint32_t>(escape.high) << plan.shift);
  }
  OrPacked(body, plan.shift, symbols);
  return absl::OkStatus();
}

}  // namespace

uint64_t MaxSymbolBytes(uint64_t count) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  return count > (kMax - kMaxHeaderBytes) / 2 ? kMax : 2 * count + kMaxHeaderBytes;
}

void AppendSymbols(std::span<const int16_t> symbols, std::string* out) {
  const SymbolPlan raw = RawSymbolPlan(symbols);
  const SymbolPlan plan = ChooseSymbolPlan(symbols);
  std::string body = plan.coded ? CodedBody(plan, symbols) : std::string();
  if (body.empty() || body.size() > PackedBytes(symbols.size(), raw.shift)) {
    body = RawBody(raw, symbols);
  }
  AppendVarint(body.size(), out);
  *out += body;
}

absl::Status TakeSymbols(std::span<const uint8_t>* bytes, std::span<int16_t> symbols) {
  std::span<const uint8_t> body;
  FW_RETURN_IF_ERROR(TakeBody(bytes, &body));
  FW_ASSIGN_OR_RETURN(const Header header, TakeHeader(&body));
  if (header.count != symbols.size()) {
    return Malformed(
        absl::StrCat("of ", header.count, " symbols where ", symbols.size(), " are expected"));
  }
  return header.plan.coded ? ReadCoded(body, header.plan, symbols)
                           : ReadRaw(body, header.plan, symbols);
}

absl::Status SkipSymbols(std::span<const uint8_t>* bytes, std::span<const uint8_t>* stream) {
  const std::span<const uint8_t> before = *bytes;
  std::span<const uint8_t> body;
  FW_RETURN_IF_ERROR(TakeBody(bytes, &body));
  *stream = before.first(before.size() - bytes->size());
  return absl::OkStatus();
}

}  // namespace fedwatt
