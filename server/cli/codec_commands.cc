#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"
#include "nlohmann/json.hpp"
#include "server/cli/codec_probe.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/model_update.h"
#include "server/cli/text_table.h"

namespace fedwatt::cli {
namespace {

using nlohmann::json;

constexpr int kRepetitions = 5;

struct Comparison {
  std::string codec;
  bool error_feedback = false;
  std::optional<CodecQualityProbe> gaussian;
  std::optional<CodecQualityProbe> heavy_tailed;
  std::optional<CodecQualityProbe> update;
  CodecSpeedProbe speed;
};

// A line on a terminal that the next one replaces; nothing in a pipe.
class Progress {
 public:
  explicit Progress(const Context& context) : live_(!context.json && isatty(STDERR_FILENO) != 0) {}
  ~Progress() { Show(""); }

  void Show(const std::string& text) const {
    if (live_) std::cerr << "\r\x1b[2K" << text << std::flush;
  }

 private:
  const bool live_;
};

struct Vectors {
  std::vector<float> gaussian;
  std::vector<float> heavy_tailed;
  ModelUpdate update;
};

// What a codec refuses (a value beyond its range) is a finding, not a failure.
std::optional<CodecQualityProbe> TryQuality(const Codec& codec, std::span<const float> values,
                                            std::span<const MatrixShape> matrices,
                                            std::vector<std::string>* notes) {
  if (values.empty()) return std::nullopt;
  auto probe = ProbeQuality(codec, values, matrices);
  if (probe.ok()) return *probe;
  notes->push_back(std::string(probe.status().message()));
  return std::nullopt;
}

absl::StatusOr<Comparison> CompareOne(const Codec& codec, const Vectors& vectors,
                                      std::vector<std::string>* notes) {
  // One square matrix, for codecs that look for low rank where there is none.
  const uint64_t rows = std::min<uint64_t>(1024, vectors.gaussian.size());
  const MatrixShape square = {0, rows, vectors.gaussian.size() / rows};
  const std::span<const MatrixShape> matrices(&square, 1);
  Comparison out{codec.spec().ToString(), codec.needs_error_feedback(), {}, {}, {}, {}};
  out.gaussian = TryQuality(codec, vectors.gaussian, matrices, notes);
  out.heavy_tailed = TryQuality(codec, vectors.heavy_tailed, matrices, notes);
  out.update = TryQuality(codec, vectors.update.values, vectors.update.matrices, notes);
  FW_ASSIGN_OR_RETURN(out.speed, ProbeSpeed(codec, vectors.gaussian, matrices, kRepetitions));
  return out;
}

absl::StatusOr<std::vector<std::unique_ptr<Codec>>> MakeCodecs(const std::string& names) {
  std::vector<std::unique_ptr<Codec>> codecs;
  for (const std::string& text : names.empty() ? CodecsToCompare() : SplitCodecs(names)) {
    auto codec = MakeCodec(text);
    if (!codec.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--codecs: ", std::string(codec.status().message())));
    }
    codecs.push_back(*std::move(codec));
  }
  return codecs;
}

absl::StatusOr<std::vector<Comparison>> CompareAll(const Context& context,
                                                   const CodecCompareOptions& options,
                                                   std::vector<std::string>* notes) {
  FW_ASSIGN_OR_RETURN(const auto codecs, MakeCodecs(options.codecs));
  const Progress progress(context);
  progress.Show("training for an update");
  Vectors vectors;
  FW_ASSIGN_OR_RETURN(vectors.update, GetModelUpdate({.bundle = options.bundle,
                                                      .file = options.update,
                                                      .dataset = options.dataset,
                                                      .torch_tool = options.torch_tool}));
  notes->push_back(vectors.update.note);
  vectors.gaussian = GaussianVector(options.size);
  vectors.heavy_tailed = HeavyTailedVector(options.size);
  std::vector<Comparison> rows;
  for (const auto& codec : codecs) {
    if (context.shutdown->requested()) return absl::CancelledError("interrupted");
    progress.Show(absl::StrCat(rows.size() + 1, "/", codecs.size(), " ", codec->spec().ToString()));
    FW_ASSIGN_OR_RETURN(rows.emplace_back(), CompareOne(*codec, vectors, notes));
  }
  return rows;
}

json ProbeJson(const std::optional<CodecQualityProbe>& probe) {
  if (!probe.has_value()) return nullptr;
  return {{"bits", probe->bits}, {"vnmse", probe->vnmse}};
}

json ComparisonJson(const std::vector<Comparison>& rows, uint64_t size,
                    const std::vector<std::string>& notes) {
  json codecs = json::array();
  for (const Comparison& row : rows) {
    codecs.push_back({{"codec", row.codec},
                      {"needs_error_feedback", row.error_feedback},
                      {"gaussian", ProbeJson(row.gaussian)},
                      {"heavy_tailed", ProbeJson(row.heavy_tailed)},
                      {"update", ProbeJson(row.update)},
                      {"encode_gb_s", row.speed.encode_gb_s},
                      {"decode_gb_s", row.speed.decode_gb_s}});
  }
  return {{"coordinates", size}, {"codecs", codecs}, {"notes", notes}};
}

std::string Bits(const std::optional<CodecQualityProbe>& probe) {
  return probe.has_value() ? absl::StrFormat("%.3f", probe->bits) : "-";
}

std::string Vnmse(const std::optional<CodecQualityProbe>& probe) {
  return probe.has_value() ? absl::StrFormat("%.3g", probe->vnmse) : "-";
}

std::string ComparisonText(const std::vector<Comparison>& rows, uint64_t size,
                           const std::vector<std::string>& notes) {
  std::vector<std::vector<std::string>> table = {{"codec", "bits", "bits t1.5", "bits update",
                                                  "vNMSE", "vNMSE t1.5", "vNMSE update", "encode",
                                                  "decode", "error feedback"}};
  for (const Comparison& row : rows) {
    table.push_back({row.codec, Bits(row.gaussian), Bits(row.heavy_tailed), Bits(row.update),
                     Vnmse(row.gaussian), Vnmse(row.heavy_tailed), Vnmse(row.update),
                     absl::StrFormat("%.2f", row.speed.encode_gb_s),
                     absl::StrFormat("%.2f", row.speed.decode_gb_s),
                     row.error_feedback ? "needed" : ""});
  }
  std::string text = TextTable(table);
  absl::StrAppend(&text, "\nbits per coordinate and ||x - decoded||^2 / ||x||^2 of ", size,
                  " Gaussian coordinates, of as many\nof Student's t 1.5, and of the update; GB/s ",
                  "of float32, one core. Codecs that need error feedback\nsend what is missing in ",
                  "later rounds, so that theirs are not errors of a job.\n");
  for (const std::string& note : notes) absl::StrAppend(&text, note, "\n");
  return text;
}

}  // namespace

int ListCodecs(const Context& context) {
  json out = json::array();
  std::vector<std::vector<std::string>> table = {
      {"codec", "bits", "vNMSE", "error feedback", "parameters"}};
  for (const CodecEntry& entry : BuiltinCodecs()) {
    const auto codec = MakeCodec(entry.name);
    if (!codec.ok()) return Fail(context, codec.status());
    const CodecSpec spec = (*codec)->spec();
    const CodecQuality quality = (*codec)->quality();
    const bool feedback = (*codec)->needs_error_feedback();
    out.push_back({{"name", entry.name},
                   {"parameters", spec.params},
                   {"bits", quality.bits},
                   {"vnmse", quality.vnmse},
                   {"needs_error_feedback", feedback}});
    table.push_back({entry.name, absl::StrFormat("%.4g", quality.bits),
                     absl::StrFormat("%.3g", quality.vnmse), feedback ? "needed" : "",
                     absl::StrJoin(spec.params, " ", absl::PairFormatter("="))});
  }
  if (context.json) {
    std::cout << out.dump(2) << std::endl;
  } else {
    std::cout << TextTable(table)
              << "\nWritten NAME:KEY=VALUE,... in job files; docs/codecs.md has every parameter."
              << std::endl;
  }
  return kOk;
}

int CompareCodecs(const Context& context, const CodecCompareOptions& options) {
  std::vector<std::string> notes;
  const auto rows = CompareAll(context, options, &notes);
  if (!rows.ok()) return Fail(context, rows.status());
  if (context.json) {
    std::cout << ComparisonJson(*rows, options.size, notes).dump(2) << std::endl;
  } else {
    std::cout << ComparisonText(*rows, options.size, notes) << std::flush;
  }
  return kOk;
}

}  // namespace fedwatt::cli
