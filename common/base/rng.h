#pragma once

// Random numbers that are the same on every machine, in every run, whatever the thread order.
//
// The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy
// as 1, 2, 3", SC'11): block i of a stream is a keyed permutation of the number i, so a stream can
// be entered anywhere and its whole state is (key, stream, position). A stream is named by what it
// is for; no two purposes share numbers, and drawing more for one changes no other.
//
// How a name becomes a stream. The text is: for each of job, client, purpose its length (8 bytes,
// little endian) and its bytes, then round and seed (8 bytes each, little endian). It is hashed
// with FNV-1a 64 from two offset bases, 0xcbf29ce484222325 and 0x84222325cbf29ce4, and each hash
// is finished with splitmix64's mixer: the first is the 64-bit Philox key (low word first), the
// second the high half of the 128-bit Philox counter. The low half counts blocks.
//
// Integers and uniforms are exact on every machine. Normal, Gamma, StudentT and Dirichlet go
// through libm (log, cos, sqrt, exp): equal bits are promised for one libm build only, so results
// that must be equal across machines draw integers or uniforms.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace fedwatt {

// One Philox4x32-10 block.
std::array<uint32_t, 4> Philox4x32(const std::array<uint32_t, 4>& counter,
                                   const std::array<uint32_t, 2>& key);

// Names a stream. Leave what does not apply empty or zero.
struct RngKey {
  std::string job;
  uint64_t round = 0;
  std::string client;
  std::string purpose;  // for example "selector", "partition", "retry-jitter"
  uint64_t seed = 0;    // the user's, if there is one
};

// A stream of numbers. Copying forks it: both copies give the same numbers. Not thread-safe; give
// every thread its own stream.
class Rng {
 public:
  // All there is to save. `position` counts 32-bit words drawn.
  struct State {
    uint64_t key = 0;
    uint64_t stream = 0;
    uint64_t position = 0;

    friend bool operator==(const State&, const State&) = default;
  };

  explicit Rng(const RngKey& key);
  explicit Rng(const State& state);

  State state() const { return {key_, stream_, position_}; }

  uint32_t NextU32();
  uint64_t NextU64();  // two words, low first

  // In [0, 1): the top 53 bits of NextU64 times 2^-53.
  double Uniform01();

  // In [0, bound), unbiased (Lemire 2019, with rejection). 0 when bound is 0.
  uint64_t UniformInt(uint64_t bound);

  // Standard normal (Box-Muller's cosine branch; always consumes four words).
  double Normal();

  // Gamma(shape, scale 1), shape > 0 (Marsaglia and Tsang 2000; below 1 by their boost).
  double Gamma(double shape);

  // Student's t with that many degrees of freedom, > 0: a normal over the root of a chi-squared.
  double StudentT(double freedom);

  // A point of the simplex, one coordinate per entry of `alpha` (all > 0). Computed from log
  // gammas, so that a small alpha gives a vertex and never 0/0.
  std::vector<double> Dirichlet(std::span<const double> alpha);

  // Fisher-Yates from the last element down.
  template <typename T>
  void Shuffle(std::span<T> values) {
    for (size_t i = values.size(); i > 1; --i) {
      std::swap(values[i - 1], values[UniformInt(i)]);
    }
  }
  template <typename T>
  void Shuffle(std::vector<T>& values) {
    Shuffle(std::span<T>(values));
  }

 private:
  double LogGamma(double shape);

  uint64_t key_;
  uint64_t stream_;
  uint64_t position_;
  bool cached_ = false;  // block_ holds the block of position_ - 1
  std::array<uint32_t, 4> block_{};
};

}  // namespace fedwatt
