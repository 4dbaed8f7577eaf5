#include "bench/test_vectors.h"

#include "common/base/rng.h"

namespace fedwatt::bench {

std::vector<float> Gaussian(size_t coordinates, uint64_t seed) {
  Rng rng(RngKey{.job = "bench", .purpose = "gaussian", .seed = seed});
  std::vector<float> values(coordinates);
  for (float& v : values) v = static_cast<float>(rng.Normal());
  return values;
}

std::vector<float> HeavyTailed(size_t coordinates) {
  constexpr double kFreedom = 1.5;
  Rng rng(RngKey{.job = "bench", .purpose = "heavy tails"});
  std::vector<float> values(coordinates);
  for (float& v : values) v = static_cast<float>(rng.StudentT(kFreedom));
  return values;
}

std::vector<float> OneHot(size_t coordinates, size_t at) {
  std::vector<float> values(coordinates);
  values[at] = 1;
  return values;
}

}  // namespace fedwatt::bench
