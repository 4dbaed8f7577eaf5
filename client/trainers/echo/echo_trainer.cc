#include "client/trainers/echo/echo_trainer.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr uint64_t kBlock = 4096;
constexpr uint64_t kBlocks = 16;  // written at a time: 256 KiB
constexpr uint64_t kExamples = 100;
constexpr double kLargestDelta = 0.01;
using Shape = std::array<float, kBlock>;

class EchoTrainer : public Trainer {
 public:
  explicit EchoTrainer(const Clock* clock) : clock_(clock), shape_(MakeShape()) {}

  std::string name() const override { return "echo"; }
  std::vector<std::string> artifact_formats() const override { return {"echo", "torchscript"}; }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override {
    const int64_t started_us = clock_->MonotonicUs();
    const int64_t cpu_us = SelfCpuTimeUs();
    TrainResult result;
    result.metrics.examples = kExamples;
    result.metrics.steps = 1;
    result.weight = kExamples;
    const LossSums sums{.examples = kExamples,
                        .loss_sum = static_cast<double>(kExamples) / request.key.round,
                        .loss_sq_sum = static_cast<double>(kExamples) / request.key.round,
                        .correct = kExamples / 2,
                        .predictions = kExamples};
    if (request.kind == AssignmentKind::kEvaluate) {
      result.metrics.after = sums;
    } else {
      if (cancel) return absl::CancelledError("cancelled before the first step");
      FW_ASSIGN_OR_RETURN(result.output_bytes, WriteDelta(request));
      result.metrics.before = result.metrics.after = sums;
    }
    if (progress) progress({.steps_done = 1, .steps_total = 1, .loss = sums.loss_sum});
    const double seconds = static_cast<double>(clock_->MonotonicUs() - started_us) * 1e-6;
    result.metrics.seconds_by_phase["train"] = seconds;
    result.cpu_time_us = SelfCpuTimeUs() - cpu_us;
    return result;
  }

 private:
  // Sums of four uniform numbers, within +-1: Rng::Normal has other bits on other machines.
  static Shape MakeShape() {
    Rng rng(RngKey{.job = "", .round = 0, .client = "", .purpose = "echo-shape"});
    Shape shape;
    for (float& value : shape) {
      double sum = -2;
      for (int i = 0; i < 4; ++i) sum += rng.Uniform01();
      value = static_cast<float>(sum / 2);
    }
    return shape;
  }

  absl::StatusOr<uint64_t> WriteDelta(const TrainRequest& request) const {
    if (request.bundle == nullptr) return absl::InvalidArgumentError("echo needs an open bundle");
    const Manifest& manifest = request.bundle->header().manifest;
    FW_ASSIGN_OR_RETURN(const UpdateLayout layout,
                        MakeUpdateLayout(manifest, request.plan.frozen, request.plan.buffers));
    FW_ASSIGN_OR_RETURN(const uint64_t model_bytes, FileSize(request.model_path));
    if (model_bytes != manifest.TotalBytes()) {
      return absl::InvalidArgumentError(
          absl::StrCat("model ", request.model_path, " holds ", model_bytes,
                       " bytes; the bundle's manifest needs ", manifest.TotalBytes()));
    }
    FW_ASSIGN_OR_RETURN(FileWriter out, FileWriter::Create(request.output_path));
    Rng rng(RngKey{.job = request.key.job,
                   .round = request.key.round,
                   .client = request.seed_key,
                   .purpose = "echo",
                   .seed = request.plan.seed});
    std::vector<float> block(kBlocks * kBlock);
    for (uint64_t at = 0; at < layout.coordinates;) {
      const uint64_t n = std::min<uint64_t>(block.size(), layout.coordinates - at);
      // The block is a multiple of kBlock long, so whole shapes fit.
      for (uint64_t i = 0; i < n; i += kBlock) {
        const auto scale = static_cast<float>((2 * rng.Uniform01() - 1) * kLargestDelta);
        for (uint64_t k = 0; k < kBlock; ++k) block[i + k] = shape_[k] * scale;
      }
      FW_RETURN_IF_ERROR(
          out.Append({reinterpret_cast<const uint8_t*>(block.data()), n * sizeof(float)}));
      at += n;
    }
    FW_RETURN_IF_ERROR(AppendBuffers(request.model_path, manifest, layout, &out));
    const uint64_t written = out.size();
    FW_RETURN_IF_ERROR(out.Close());
    return written;
  }

  static absl::Status AppendBuffers(const std::string& model_path, const Manifest& manifest,
                                    const UpdateLayout& layout, FileWriter* out) {
    if (layout.buffers.empty()) return absl::OkStatus();
    FW_ASSIGN_OR_RETURN(const MappedFile model, MappedFile::Open(model_path));
    for (const UpdateLayout::Piece& piece : layout.buffers) {
      const uint64_t bytes = manifest.tensors()[piece.tensor].Bytes();
      FW_RETURN_IF_ERROR(out->Append(model.bytes().subspan(piece.model_offset, bytes)));
    }
    return absl::OkStatus();
  }

  const Clock* const clock_;
  const Shape shape_;
};

}  // namespace

std::unique_ptr<Trainer> MakeEchoTrainer(const Clock* clock) {
  return std::make_unique<EchoTrainer>(clock);
}

}  // namespace fedwatt
