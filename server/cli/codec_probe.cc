#include "server/cli/codec_probe.h"

#include <algorithm>
#include <functional>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/bytes.h"
#include "common/base/cpu_time.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"

namespace fedwatt::cli {
namespace {

constexpr size_t kBlock = 1 << 16;

CodecContext ProbeContext(std::span<const MatrixShape> matrices) {
  return {.job = "compare", .round = 1, .client = "probe", .matrices = matrices};
}

// Reads `out.size()` coordinates at a time and hands them on.
absl::Status ReadBlocks(Decoder& decoder, std::span<float> out,
                        const std::function<void(uint64_t, std::span<const float>)>& block) {
  for (uint64_t begin = 0; begin < decoder.coordinates(); begin += out.size()) {
    const auto part = out.first(std::min<uint64_t>(out.size(), decoder.coordinates() - begin));
    FW_RETURN_IF_ERROR(decoder.Read(begin, part));
    block(begin, part);
  }
  return absl::OkStatus();
}

// The median of the CPU seconds that `body` takes.
absl::StatusOr<double> MedianSeconds(int repetitions, const std::function<absl::Status()>& body) {
  FW_RETURN_IF_ERROR(body());
  std::vector<int64_t> times_us;
  for (int i = 0; i < repetitions; ++i) {
    const int64_t begin_us = SelfCpuTimeUs();
    FW_RETURN_IF_ERROR(body());
    times_us.push_back(std::max<int64_t>(1, SelfCpuTimeUs() - begin_us));
  }
  std::nth_element(times_us.begin(), times_us.begin() + repetitions / 2, times_us.end());
  return 1e-6 * static_cast<double>(times_us[static_cast<size_t>(repetitions) / 2]);
}

}  // namespace

std::vector<float> GaussianVector(uint64_t coordinates) {
  Rng rng(RngKey{.job = "compare", .purpose = "gaussian"});
  std::vector<float> values(coordinates);
  for (float& v : values) v = static_cast<float>(rng.Normal());
  return values;
}

std::vector<float> HeavyTailedVector(uint64_t coordinates) {
  constexpr double kFreedom = 1.5;
  Rng rng(RngKey{.job = "compare", .purpose = "heavy tails"});
  std::vector<float> values(coordinates);
  for (float& v : values) v = static_cast<float>(rng.StudentT(kFreedom));
  return values;
}

absl::StatusOr<CodecQualityProbe> ProbeQuality(const Codec& codec, std::span<const float> values,
                                               std::span<const MatrixShape> matrices) {
  std::string encoded;
  FW_RETURN_IF_ERROR(codec.Encode(values, ProbeContext(matrices), &encoded));
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder,
                      codec.Open(AsBytes(encoded), values.size()));
  std::vector<float> block(kBlock);
  double error = 0;
  double norm = 0;
  FW_RETURN_IF_ERROR(ReadBlocks(*decoder, block, [&](uint64_t begin, std::span<const float> part) {
    for (size_t i = 0; i < part.size(); ++i) {
      const double x = values[begin + i];
      error += (part[i] - x) * (part[i] - x);
      norm += x * x;
    }
  }));
  return CodecQualityProbe{
      8 * static_cast<double>(encoded.size()) / static_cast<double>(values.size()),
      error == 0 ? 0 : error / norm};
}

absl::StatusOr<CodecSpeedProbe> ProbeSpeed(const Codec& codec, std::span<const float> values,
                                           std::span<const MatrixShape> matrices, int repetitions) {
  const double gigabytes = 1e-9 * static_cast<double>(values.size_bytes());
  std::string encoded;
  FW_ASSIGN_OR_RETURN(const double encode_s, MedianSeconds(repetitions, [&] {
                        return codec.Encode(values, ProbeContext(matrices), &encoded);
                      }));
  std::vector<float> block(kBlock);
  FW_ASSIGN_OR_RETURN(const double decode_s, MedianSeconds(repetitions, [&]() -> absl::Status {
                        FW_ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder,
                                            codec.Open(AsBytes(encoded), values.size()));
                        return ReadBlocks(*decoder, block, [](uint64_t, std::span<const float>) {});
                      }));
  return CodecSpeedProbe{gigabytes / encode_s, gigabytes / decode_s};
}

std::vector<std::string> SplitCodecs(const std::string& text) {
  std::vector<std::string> codecs;
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(text, ','))) {
    const size_t equals = part.find('=');
    const bool parameter = equals != std::string::npos && part.find(':') > equals;
    if (parameter && !codecs.empty()) {
      absl::StrAppend(&codecs.back(), ",", part);
    } else {
      codecs.push_back(part);
    }
  }
  return codecs;
}

std::vector<std::string> CodecsToCompare() {
  static constexpr const char* kEden[] = {"eden:bits=0.5",
                                          "eden:bits=1",
                                          "eden:bits=2",
                                          "eden:bits=4",
                                          "eden:bits=8",
                                          "eden:bits=1,mode=lloyd_max",
                                          "eden:bits=2,mode=lloyd_max",
                                          "eden:bits=4,mode=lloyd_max"};
  std::vector<std::string> texts;
  for (const CodecEntry& entry : BuiltinCodecs()) {
    if (entry.name == "eden") {
      texts.insert(texts.end(), std::begin(kEden), std::end(kEden));
    } else {
      texts.push_back(entry.name);
    }
  }
  return texts;
}

}  // namespace fedwatt::cli
