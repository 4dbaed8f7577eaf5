#include "common/codec/symbol_coder.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/codec/bit_packing.h"
#include "common/codec/symbol_plan.h"
#include "common/codec/varint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "htscodecs/rANS_static4x16.h"

namespace fedwatt {
namespace {

using Symbols = std::vector<int16_t>;

Symbols Gaussian(size_t n, double sigma) {
  Rng rng(RngKey{"symbols", n, "", "gaussian", 1});
  Symbols symbols(n);
  for (int16_t& s : symbols) {
    s = static_cast<int16_t>(std::clamp(std::nearbyint(rng.Normal() * sigma), -32768.0, 32767.0));
  }
  return symbols;
}

Symbols Uniform(size_t n, int low, int high) {
  Rng rng(RngKey{"symbols", n, "", "uniform", 1});
  Symbols symbols(n);
  for (int16_t& s : symbols) {
    s = static_cast<int16_t>(
        low + static_cast<int>(rng.UniformInt(static_cast<uint64_t>(high - low + 1))));
  }
  return symbols;
}

// Mostly small, now and then anything.
Symbols HeavyTails(size_t n) {
  Symbols symbols = Gaussian(n, 3);
  const Symbols far = Uniform(n, -32768, 32767);
  for (size_t i = 0; i < n; i += 97) symbols[i] = far[i];
  return symbols;
}

Symbols OneHot(size_t n) {
  Symbols symbols(n, 0);
  if (n > 0) symbols[n / 2] = -32768;
  return symbols;
}

struct Shape {
  const char* name;
  Symbols (*make)(size_t);
};

const Shape kShapes[] = {
    {"all zero", [](size_t n) { return Symbols(n, 0); }},
    {"all the least", [](size_t n) { return Symbols(n, -32768); }},
    {"all the greatest", [](size_t n) { return Symbols(n, 32767); }},
    {"two values", [](size_t n) { return Uniform(n, 6, 7); }},
    {"the two ends",
     [](size_t n) {
       Symbols symbols = Uniform(n, 0, 1);
       for (int16_t& s : symbols) s = s == 0 ? -32768 : 32767;
       return symbols;
     }},
    {"narrow", [](size_t n) { return Gaussian(n, 0.4); }},
    {"a byte's", [](size_t n) { return Gaussian(n, 40); }},
    {"wide", [](size_t n) { return Gaussian(n, 9000); }},
    {"bytes", [](size_t n) { return Uniform(n, -128, 127); }},
    {"256 at the upper end", [](size_t n) { return Uniform(n, 32767 - 255, 32767); }},
    {"any", [](size_t n) { return Uniform(n, -32768, 32767); }},
    {"heavy tails", HeavyTails},
    {"one-hot", OneHot},
};

constexpr size_t kLengths[] = {0, 1, 7, 47, 48, 255, 1000, 1001, 65536, 65537, 1 << 20};

std::string Encode(const Symbols& symbols) {
  std::string out;
  AppendSymbols(symbols, &out);
  return out;
}

absl::Status Decode(const std::string& bytes, Symbols* symbols) {
  ByteSpan rest = AsBytes(bytes);
  const absl::Status status = TakeSymbols(&rest, *symbols);
  if (status.ok()) {
    EXPECT_TRUE(rest.empty());
  }
  return status;
}

// Bits, if each symbol costs what its share of these symbols says.
double EntropyBits(const Symbols& symbols) {
  std::map<int, double> counts;
  for (const int16_t s : symbols) ++counts[s];
  const auto n = static_cast<double>(symbols.size());
  double bits = 0;
  for (const auto& [symbol, count] : counts) bits -= count * std::log2(count / n);
  return bits;
}

TEST(SymbolCoderTest, GivesBackAnySymbols) {
  for (const Shape& shape : kShapes) {
    for (const size_t n : kLengths) {
      const Symbols symbols = shape.make(n);
      const std::string bytes = Encode(symbols);
      EXPECT_LE(bytes.size(), MaxSymbolBytes(n)) << shape.name << ", " << n;
      Symbols decoded(n, 77);
      ASSERT_TRUE(Decode(bytes, &decoded).ok()) << shape.name << ", " << n;
      ASSERT_TRUE(decoded == symbols) << shape.name << ", " << n;
    }
  }
}

TEST(SymbolCoderTest, CostsTheEntropyAndLittleMore) {
  // Standard deviations whose rounded Gaussians have entropies of 0.5 to 13 bits.
  for (const double sigma : {0.29, 0.43, 0.92, 1.93, 3.86, 15.5, 62.0, 248.0, 1984.0}) {
    const Symbols symbols = Gaussian(1 << 18, sigma);
    // Above some hundred values a sample's own entropy falls short of the source's.
    const double bits =
        sigma < 10 ? EntropyBits(symbols) : (1 << 18) * (std::log2(sigma) + 2.0470956);
    const double excess = 8.0 * static_cast<double>(Encode(symbols).size()) / bits - 1;
    EXPECT_LT(excess, 0.003) << sigma;
  }
}

TEST(SymbolCoderTest, SymbolsWithoutAnyOrderCostTheirWidth) {
  EXPECT_LE(Encode(Symbols(1 << 20, 5)).size(), 8u);
  EXPECT_LE(Encode(Uniform(1 << 16, -32768, 32767)).size(), (2u << 16) + 16);
  EXPECT_LE(Encode(Uniform(1 << 16, 100, 103)).size(), (1u << 14) + 16);
  EXPECT_LE(Encode(Uniform(7, 100, 103)).size(), 8u);
}

TEST(SymbolCoderTest, AFewFarSymbolsCostLittle) {
  EXPECT_LE(Encode(OneHot(1 << 16)).size(), 80u);
  Symbols symbols = Gaussian(1 << 16, 3);
  const size_t without = Encode(symbols).size();
  for (size_t i = 0; i < 8; ++i) symbols[i * 5003] = i % 2 == 0 ? -32768 : 32767;
  EXPECT_LE(Encode(symbols).size(), without + 60);
}

TEST(SymbolCoderTest, StreamsFollowOneAnotherAndCanBeSkipped) {
  std::string bytes;
  const Symbols first = Gaussian(1000, 2);
  const Symbols third = Uniform(99, -5, 1000);
  AppendSymbols(first, &bytes);
  AppendSymbols({}, &bytes);
  AppendSymbols(third, &bytes);
  ByteSpan rest = AsBytes(bytes);
  ByteSpan stream;
  ASSERT_TRUE(SkipSymbols(&rest, &stream).ok());
  ASSERT_TRUE(TakeSymbols(&rest, {}).ok());
  Symbols decoded(third.size());
  ASSERT_TRUE(TakeSymbols(&rest, decoded).ok());
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(decoded, third);
  decoded.resize(first.size());
  ASSERT_TRUE(TakeSymbols(&stream, decoded).ok());
  EXPECT_EQ(decoded, first);
  EXPECT_TRUE(stream.empty());
}

TEST(SymbolCoderTest, AnotherNumberOfSymbolsIsRefused) {
  const std::string bytes = Encode(Gaussian(1000, 2));
  for (const size_t n : {0, 1, 999, 1001}) {
    Symbols symbols(n);
    EXPECT_EQ(Decode(bytes, &symbols).code(), absl::StatusCode::kInvalidArgument) << n;
  }
}

TEST(SymbolCoderTest, EveryTruncationIsRefused) {
  for (const size_t n : {1, 60, 400}) {
    for (const Shape& shape : kShapes) {
      const std::string bytes = Encode(shape.make(n));
      for (size_t size = 0; size < bytes.size(); ++size) {
        Symbols symbols(n);
        EXPECT_EQ(Decode(bytes.substr(0, size), &symbols).code(),
                  absl::StatusCode::kInvalidArgument)
            << shape.name << ", " << size << " of " << bytes.size();
        // The same, with a length that says so.
        if (size < 2) continue;
        std::string shorter;
        ByteSpan body = AsBytes(bytes);
        ASSERT_TRUE(TakeVarint(&body).ok());
        const size_t kept = std::min(size - 2, body.size() - 1);
        AppendVarint(kept, &shorter);
        shorter += AsText(body.first(kept));
        EXPECT_EQ(Decode(shorter, &symbols).code(), absl::StatusCode::kInvalidArgument)
            << shape.name << ", " << size << " of " << bytes.size();
      }
    }
  }
}

// A stream with nothing readable behind it, so that reading on is a fault.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t most)
      : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
        size_((most + page_ - 1) / page_ * page_),
        memory_(static_cast<uint8_t*>(mmap(nullptr, size_ + page_, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    mprotect(memory_ + size_, page_, PROT_NONE);
  }
  ~GuardedBytes() { munmap(memory_, size_ + page_); }

  ByteSpan Put(const std::string& bytes) {
    uint8_t* const at = memory_ + size_ - bytes.size();
    std::memcpy(at, bytes.data(), bytes.size());
    return {at, bytes.size()};
  }

 private:
  const size_t page_;
  const size_t size_;
  uint8_t* const memory_;
};

class CpuTest : public testing::TestWithParam<int> {
 protected:
  CpuTest() { rans_set_cpu(GetParam()); }
  ~CpuTest() override { rans_set_cpu(-1); }
};

TEST_P(CpuTest, GivesTheSameBitsAsTheBestInstructionSet) {
  for (const double sigma : {0.3, 2.0, 60.0, 3000.0}) {
    for (const size_t n : {1000, 30'001, 400'000}) {
      const Symbols symbols = Gaussian(n, sigma);
      const std::string bytes = Encode(symbols);
      rans_set_cpu(-1);
      EXPECT_TRUE(bytes == Encode(symbols)) << sigma << ", " << n;
      rans_set_cpu(GetParam());
      Symbols decoded(n);
      ASSERT_TRUE(Decode(bytes, &decoded).ok());
      EXPECT_TRUE(decoded == symbols) << sigma << ", " << n;
    }
  }
}

TEST_P(CpuTest, DamagedBytesAreRefusedOrHarmless) {
  Rng rng(RngKey{"symbols", 0, "", "damage", 1});
  for (const size_t n : {48, 300, 70'000}) {
    for (const Shape& shape : kShapes) {
      const std::string bytes = Encode(shape.make(n));
      GuardedBytes guarded(bytes.size());
      const size_t cases = n > 1000 ? 40 : bytes.size();
      for (size_t i = 0; i < cases; ++i) {
        // The headers and tables stand in front.
        const size_t at = i < 20 && i < bytes.size() ? i : rng.UniformInt(bytes.size());
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 + rng.UniformInt(255)));
        ByteSpan rest = guarded.Put(damaged);
        Symbols symbols(n);
        const absl::Status status = TakeSymbols(&rest, symbols);
        EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument) << status;
      }
    }
  }
}

TEST_P(CpuTest, AStreamCutShortWithMatchingLengthsIsRefusedOrHarmless) {
  const Symbols symbols = Gaussian(200'000, 4);
  const std::string bytes = Encode(symbols);
  ByteSpan body = AsBytes(bytes);
  ASSERT_TRUE(TakeVarint(&body).ok());
  ByteSpan coded = body;
  ASSERT_TRUE(TakeVarint(&coded).ok());  // symbols
  coded = coded.subspan(1);              // shape
  ASSERT_TRUE(TakeVarint(&coded).ok());  // base
  const std::string head(AsText(body.first(body.size() - coded.size())));
  const absl::StatusOr<uint64_t> escapes = TakeVarint(&coded);
  const absl::StatusOr<uint64_t> size = TakeVarint(&coded);
  ASSERT_EQ(*escapes, 0u);
  ASSERT_EQ(*size, coded.size());
  GuardedBytes guarded(bytes.size());
  for (size_t kept = 0; kept < *size; kept = kept < 700 ? kept + 1 : kept * 2 - 13) {
    std::string cut = head;
    AppendVarint(0, &cut);
    AppendVarint(kept, &cut);
    cut += AsText(coded.first(kept));
    std::string stream;
    AppendVarint(cut.size(), &stream);
    stream += cut;
    ByteSpan rest = guarded.Put(stream);
    Symbols decoded(symbols.size());
    const absl::Status status = TakeSymbols(&rest, decoded);
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument) << status;
    if (kept < 150) {
      EXPECT_FALSE(status.ok()) << kept;
    }
  }
}

std::string InstructionSetName(const testing::TestParamInfo<int>& info) {
  const char* const names[] = {"Scalar", "Sse4", "Avx2", "Best"};
  return names[info.index];
}

constexpr int kSse4 = RANS_CPU_ENC_SSE4 | RANS_CPU_DEC_SSE4;
constexpr int kAvx2 = kSse4 | RANS_CPU_ENC_AVX2 | RANS_CPU_DEC_AVX2;
INSTANTIATE_TEST_SUITE_P(InstructionSets, CpuTest, testing::Values(0, kSse4, kAvx2, -1),
                         InstructionSetName);

// The library would undo run lengths, packing and stripes with memory as the stream demands.
TEST(SymbolCoderTest, FlagsThatTheEncoderNeverSetsAreRefused) {
  constexpr unsigned kCount = 4096;
  std::vector<uint8_t> bytes(kCount);
  Rng rng(RngKey{"symbols", 0, "", "flags", 1});
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(rng.UniformInt(3));
  int accepted = 0;
  for (int flags = 0; flags < 256; ++flags) {
    std::vector<uint8_t> coded(rans_compress_bound_4x16(kCount, flags) + 4096);
    auto size = static_cast<unsigned>(coded.size());
    if (rans_compress_to_4x16(bytes.data(), kCount, coded.data(), &size, flags) == nullptr) {
      continue;
    }
    std::string body;
    AppendVarint(kCount, &body);
    body += '\x20';  // coded, no low bits
    body += '\x00';  // base 0
    AppendVarint(0, &body);
    AppendVarint(size, &body);
    body.append(reinterpret_cast<const char*>(coded.data()), size);
    std::string stream;
    AppendVarint(body.size(), &stream);
    stream += body;
    Symbols symbols(kCount);
    const absl::Status status = Decode(stream, &symbols);
    const bool known =
        coded[0] == RANS_ORDER_NOSZ || coded[0] == (RANS_ORDER_NOSZ | RANS_ORDER_X32);
    EXPECT_EQ(status.ok(), known) << static_cast<int>(coded[0]) << ": " << status;
    if (!known) {
      EXPECT_THAT(std::string(status.message()), testing::HasSubstr("flags"));
    }
    accepted += status.ok() ? 1 : 0;
  }
  EXPECT_GE(accepted, 2);
}

TEST(SymbolCoderTest, EscapesThatSymbolsCannotBeAreRefused) {
  Symbols symbols = OneHot(2000);  // one of them is -32768, the others 0
  const std::string bytes = Encode(symbols);
  const int base = ChooseSymbolPlan(symbols).base;
  // Signed distances from the alphabet, folded to 0, -1, 1, -2, ...
  const auto below = [](int distance) { return static_cast<uint64_t>(-2 * distance - 1); };
  const auto above = [](int distance) { return static_cast<uint64_t>(2 * distance); };
  const auto with_escape = [&](uint64_t folded) {
    std::string varint;
    AppendVarint(folded, &varint);
    EXPECT_EQ(varint.size(), 3u);
    return bytes.substr(0, bytes.size() - 3) + varint;
  };
  ASSERT_EQ(bytes, with_escape(below(-32768 - base)));
  ASSERT_TRUE(Decode(with_escape(above(32767 - base - kHighParts)), &symbols).ok());
  EXPECT_EQ(symbols[1000], 32767);
  for (const uint64_t bad :
       {below(-32769 - base), above(32768 - base - kHighParts), above(65535)}) {
    EXPECT_EQ(Decode(with_escape(bad), &symbols).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(SymbolPlanTest, IsTheOneOfTheSmallestStream) {
  EXPECT_EQ(ChooseSymbolPlan(Symbols(1000, -7)),
            (SymbolPlan{.coded = false, .shift = 0, .base = -7, .wide = false}));
  EXPECT_EQ(ChooseSymbolPlan(Uniform(20'000, -32768, 32767)).coded, false);
  const SymbolPlan narrow = ChooseSymbolPlan(Gaussian(20'000, 2));
  EXPECT_TRUE(narrow.coded);
  EXPECT_EQ(narrow.shift, 0);
  EXPECT_FALSE(narrow.wide);
  EXPECT_TRUE(ChooseSymbolPlan(Gaussian(300'000, 2)).wide);
  EXPECT_GE(ChooseSymbolPlan(Gaussian(300'000, 1000)).shift, 4);
}

TEST(BitPackingTest, GivesBackTheLowBits) {
  const Symbols values = Uniform(1003, -32768, 32767);
  for (int width = 0; width <= 16; ++width) {
    for (const size_t n : {0, 1, 7, 8, 9, 1003}) {
      const std::span<const int16_t> some(values.data(), n);
      std::string packed;
      AppendPacked(some, width, &packed);
      ASSERT_EQ(packed.size(), PackedBytes(n, width));
      EXPECT_LE(packed.size(), (n * static_cast<size_t>(width) + 7) / 8 + 1);
      Symbols back(n, 0);
      OrPacked(AsBytes(packed), width, back);
      for (size_t i = 0; i < n; ++i) {
        const auto low = static_cast<uint32_t>(values[i]) & ((1u << width) - 1);
        ASSERT_EQ(static_cast<uint16_t>(back[i]), low) << width << ", " << n << ", " << i;
      }
    }
  }
}

}  // namespace
}  // namespace fedwatt
