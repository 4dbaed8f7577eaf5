#include "common/base/rng.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fedwatt {
namespace {

constexpr uint64_t kFnvPrime = 0x100000001b3;
constexpr uint64_t kKeyBasis = 0xcbf29ce484222325;
constexpr uint64_t kStreamBasis = 0x84222325cbf29ce4;
constexpr int kRounds = 10;
constexpr uint64_t kWordsPerBlock = 4;

class Fnv1a {
 public:
  explicit Fnv1a(uint64_t basis) : hash_(basis) {}

  void Add(uint64_t value) {
    for (int i = 0; i < 8; ++i) AddByte(static_cast<uint8_t>(value >> (8 * i)));
  }

  void Add(const std::string& text) {
    Add(static_cast<uint64_t>(text.size()));
    for (const char c : text) AddByte(static_cast<uint8_t>(c));
  }

  uint64_t hash() const { return hash_; }

 private:
  void AddByte(uint8_t byte) { hash_ = (hash_ ^ byte) * kFnvPrime; }

  uint64_t hash_;
};

uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t HashName(const RngKey& key, uint64_t basis) {
  Fnv1a fnv(basis);
  fnv.Add(key.job);
  fnv.Add(key.client);
  fnv.Add(key.purpose);
  fnv.Add(key.round);
  fnv.Add(key.seed);
  return Mix(fnv.hash());
}

uint32_t Low(uint64_t x) { return static_cast<uint32_t>(x); }
uint32_t High(uint64_t x) { return static_cast<uint32_t>(x >> 32); }

}  // namespace

std::array<uint32_t, 4> Philox4x32(const std::array<uint32_t, 4>& counter,
                                   const std::array<uint32_t, 2>& key) {
  std::array<uint32_t, 4> x = counter;
  uint32_t k0 = key[0];
  uint32_t k1 = key[1];
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * x[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * x[2];
    x = {High(product1) ^ x[1] ^ k0, Low(product1), High(product0) ^ x[3] ^ k1, Low(product0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return x;
}

Rng::Rng(const RngKey& key)
    : key_(HashName(key, kKeyBasis)), stream_(HashName(key, kStreamBasis)), position_(0) {}

Rng::Rng(const State& state) : key_(state.key), stream_(state.stream), position_(state.position) {}

uint32_t Rng::NextU32() {
  const uint64_t block = position_ / kWordsPerBlock;
  const uint64_t word = position_ % kWordsPerBlock;
  // A restored state may start inside a block.
  if (word == 0 || !cached_) {
    block_ =
        Philox4x32({Low(block), High(block), Low(stream_), High(stream_)}, {Low(key_), High(key_)});
    cached_ = true;
  }
  ++position_;
  return block_[word];
}

uint64_t Rng::NextU64() {
  const uint64_t low = NextU32();
  return low | (uint64_t{NextU32()} << 32);
}

double Rng::Uniform01() { return static_cast<double>(NextU64() >> 11) * 0x1.0p-53; }

uint64_t Rng::UniformInt(uint64_t bound) {
  if (bound == 0) return 0;
  using Wide = unsigned __int128;
  Wide product = Wide{NextU64()} * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = -bound % bound;  // 2^64 mod bound
    while (static_cast<uint64_t>(product) < threshold) product = Wide{NextU64()} * bound;
  }
  return static_cast<uint64_t>(product >> 64);
}

double Rng::Normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform01()));  // 1 - u is never 0
  return radius * std::cos(2.0 * std::numbers::pi * Uniform01());
}

double Rng::LogGamma(double shape) {
  if (shape < 1.0) {
    const double boosted = LogGamma(shape + 1.0);
    return boosted + std::log(1.0 - Uniform01()) / shape;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = Normal();
    const double root = 1.0 + c * x;
    if (root <= 0.0) continue;
    const double v = root * root * root;
    const double u = 1.0 - Uniform01();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

double Rng::Gamma(double shape) { return std::exp(LogGamma(shape)); }

double Rng::StudentT(double freedom) {
  const double chi_squared = 2 * Gamma(freedom / 2);
  return Normal() / std::sqrt(chi_squared / freedom);
}

std::vector<double> Rng::Dirichlet(std::span<const double> alpha) {
  std::vector<double> point;
  point.reserve(alpha.size());
  for (const double shape : alpha) point.push_back(LogGamma(shape));
  if (point.empty()) return point;
  const double largest = *std::max_element(point.begin(), point.end());
  double total = 0.0;
  for (double& x : point) {
    x = std::exp(x - largest);
    total += x;
  }
  for (double& x : point) x /= total;
  return point;
}

}  // namespace fedwatt
