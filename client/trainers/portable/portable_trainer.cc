#include "client/trainers/portable/portable_trainer.h"

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/trainers/local_work/base_tensors.h"
#include "client/trainers/local_work/checkpoint.h"
#include "client/trainers/portable/graph_work.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/graph/training_graph.h"

namespace fedwatt {
namespace {

using portable::GraphInputs;
using portable::GraphWork;

// Empty: the bundle has none.
ByteSpan GraphOf(const Bundle& bundle) {
  for (const Artifact& artifact : bundle.header().artifacts) {
    if (artifact.format == kGraphFormat) return bundle.ArtifactData(artifact);
  }
  return {};
}

// The bundle that was verified: the open one, or its file.
absl::StatusOr<std::shared_ptr<const Bundle>> BundleOf(const TrainRequest& request) {
  if (request.bundle != nullptr) return request.bundle;
  FW_ASSIGN_OR_RETURN(std::shared_ptr<const Bundle> bundle, Bundle::Open(request.bundle_path));
  if (request.bundle_header_sha256 == Digest{} ||
      request.bundle_header_sha256 == bundle->header_sha256()) {
    return bundle;
  }
  return absl::DataLossError(absl::StrCat("the bundle ", request.bundle_path,
                                          " is not the one whose signature was checked; it was "
                                          "replaced since and is not run"));
}

// The files of one request: what its work starts from.
class WorkFiles {
 public:
  explicit WorkFiles(const TrainRequest& request) : request_(request) {}

  absl::Status Open() {
    FW_ASSIGN_OR_RETURN(bundle_, BundleOf(request_));
    return base_.Open(request_, bundle_->header(), bundle_->Tensors());
  }

  const Bundle& bundle() const { return *bundle_; }
  const std::vector<const uint8_t*>& base() const { return base_.all(); }

 private:
  const TrainRequest& request_;
  std::shared_ptr<const Bundle> bundle_;
  BaseTensors base_;
};

absl::Status KeepLocalBuffers(const TrainRequest& request, const GraphWork& work) {
  if (!KeepsBuffers(request)) return absl::OkStatus();
  std::string kept;
  for (const UpdateLayout::Piece& piece : work.buffers().buffers) {
    kept += AsText(work.TensorBytes(piece.tensor));
  }
  return WriteFileAtomic(request.local_buffers_path, kept, 0600);
}

absl::Status WriteUpdate(const TrainRequest& request, GraphWork& work, uint64_t* bytes) {
  constexpr size_t kBlock = 16 * 1024;
  FW_RETURN_IF_ERROR(KeepLocalBuffers(request, work));
  FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(request.output_path));
  std::vector<float> block(kBlock);
  for (const UpdateLayout::Piece& piece : work.layout().trainable) {
    for (uint64_t at = 0; at < piece.elements; at += kBlock) {
      const uint64_t n = std::min<uint64_t>(kBlock, piece.elements - at);
      FW_RETURN_IF_ERROR(work.Delta(piece, at, {block.data(), n}));
      FW_RETURN_IF_ERROR(
          writer.Append({reinterpret_cast<const uint8_t*>(block.data()), n * sizeof(float)}));
    }
  }
  for (const UpdateLayout::Piece& piece : work.layout().buffers) {
    FW_RETURN_IF_ERROR(writer.Append(work.TensorBytes(piece.tensor)));
  }
  *bytes = writer.size();
  return writer.Close();
}

class PortableTrainer final : public Trainer {
 public:
  explicit PortableTrainer(const PortableTrainerOptions& options)
      : options_(options), dataset_(options.open_dataset) {}

  std::string name() const override { return "portable"; }
  std::vector<std::string> artifact_formats() const override { return {kGraphFormat}; }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override {
    try {
      return RunGuarded(request, cancel, progress);
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError(
          "training ran out of memory; use a smaller model or batch, or raise this process's "
          "limit");
    }
  }

 private:
  absl::StatusOr<TrainResult> RunGuarded(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) {
    WorkFiles files(request);
    CheckpointFile checkpoint(request.checkpoint_path, request.checkpoint_identity);
    std::optional<GraphWork> work;
    LocalSteps steps;
    steps.load = [&](WorkMonitor& monitor) -> absl::Status {
      FW_RETURN_IF_ERROR(ValidatePlan(request.plan));
      FW_RETURN_IF_ERROR(files.Open());
      FW_RETURN_IF_ERROR(dataset_.Switch(request.dataset));
      const Bundle& bundle = files.bundle();
      work.emplace(GraphInputs{request, bundle.header(), GraphOf(bundle), files.base(),
                               dataset_.get(), options_.memory_limit_bytes, *options_.clock,
                               monitor, request.checkpoint_path.empty() ? nullptr : &checkpoint});
      return work->Prepare();
    };
    steps.work = [&](WorkMonitor&, TrainResult* result) -> absl::Status {
      if (request.kind == AssignmentKind::kEvaluate) return work->Evaluate(&result->metrics);
      const auto write = [&] { return WriteUpdate(request, *work, &result->output_bytes); };
      return work->Train(write, &result->metrics);
    };
    return RunLocalWork(*options_.clock, request, cancel, progress, steps);
  }

  const PortableTrainerOptions options_;
  CurrentDataset dataset_;
};

}  // namespace

std::unique_ptr<Trainer> MakePortableTrainer(const PortableTrainerOptions& options) {
  return std::make_unique<PortableTrainer>(options);
}

}  // namespace fedwatt
