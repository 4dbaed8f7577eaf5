#include "simulation/synthetic_trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "simulation/work_units.h"

namespace fedwatt {

class SyntheticTask {
 public:
  explicit SyntheticTask(uint64_t seed) : seed_(seed) {}

  const std::vector<float>& Target(uint64_t coordinates) {
    if (target_.size() != coordinates) {
      Rng rng(RngKey{
          .job = "", .round = 0, .client = "", .purpose = "synthetic-target", .seed = seed_});
      target_.resize(coordinates);
      for (float& value : target_) value = static_cast<float>(rng.Uniform01() - 0.5);
    }
    return target_;
  }

 private:
  const uint64_t seed_;
  std::vector<float> target_;
};

namespace {

constexpr uint64_t kBlock = 64;
constexpr float kShift = 0.1F;
constexpr double kTargetSquare = 1.0 / 12;  // mean of c^2
constexpr float kNoise = 0.01F;

class SyntheticTrainer final : public Trainer {
 public:
  explicit SyntheticTrainer(std::shared_ptr<SyntheticTask> task) : task_(std::move(task)) {}

  std::string name() const override { return "synthetic"; }
  std::vector<std::string> artifact_formats() const override { return {}; }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override {
    if (cancel) return absl::CancelledError("cancelled before the first step");
    if (request.bundle == nullptr) {
      return absl::InvalidArgumentError("synthetic training needs an open bundle");
    }
    const Manifest& manifest = request.bundle->header().manifest;
    FW_ASSIGN_OR_RETURN(const UpdateLayout layout,
                        MakeUpdateLayout(manifest, request.plan.frozen, request.plan.buffers));
    FW_ASSIGN_OR_RETURN(const std::string model,
                        ReadFile(request.model_path, manifest.TotalBytes()));
    if (model.size() != manifest.TotalBytes()) {
      return absl::DataLossError(absl::StrCat(request.model_path, " holds ", model.size(),
                                              " bytes, the manifest describes ",
                                              manifest.TotalBytes()));
    }
    const uint64_t examples = ExamplesOf(request.dataset);
    std::vector<float> gap = GapOf(request, layout, model);
    TrainResult result;
    result.metrics.examples = examples;
    result.weight = request.plan.weight_by == WeightBy::kUniform ? 1 : examples;
    if (request.kind == AssignmentKind::kEvaluate) {
      result.metrics.after = SumsOf(gap, examples);
      return result;
    }
    result.metrics.steps = StepsOf(request.plan, examples);
    const LossPair losses = Step(request, result.metrics.steps, examples, &gap);
    const LossSums& before = losses.before;
    result.metrics.before = before;
    result.metrics.after = losses.after;
    FW_ASSIGN_OR_RETURN(result.output_bytes, Write(request, manifest, layout, model, gap));
    if (progress) progress({result.metrics.steps, result.metrics.steps, before.loss_sum});
    return result;
  }

 private:
  static Rng RngOf(const TrainRequest& request, const char* purpose, uint64_t round) {
    return Rng(RngKey{.job = request.key.job,
                      .round = round,
                      .client = request.seed_key,
                      .purpose = purpose,
                      .seed = request.plan.seed});
  }

  // w - t_i over the coordinates that an update has.
  std::vector<float> GapOf(const TrainRequest& request, const UpdateLayout& layout,
                           const std::string& model) const {
    const std::vector<float>& target = task_->Target(layout.coordinates);
    std::vector<float> gap(layout.coordinates);
    for (const UpdateLayout::Piece& piece : layout.trainable) {
      std::memcpy(gap.data() + piece.offset, model.data() + piece.model_offset,
                  piece.elements * sizeof(float));
    }
    const auto option = request.dataset.options.find("shift");
    const bool shifted = option == request.dataset.options.end() || option->second != "none";
    Rng rng = RngOf(request, "synthetic-shift", 0);
    for (uint64_t at = 0; at < gap.size(); at += kBlock) {
      const float shift = shifted ? kShift * static_cast<float>(2 * rng.Uniform01() - 1) : 0.0F;
      const uint64_t end = std::min<uint64_t>(at + kBlock, gap.size());
      for (uint64_t i = at; i < end; ++i) gap[i] -= target[i] + shift;
    }
    return gap;
  }

  struct LossPair {
    LossSums before;
    LossSums after;
  };

  // In lanes that are added up at the end: one chain of additions is what a processor waits for.
  static double SquaresOf(const std::vector<float>& values) {
    constexpr size_t kLanes = 8;
    double lanes[kLanes] = {};
    const size_t whole = values.size() / kLanes * kLanes;
    for (size_t i = 0; i < whole; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] += static_cast<double>(values[i + lane]) * values[i + lane];
      }
    }
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    for (size_t i = whole; i < values.size(); ++i) {
      sum += static_cast<double>(values[i]) * values[i];
    }
    return sum;
  }

  static LossSums SumsOf(const std::vector<float>& gap, uint64_t examples) {
    const auto coordinates = static_cast<double>(std::max<size_t>(gap.size(), 1));
    return SumsFor(SquaresOf(gap) / coordinates / kTargetSquare, examples);
  }

  static LossSums SumsFor(double loss, uint64_t examples) {
    const auto count = static_cast<double>(examples);
    LossSums sums;
    sums.examples = sums.predictions = examples;
    sums.loss_sum = loss * count;
    sums.loss_sq_sum = loss * loss * count;
    sums.correct = static_cast<uint64_t>(count / (1 + 4 * loss) + 0.5);
    return sums;
  }

  // `gap` becomes the delta.
  static LossPair Step(const TrainRequest& request, uint64_t steps, uint64_t examples,
                       std::vector<float>* gap) {
    const double lr = std::clamp(request.plan.optimizer.lr, 0.0, 1.0);
    const auto left = static_cast<float>(std::pow(1 - lr, static_cast<double>(steps)));
    Rng rng = RngOf(request, "synthetic-noise", request.key.round);
    std::vector<float> after = *gap;
    for (uint64_t at = 0; at < gap->size(); at += kBlock) {
      const float noise = kNoise * static_cast<float>(2 * rng.Uniform01() - 1);
      const uint64_t end = std::min<uint64_t>(at + kBlock, gap->size());
      for (uint64_t i = at; i < end; ++i) {
        after[i] = (*gap)[i] * left + noise;
      }
    }
    const LossPair losses = {SumsOf(*gap, examples), SumsOf(after, examples)};
    for (size_t i = 0; i < gap->size(); ++i) (*gap)[i] = after[i] - (*gap)[i];
    return losses;
  }

  static absl::StatusOr<uint64_t> Write(const TrainRequest& request, const Manifest& manifest,
                                        const UpdateLayout& layout, const std::string& model,
                                        const std::vector<float>& delta) {
    FW_ASSIGN_OR_RETURN(FileWriter out, FileWriter::Create(request.output_path, 0600));
    FW_RETURN_IF_ERROR(
        out.Append({reinterpret_cast<const uint8_t*>(delta.data()), delta.size() * sizeof(float)}));
    for (const UpdateLayout::Piece& piece : layout.buffers) {
      FW_RETURN_IF_ERROR(out.Append(
          AsBytes(model).subspan(piece.model_offset, manifest.tensors()[piece.tensor].Bytes())));
    }
    const uint64_t written = out.size();
    FW_RETURN_IF_ERROR(out.Close());
    return written;
  }

  const std::shared_ptr<SyntheticTask> task_;
};

}  // namespace

std::shared_ptr<SyntheticTask> MakeSyntheticTask(uint64_t seed) {
  return std::make_shared<SyntheticTask>(seed);
}

std::unique_ptr<Trainer> MakeSyntheticTrainer(std::shared_ptr<SyntheticTask> task) {
  return std::make_unique<SyntheticTrainer>(std::move(task));
}

}  // namespace fedwatt
