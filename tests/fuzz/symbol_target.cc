// Streams of symbols. An input is how many are expected (three bytes: also above the limit of one
// stream), and the stream with whatever follows it.

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/codec/symbol_coder.h"
#include "tests/fuzz/fuzz_target.h"

namespace fedwatt::fuzz {
namespace {

constexpr size_t kHeadBytes = 3;

void RunSymbols(ByteSpan input) {
  if (input.size() < kHeadBytes) return;
  const uint64_t count = input[0] | uint64_t{input[1]} << 8 | uint64_t{input[2]} % 17 << 16;
  const ByteSpan stream = input.subspan(kHeadBytes);
  std::vector<int16_t> symbols(count);
  ByteSpan rest = stream;
  const absl::Status taken = TakeSymbols(&rest, symbols);
  ExpectOkOrRefused(taken);
  ByteSpan skipped = stream, at_front;
  const absl::Status skip = SkipSymbols(&skipped, &at_front);
  ExpectOkOrRefused(skip);
  if (!taken.ok()) return;
  Expect(skip.ok() && skipped.data() == rest.data() && skipped.size() == rest.size(),
         "skipping a stream leads to where reading it does");
  Expect(at_front.size() + rest.size() <= stream.size(), "a stream ends within the bytes");
  std::string again;
  AppendSymbols(symbols, &again);
  Expect(again.size() <= MaxSymbolBytes(count), "streams are no longer than MaxSymbolBytes");
  std::vector<int16_t> decoded(count);
  ByteSpan bytes = AsBytes(again);
  Expect(TakeSymbols(&bytes, decoded).ok() && bytes.empty() && decoded == symbols,
         "symbols that were read can be written and read again");
}

std::string WellFormed(Rng& rng) {
  static constexpr uint64_t kCounts[] = {0, 1, 2, 15, 16, 100, 1000, 5000, 65'536, 100'000};
  const uint64_t count = kCounts[rng.UniformInt(std::size(kCounts))];
  const uint64_t width = uint64_t{1} << rng.UniformInt(16);
  const int sparse = rng.UniformInt(2) == 0 ? 1 : 20;
  std::vector<int16_t> symbols(count);
  for (int16_t& s : symbols) {
    if (rng.UniformInt(static_cast<uint64_t>(sparse)) > 0) continue;
    s = static_cast<int16_t>(static_cast<int64_t>(rng.UniformInt(width) + rng.UniformInt(width)) -
                             static_cast<int64_t>(width));
  }
  std::string input = {static_cast<char>(count), static_cast<char>(count >> 8),
                       static_cast<char>(count >> 16)};
  AppendSymbols(symbols, &input);
  return input;
}

}  // namespace

FuzzTarget SymbolTarget() { return {"symbols", RunSymbols, WellFormed}; }

}  // namespace fedwatt::fuzz
