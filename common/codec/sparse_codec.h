#pragma once

// What `topk` and `stc` have in common: they send a fraction of the coordinates, those of greatest
// magnitude, as Golomb-Rice coded positions.
//
// An encoding begins with two varints, the number of coordinates and that of positions, and a byte,
// the Rice parameter.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/codec/codec.h"
#include "common/codec/golomb.h"

namespace fedwatt {

inline constexpr double kDefaultFraction = 0.01;

// The parameter `fraction`, and nothing else. INVALID_ARGUMENT otherwise.
absl::StatusOr<double> FractionOf(const CodecSpec& spec);

// The spec that FractionOf reads as the same number.
CodecSpec FractionSpec(const std::string& name, double fraction);

// max(1, ceil(fraction * coordinates)), and at most all.
uint64_t CoordinatesKept(double fraction, uint64_t coordinates);

// Of Gaussian values whose largest magnitudes, a fraction of all, are kept.
struct GaussianTail {
  double energy = 0;         // share of the sum of squares
  double mean = 0;           // of the magnitudes, in standard deviations
  double position_bits = 0;  // for each coordinate kept
};
GaussianTail TailOf(double fraction);

// What positions take at most, with the header.
uint64_t MaxPositionBytes(double fraction, uint64_t coordinates, uint64_t extra_bits_each);

struct SparseHeader {
  uint64_t coordinates = 0;
  uint64_t count = 0;
  int rice_bits = 0;
};

void AppendSparseHeader(const SparseHeader& header, std::string* out);

// Reads the header at the front of *bytes and moves *bytes behind it. INVALID_ARGUMENT: not one, of
// another number of coordinates, or the rest is too short for so many positions with
// `extra_bits_each` beside them.
absl::StatusOr<SparseHeader> TakeSparseHeader(const std::string& codec, uint64_t coordinates,
                                              uint64_t extra_bits_each,
                                              std::span<const uint8_t>* bytes);

// Reads positions in rising order and asks the codec for the value of each. Read in rising order
// costs the size of `out` and the positions in it; going back begins anew.
class SparseDecoder : public Decoder {
 public:
  absl::Status Read(uint64_t begin, std::span<float> out) final;
  // Exact: the same figures as from reading all values.
  absl::StatusOr<F32Stats> Scan() final;

 protected:
  SparseDecoder(std::string codec, uint64_t coordinates, uint64_t count, const GapReader& gaps)
      : Decoder(coordinates), codec_(std::move(codec)), count_(count), start_{gaps} {}

  // The value of the index-th position, which *gaps has just read. INVALID_ARGUMENT: not one.
  virtual absl::StatusOr<float> Value(uint64_t index, GapReader* gaps) const = 0;

 private:
  struct Cursor {
    GapReader gaps;
    uint64_t taken = 0;
    uint64_t position = 0;  // coordinates(): there is none left
    float value = 0;
  };

  absl::Status Advance(Cursor* cursor) const;
  absl::Status Fail(const absl::Status& why);

  const std::string codec_;
  const uint64_t count_;
  const Cursor start_;
  Cursor cursor_ = start_;
  bool started_ = false;
  uint64_t next_ = 0;  // behind what was read
};

}  // namespace fedwatt
