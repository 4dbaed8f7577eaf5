#include "bench/codec_quality.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/test_vectors.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"

namespace fedwatt::bench {
namespace {

constexpr size_t kMillion = size_t{1} << 20;

struct Rate {
  const char* spec;
  double vnmse;         // for d -> infinity
  double entropy_bits;  // of the index
};

// Derived in the same way as the centroids and steps are, but by another program.
constexpr Rate kRates[] = {
    {"eden:bits=0.5", 1.613, 0.5},
    {"eden:bits=1", 0.5347, 1},
    {"eden:bits=2", 0.0976, 2},
    {"eden:bits=3", 0.0227, 3},
    {"eden:bits=4", 0.00559, 4},
    {"eden:bits=8", 2.2e-5, 8},
    {"eden:bits=1,mode=lloyd_max", 0.5708, 1.000},
    {"eden:bits=2,mode=lloyd_max", 0.1331, 1.911},
    {"eden:bits=3,mode=lloyd_max", 0.03578, 2.825},
    {"eden:bits=4,mode=lloyd_max", 0.00959, 3.765},
    {"eden:bits=8,mode=lloyd_max", 4.1e-5, 7.694},
};

struct Coded {
  std::vector<float> values;
  size_t bytes = 0;
};

absl::StatusOr<Coded> RoundTrip(const Codec& codec, std::span<const float> values, uint64_t round,
                                const std::string& client) {
  CodecContext context;
  context.job = "bench";
  context.round = round;
  context.client = client;
  std::string encoded;
  FW_RETURN_IF_ERROR(codec.Encode(values, context, &encoded));
  Coded coded{.bytes = encoded.size()};
  FW_ASSIGN_OR_RETURN(coded.values, DecodeAll(codec, AsBytes(encoded), values.size()));
  return coded;
}

double SquaredError(std::span<const float> x, std::span<const float> y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += error * error;
  }
  return sum;
}

double SquaredNorm(std::span<const float> x) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  return sum;
}

// The mean of `rounds` encodings of the same vector.
absl::StatusOr<double> Vnmse(const Codec& codec, std::span<const float> x, uint64_t rounds) {
  double sum = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    FW_ASSIGN_OR_RETURN(const Coded coded, RoundTrip(codec, x, round, "client"));
    sum += SquaredError(x, coded.values);
  }
  return sum / SquaredNorm(x) / static_cast<double>(rounds);
}

// ||mean of decoded - mean of sent||^2 over the clients' mean squared norm.
absl::StatusOr<double> NmseOfMean(const Codec& codec, size_t clients, size_t coordinates) {
  const std::vector<float> common = Gaussian(coordinates, 2);
  const std::vector<float> own = Gaussian(coordinates, 3);
  const double share = 1 / static_cast<double>(clients);
  std::vector<double> error(coordinates);
  std::vector<float> x(coordinates);
  double norm = 0;
  for (size_t client = 0; client < clients; ++client) {
    for (size_t i = 0; i < coordinates; ++i) {
      x[i] = common[i] + 0.01f * own[(i + client) % coordinates];
    }
    FW_ASSIGN_OR_RETURN(const Coded coded, RoundTrip(codec, x, 1, absl::StrCat("client-", client)));
    for (size_t i = 0; i < coordinates; ++i) {
      error[i] += share * (static_cast<double>(coded.values[i]) - static_cast<double>(x[i]));
    }
    norm += share * SquaredNorm(x);
  }
  double sum = 0;
  for (const double e : error) sum += e * e;
  return sum / norm;
}

struct Vectors {
  std::vector<float> gaussian = Gaussian(kMillion);
  std::vector<float> one_hot = OneHot(kMillion, 777);
  std::vector<float> heavy_tailed = HeavyTailed(kMillion);
};

absl::Status MeasureErrors(const Codec& codec, const Rate& rate, const Vectors& vectors,
                           Table* table) {
  const std::string group = "vNMSE of eden, 2^20 coordinates";
  const auto add = [&](const char* what, double vnmse) {
    table->Add({.group = group,
                .name = absl::StrCat(rate.spec, ", ", what),
                .value = vnmse,
                .floor = rate.vnmse,
                .floor_name = "theory",
                .target = Target{Target::Kind::kRatioWithin, 0.02}});
  };
  // Long Gaussian vectors average by themselves; the others lie in one piece, or in few.
  FW_ASSIGN_OR_RETURN(const double gaussian, Vnmse(codec, vectors.gaussian, 1));
  FW_ASSIGN_OR_RETURN(const double one_hot, Vnmse(codec, vectors.one_hot, 10));
  FW_ASSIGN_OR_RETURN(const double heavy_tailed, Vnmse(codec, vectors.heavy_tailed, 3));
  add("Gaussian", gaussian);
  add("one-hot", one_hot);
  add("Student t 1.5", heavy_tailed);
  return absl::OkStatus();
}

absl::Status MeasureSize(const Codec& codec, const Rate& rate, const Vectors& vectors,
                         Table* table) {
  FW_ASSIGN_OR_RETURN(const Coded coded, RoundTrip(codec, vectors.gaussian, 0, "client"));
  const double bits = 8 * static_cast<double>(coded.bytes) / static_cast<double>(kMillion);
  std::optional<Target> target;
  if (rate.entropy_bits < 5) target = Target{Target::Kind::kRatioAtMost, 1.015};
  table->Add({.group = "size of eden, 2^20 coordinates, all side information counted",
              .name = rate.spec,
              .value = bits,
              .unit = "bits",
              .floor = rate.entropy_bits,
              .floor_name = "entropy of the index",
              .target = target});
  return absl::OkStatus();
}

absl::Status MeasureMean(const Codec& codec, const Rate& rate, Table* table) {
  constexpr size_t kClients = 30;
  FW_ASSIGN_OR_RETURN(const double nmse, NmseOfMean(codec, kClients, size_t{1} << 17));
  table->Add({.group = "NMSE of the mean of 30 clients that nearly agree",
              .name = rate.spec,
              .value = nmse,
              .floor = rate.vnmse / kClients,
              .floor_name = "theory / 30",
              .target = Target{Target::Kind::kRatioWithin, 0.05}});
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureCodecQuality(const Interrupt& interrupt, Table* table) {
  const Vectors vectors;
  Table errors, sizes, means;
  for (const Rate& rate : kRates) {
    FW_RETURN_IF_ERROR(interrupt.Check());
    FW_ASSIGN_OR_RETURN(const std::unique_ptr<Codec> codec, MakeCodec(rate.spec));
    FW_RETURN_IF_ERROR(MeasureErrors(*codec, rate, vectors, &errors));
    FW_RETURN_IF_ERROR(MeasureSize(*codec, rate, vectors, &sizes));
    FW_RETURN_IF_ERROR(MeasureMean(*codec, rate, &means));
  }
  for (const Table* part : {&errors, &sizes, &means}) {
    for (const Figure& figure : part->figures()) table->Add(figure);
  }
  return absl::OkStatus();
}

}  // namespace fedwatt::bench
