#include "server/driver/update_check.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/tensor/buffer_accumulator.h"
#include "common/tensor/fixed_point.h"
#include "server/driver/update_view.h"

namespace fedwatt {
namespace {

std::string CoordinateName(const JobSetup& setup, uint64_t coordinate) {
  for (const UpdateLayout::Piece& piece : setup.layout.trainable) {
    if (coordinate >= piece.offset && coordinate < piece.offset + piece.elements) {
      return absl::StrCat("\"", setup.header.manifest.tensors()[piece.tensor].name, "\"[",
                          coordinate - piece.offset, "]");
    }
  }
  return absl::StrCat("coordinate ", coordinate);
}

// OK when the block has none.
absl::Status BadValue(const JobSetup& setup, std::span<const float> block, uint64_t begin) {
  const double bound = setup.spec.bounds.max_abs_delta;
  for (size_t i = 0; i < block.size(); ++i) {
    if (std::isfinite(block[i]) && std::fabs(block[i]) <= bound) continue;
    const std::string name = CoordinateName(setup, begin + i);
    if (!std::isfinite(block[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("the update's ", name, " is ", block[i], ": must be finite"));
    }
    return absl::InvalidArgumentError(absl::StrCat("the update changes ", name, " by ", block[i],
                                                   ": must be at most ", bound,
                                                   " (bounds.max_abs_delta)"));
  }
  return absl::OkStatus();
}

// `see(begin, values)` gives a Status, for one block after the other.
template <typename See>
absl::Status ForEachBlock(const JobSetup& setup, const SpooledUpdateView& view, const See& see) {
  const uint64_t coordinates = setup.layout.coordinates;
  std::vector<float> block(std::min(SpooledUpdateView::kBlock, coordinates));
  for (uint64_t begin = 0; begin < coordinates; begin += block.size()) {
    const std::span<float> part(block.data(),
                                std::min<uint64_t>(block.size(), coordinates - begin));
    FW_RETURN_IF_ERROR(view.ReadDelta(begin, part));
    FW_RETURN_IF_ERROR(see(begin, part));
  }
  return absl::OkStatus();
}

absl::Status FindBadValue(const JobSetup& setup, const SpooledUpdateView& view) {
  return ForEachBlock(setup, view, [&setup](uint64_t begin, std::span<const float> block) {
    return BadValue(setup, block, begin);
  });
}

absl::StatusOr<UpdateSketch> SketchOf(const JobSetup& setup, const SpooledUpdateView& view) {
  UpdateSketcher sketcher;
  FW_RETURN_IF_ERROR(
      ForEachBlock(setup, view, [&sketcher](uint64_t begin, std::span<const float> block) {
        sketcher.Add(begin, block);
        return absl::OkStatus();
      }));
  return sketcher.Finish();
}

absl::Status CheckBuffers(const JobSetup& setup, const SpooledUpdateView& view) {
  if (setup.layout.buffer_bytes == 0) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const std::vector<uint8_t> buffers, view.ReadBuffers());
  FW_ASSIGN_OR_RETURN(const BufferAccumulator checker,
                      BufferAccumulator::Create(setup.header.manifest, setup.layout,
                                                setup.spec.bounds.max_weight, setup.MaxReports()));
  return checker.Validate(buffers);
}

bool IsUsable(const std::optional<LossSums>& losses) {
  return losses && std::isfinite(losses->loss_sum) && std::isfinite(losses->loss_sq_sum) &&
         losses->correct <= losses->predictions;
}

}  // namespace

absl::Status CheckReport(const AttemptFacts& facts, uint32_t index, const Report& report) {
  const JobSpec::Bounds& bounds = facts.setup->spec.bounds;
  if (report.base_sha256 != facts.base.sha256) {
    return absl::InvalidArgumentError(
        absl::StrCat("the report is about model ", DigestHex(report.base_sha256), "; ",
                     facts.key.ToString(), " works on model ", DigestHex(facts.base.sha256)));
  }
  if (report.metrics.named.size() > bounds::kMaxMetrics) {
    return absl::InvalidArgumentError(absl::StrCat("the report has ", report.metrics.named.size(),
                                                   " named values: at most ", bounds::kMaxMetrics,
                                                   " are taken"));
  }
  if (facts.key.evaluation) {
    if (report.update.size == 0) return absl::OkStatus();
    return absl::InvalidArgumentError("an evaluation takes no update");
  }
  if (report.weight < 1 || report.weight > bounds.max_weight) {
    return absl::InvalidArgumentError(absl::StrCat("weight ", report.weight, ": must be 1 to ",
                                                   bounds.max_weight, " (bounds.max_weight)"));
  }
  if (report.update.size == 0) {
    return absl::InvalidArgumentError("the report brings no update; report a failure instead");
  }
  const UploadCodec& codec = *facts.uploads[index].codec;
  if (report.update.size > codec.max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("an update of ", report.update.size,
                                                   " bytes: this job's have at most ",
                                                   codec.max_bytes, " as ", codec.text));
  }
  return absl::OkStatus();
}

absl::StatusOr<CheckedUpdate> ValidateUpdate(const JobSetup& setup, const UploadCodec& codec,
                                             const SpooledUpdate& update) {
  FW_ASSIGN_OR_RETURN(const auto view, SpooledUpdateView::Create(&setup, &codec, &update, 1, 1));
  FW_ASSIGN_OR_RETURN(const F32Stats stats, view->Scan());
  // The greatest value may be an upper bound only: none may be found.
  if (!stats.finite || stats.max_abs > setup.spec.bounds.max_abs_delta) {
    FW_RETURN_IF_ERROR(FindBadValue(setup, *view));
  }
  FW_RETURN_IF_ERROR(CheckBuffers(setup, *view));
  const double max_norm = setup.spec.bounds.max_update_norm;
  const double norm = std::sqrt(stats.sum_squares);
  CheckedUpdate checked;
  if (max_norm > 0 && norm > max_norm) checked.clip_factor = max_norm / norm;
  if (setup.wants_sketches) {
    FW_ASSIGN_OR_RETURN(checked.sketch, SketchOf(setup, *view));
  }
  return checked;
}

UpdateMetrics UsableMetrics(const UpdateMetrics& metrics) {
  UpdateMetrics usable = metrics;
  if (!IsUsable(usable.before)) usable.before.reset();
  if (!IsUsable(usable.after)) usable.after.reset();
  std::erase_if(usable.named, [](const auto& entry) { return !std::isfinite(entry.second); });
  std::erase_if(usable.seconds_by_phase,
                [](const auto& entry) { return !std::isfinite(entry.second) || entry.second < 0; });
  return usable;
}

}  // namespace fedwatt
