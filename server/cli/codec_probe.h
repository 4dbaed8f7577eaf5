#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/codec/codec.h"

// What `fedwatt codec compare` measures. The same vectors in every run and on every machine (up to
// libm); seconds are this process's CPU time.
namespace fedwatt::cli {

std::vector<float> GaussianVector(uint64_t coordinates);
// Student's t with 1.5 degrees of freedom: no variance, as gradients of rare words have.
std::vector<float> HeavyTailedVector(uint64_t coordinates);

struct CodecQualityProbe {
  double bits = 0;   // per coordinate, of the whole encoding
  double vnmse = 0;  // ||x - decoded||^2 / ||x||^2; 0 for a zero vector that stays one
};

// One encoding by itself, without error feedback. Errors: what Encode refuses.
absl::StatusOr<CodecQualityProbe> ProbeQuality(const Codec& codec, std::span<const float> values,
                                               std::span<const MatrixShape> matrices);

struct CodecSpeedProbe {
  double encode_gb_s = 0;  // of float32
  double decode_gb_s = 0;  // block by block, into memory that is in the cache
};

// Medians of `repetitions`, after one that does not count.
absl::StatusOr<CodecSpeedProbe> ProbeSpeed(const Codec& codec, std::span<const float> values,
                                           std::span<const MatrixShape> matrices, int repetitions);

// "eden:bits=1,mode=lloyd_max,topk" is two codecs: a part between commas that is key=value belongs
// to the codec before it.
std::vector<std::string> SplitCodecs(const std::string& text);

// Every registered codec, one of several rates at each of them.
std::vector<std::string> CodecsToCompare();

}  // namespace fedwatt::cli
