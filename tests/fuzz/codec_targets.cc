// Codecs: whatever the bytes, a decoder says the same whichever way it is asked.
//
// An input is how many coordinates are asked for (a mantissa of two bytes and a shift: also numbers
// near 2^64), the block size of the second reading, and the encoding.

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <span>

#include "absl/strings/str_cat.h"
#include "common/codec/codec.h"
#include "tests/common/codec/codec_variants.h"
#include "tests/fuzz/fuzz_target.h"

namespace fedwatt::fuzz {
namespace {

constexpr size_t kHeadBytes = 4;
// Above, only a few coordinates are read: the count comes from the manifest, not from the peer.
constexpr uint64_t kMaxWhole = 200'000;

uint64_t Coordinates(ByteSpan head) {
  const uint64_t mantissa = head[0] | uint64_t{head[1]} << 8;
  // Mostly none, so that a change of this byte seldom spoils a well-formed input.
  return head[2] < 200 ? mantissa : mantissa << std::min(head[2] - 200, 48);
}

std::string Head(uint64_t coordinates, uint8_t block) {
  uint8_t shift = 0;
  while (coordinates >> shift > 0xffff) ++shift;
  const uint64_t mantissa = coordinates >> shift;
  return {static_cast<char>(mantissa), static_cast<char>(mantissa >> 8),
          static_cast<char>(shift == 0 ? 0 : 200 + shift), static_cast<char>(block)};
}

// What a fold may rely on after a Scan.
void CheckStats(const F32Stats& stats, std::span<const float> values) {
  double squares = 0;
  float max_abs = 0;
  for (const float v : values) {
    if (!std::isfinite(v)) return Expect(!stats.finite, "Scan says finite, Read gives otherwise");
    max_abs = std::max(max_abs, std::abs(v));
    squares += static_cast<double>(v) * static_cast<double>(v);
  }
  if (!stats.finite) return;
  Expect(max_abs <= stats.max_abs,
         absl::StrCat("Scan bounds |x| by ", stats.max_abs, ", Read gives ", max_abs));
  // Below the smallest normal number nobody promises a relative error.
  const double tiny = std::numeric_limits<float>::min() * static_cast<double>(values.size());
  Expect(stats.sum_squares >= 0.999 * squares - tiny * std::numeric_limits<float>::min(),
         absl::StrCat("Scan's norm is ", stats.sum_squares, ", that of Read's ", squares));
}

// NaNs are equal: which payload comes out of a sum is the processor's choice.
bool SameValues(std::span<const float> a, std::span<const float> b) {
  return std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
    return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y) ||
           (std::isnan(x) && std::isnan(y));
  });
}

void CheckBlock(Decoder& decoder, uint64_t begin, size_t size, std::span<const float> whole) {
  std::vector<float> part(std::min<uint64_t>(size, whole.size() - begin));
  Expect(decoder.Read(begin, part).ok(), "a block of what is readable is readable");
  Expect(SameValues(part, whole.subspan(begin, part.size())), "blocks give the same bits");
}

// In rising order, then backwards from the end: decoders keep what they have decoded last.
void CheckBlocks(Decoder& decoder, size_t size, std::span<const float> whole) {
  for (uint64_t begin = 0; begin < whole.size(); begin += size) {
    CheckBlock(decoder, begin, size, whole);
  }
  uint64_t begin = whole.size();
  for (int i = 0; i < 4 && begin > 0; ++i) {
    begin -= std::min<uint64_t>(begin, size);
    CheckBlock(decoder, begin, size, whole);
  }
}

void CheckFew(Decoder& decoder, uint64_t coordinates) {
  std::vector<float> first(16), second(16);
  for (const uint64_t begin : {uint64_t{0}, coordinates / 2, coordinates - first.size()}) {
    const absl::Status status = decoder.Read(begin, first);
    ExpectOkOrRefused(status);
    if (!status.ok()) continue;
    Expect(decoder.Read(begin, second).ok(), "what was readable is readable again");
    Expect(SameValues(first, second), "reading again gives the same bits");
  }
}

void RunCodec(const Codec& codec, ByteSpan input) {
  if (input.size() < kHeadBytes) return;
  const uint64_t coordinates = Coordinates(input);
  const size_t block = 1 + size_t{input[3]} * size_t{input[3]};
  const ByteSpan encoded = input.subspan(kHeadBytes);
  const auto decoder = codec.Open(encoded, coordinates);
  ExpectOkOrRefused(decoder.status());
  if (!decoder.ok()) return;
  Expect((*decoder)->coordinates() == coordinates, "a decoder has the coordinates asked for");
  float beyond = 0;
  Expect(!(*decoder)->Read(coordinates, {&beyond, 1}).ok(), "there is nothing behind the end");
  if (coordinates > kMaxWhole) return CheckFew(**decoder, coordinates);
  const auto stats = (*decoder)->Scan();
  ExpectOkOrRefused(stats.status());
  std::vector<float> whole(coordinates);
  const absl::Status read = (*decoder)->Read(0, whole);
  ExpectOkOrRefused(read);
  if (stats.ok()) {
    Expect(read.ok(), "what passes Scan is readable");
    CheckStats(*stats, whole);
  }
  const auto again = codec.Open(encoded, coordinates);
  Expect(again.ok(), "what opens once opens again");
  if (read.ok()) CheckBlocks(**again, block, whole);
}

std::vector<float> SomeValues(uint64_t count, Rng& rng) {
  std::vector<float> values(count);
  const uint64_t kind = rng.UniformInt(5);
  if (kind == 0) return values;  // zero
  if (kind == 1) {               // two spikes
    for (int i = 0; i < 2 && count > 0; ++i) values[rng.UniformInt(count)] = 3;
    return values;
  }
  for (float& v : values) {
    const double normal = rng.Normal();
    // A ratio of normals is Cauchy's: heavier tails than any update has.
    v = static_cast<float>(kind == 2 ? normal / (std::abs(rng.Normal()) + 1e-3) : 1e-3 * normal);
  }
  return values;
}

std::string WellFormed(std::span<const std::unique_ptr<Codec>> variants, Rng& rng) {
  static constexpr uint64_t kCounts[] = {0, 1, 2, 3, 7, 64, 100, 257, 1000, 4097, 65'536, 70'000};
  const uint64_t count = kCounts[rng.UniformInt(std::size(kCounts))];
  const std::vector<float> values = SomeValues(count, rng);
  MatrixShape matrix;
  if (count >= 64) matrix = {.offset = 3, .rows = 5 + rng.UniformInt(5), .columns = count / 16};
  CodecContext context{.job = "fuzz", .round = rng.NextU32()};
  if (matrix.rows > 0 && rng.UniformInt(4) > 0) context.matrices = {&matrix, 1};
  std::string encoded;
  const Codec& codec = *variants[rng.UniformInt(variants.size())];
  if (!codec.Encode(values, context, &encoded).ok()) return "";  // beyond the codec's range
  return Head(count, static_cast<uint8_t>(rng.NextU32())) + encoded;
}

}  // namespace

std::vector<FuzzTarget> CodecTargets() {
  std::vector<FuzzTarget> targets;
  for (const CodecEntry& entry : BuiltinCodecs()) {
    auto codecs = std::make_shared<std::vector<std::unique_ptr<Codec>>>();
    for (const std::string& text : CodecVariants()) {
      if (CodecSpec::Parse(text)->name == entry.name) codecs->push_back(*MakeCodec(text));
    }
    targets.push_back({entry.name, [codecs](ByteSpan input) { RunCodec(*codecs->front(), input); },
                       [codecs](Rng& rng) { return WellFormed(*codecs, rng); }});
  }
  return targets;
}

FuzzTarget CodecTextTarget() {
  const auto run = [](ByteSpan input) {
    const auto codec = MakeCodec(std::string(AsText(input)));
    if (!codec.ok()) return;
    const auto again = MakeCodec((*codec)->spec().ToString());
    Expect(again.ok(), "a codec's own text names it");
    Expect((*again)->spec() == (*codec)->spec(), "a codec's own text names the same parameters");
  };
  const auto well_formed = [](Rng& rng) {
    const std::vector<std::string> texts = CodecVariants();
    return texts[rng.UniformInt(texts.size())];
  };
  return {"codec_text", run, well_formed};
}

}  // namespace fedwatt::fuzz
