#include "server/cli/model_update.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle.h"
#include "common/codec/matrix_shapes.h"
#include "server/cli/scratch_path.h"
#include "server/cli/torch_tool.h"

namespace fedwatt::cli {
namespace {

constexpr int kSteps = 20;  // a small client's epoch
constexpr char kFashionMnist[] = "/usr/share/datasets/fashion-mnist";
constexpr char kWhatToPass[] =
    "pass --bundle with --dataset 'train=FORMAT:PATH?...', or --update FILE";

std::string DefaultDataset(const Bundle& bundle) {
  if (bundle.header().input_shape != std::vector<int64_t>{1, 28, 28}) return "";
  if (!FileExists(kFashionMnist)) return "";
  return absl::StrCat("train=idx:", kFashionMnist, "?split=train");
}

// `coordinates`: of the bundle's update; 0: not known.
absl::StatusOr<std::vector<float>> ReadUpdate(const std::string& path, uint64_t coordinates) {
  FW_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, bounds::kMaxBlobBytes));
  if (bytes.empty() || bytes.size() % sizeof(float) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", bytes.size(), " bytes are no float32 values; see `fedwatt-torch update`"));
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  if (coordinates != 0 && values.size() != coordinates) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", values.size(),
                                                   " values, but the bundle has ", coordinates,
                                                   " trainable parameters"));
  }
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": value ", bad - values.begin(), " is not finite"));
  }
  return values;
}

absl::StatusOr<std::vector<float>> TrainUpdate(const UpdateSource& source,
                                               const std::string& dataset, uint64_t coordinates) {
  FW_ASSIGN_OR_RETURN(const ScratchPath file, ScratchPath::InTemp(".f32"));
  FW_RETURN_IF_ERROR(RunTorchTool(TorchTool(source.torch_tool),
                                  {"update", source.bundle, "--dataset", dataset, "--steps",
                                   absl::StrCat(kSteps), "-o", file.path()}));
  return ReadUpdate(file.path(), coordinates);
}

}  // namespace

absl::StatusOr<ModelUpdate> GetModelUpdate(const UpdateSource& source) {
  ModelUpdate update;
  uint64_t coordinates = 0;
  std::string dataset = source.dataset;
  if (!source.bundle.empty()) {
    FW_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(source.bundle));
    const Manifest& manifest = bundle->header().manifest;
    FW_ASSIGN_OR_RETURN(const UpdateLayout layout,
                        MakeUpdateLayout(manifest, {}, BufferMode::kFrozen));
    coordinates = layout.coordinates;
    update.matrices = MatricesOf(manifest, layout);
    if (dataset.empty()) dataset = DefaultDataset(*bundle);
  } else if (!dataset.empty()) {
    return absl::InvalidArgumentError("--dataset: a model to train is missing; pass --bundle");
  }
  if (!source.file.empty()) {
    FW_ASSIGN_OR_RETURN(update.values, ReadUpdate(source.file, coordinates));
    update.note = absl::StrCat("update: ", source.file);
    return update;
  }
  if (dataset.empty()) {
    update.note = absl::StrCat("no update of a model: ", kWhatToPass);
    return update;
  }
  auto trained = TrainUpdate(source, dataset, coordinates);
  if (!trained.ok() && !source.dataset.empty()) return trained.status();
  if (!trained.ok()) {
    update.note = absl::StrCat("no update of the model (", std::string(trained.status().message()),
                               "): ", kWhatToPass);
    return update;
  }
  update.values = *std::move(trained);
  update.note = absl::StrCat("update: ", kSteps, " steps of SGD on ", dataset);
  return update;
}

}  // namespace fedwatt::cli
