#include "client/trainers/torch/torch_trainer.h"

#include <new>

#include "absl/strings/str_cat.h"
#include "client/trainers/local_work/base_tensors.h"
#include "client/trainers/local_work/checkpoint.h"
#include "client/trainers/local_work/local_work.h"
#include "client/trainers/torch/torch_work.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle.h"

namespace fedwatt {
namespace {

// The files of one request: what its work starts from, and where its result goes to.
class WorkFiles {
 public:
  explicit WorkFiles(const TrainRequest& request) : request_(request) {}

  absl::Status Open() {
    FW_RETURN_IF_ERROR(OpenBundle());
    return base_.Open(request_, bundle_->header(), bundle_->Tensors());
  }

  const BundleHeader& header() const { return bundle_->header(); }
  // Empty: the bundle has none.
  ByteSpan Archive() const {
    for (const Artifact& artifact : header().artifacts) {
      if (artifact.format == kTorchScriptFormat) return bundle_->ArtifactData(artifact);
    }
    return {};
  }
  const std::vector<const uint8_t*>& base() const { return base_.all(); }

  absl::Status Write(const TorchWork& work, uint64_t* bytes) const {
    FW_RETURN_IF_ERROR(KeepLocalBuffers(work));
    FW_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(request_.output_path));
    std::vector<float> delta;
    for (const UpdateLayout::Piece& piece : work.layout().trainable) {
      delta.resize(piece.elements);
      FW_RETURN_IF_ERROR(work.Delta(piece, delta));
      FW_RETURN_IF_ERROR(writer.Append(
          {reinterpret_cast<const uint8_t*>(delta.data()), delta.size() * sizeof(float)}));
    }
    FW_RETURN_IF_ERROR(writer.Append(BytesOf(work, work.layout())));
    *bytes = writer.size();
    return writer.Close();
  }

 private:
  absl::Status OpenBundle() {
    FW_ASSIGN_OR_RETURN(bundle_, Bundle::Open(request_.bundle_path));
    if (request_.bundle_header_sha256 == Digest{} ||
        request_.bundle_header_sha256 == bundle_->header_sha256()) {
      return absl::OkStatus();
    }
    return absl::DataLossError(absl::StrCat(
        "the bundle ", request_.bundle_path,
        " is not the one whose signature was checked: its header has SHA-256 ",
        DigestHex(bundle_->header_sha256()), ", expected ",
        DigestHex(request_.bundle_header_sha256), "; it was replaced since and is not run"));
  }

  absl::Status KeepLocalBuffers(const TorchWork& work) const {
    if (!KeepsBuffers(request_)) return absl::OkStatus();
    return WriteFileAtomic(request_.local_buffers_path, AsText(BytesOf(work, work.buffers())),
                           0600);
  }

  // All of a layout's buffers, one behind the other.
  std::vector<uint8_t> BytesOf(const TorchWork& work, const UpdateLayout& layout) const {
    std::vector<uint8_t> bytes(layout.buffer_bytes);
    uint8_t* out = bytes.data();
    for (const UpdateLayout::Piece& piece : layout.buffers) {
      work.CopyTensor(piece.tensor, out);
      out += header().manifest.tensors()[piece.tensor].Bytes();
    }
    return bytes;
  }

  const TrainRequest& request_;
  std::shared_ptr<const Bundle> bundle_;
  BaseTensors base_;
};

class TorchTrainer final : public Trainer {
 public:
  explicit TorchTrainer(const TorchTrainerOptions& options)
      : clock_(*options.clock),
        work_(options.device, options.allow_ops),
        dataset_(options.open_dataset) {}

  std::string name() const override { return "torch"; }
  std::vector<std::string> artifact_formats() const override { return {kTorchScriptFormat}; }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override {
    absl::StatusOr<TrainResult> result = absl::InternalError("");
    try {
      result = RunGuarded(request, cancel, progress);
    } catch (const std::bad_alloc&) {
      result = absl::ResourceExhaustedError(
          "training ran out of memory; use a smaller model, batch or data set, or raise the "
          "process's limit");
    }
    work_.Forget();
    return result;
  }

 private:
  absl::StatusOr<TrainResult> RunGuarded(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) {
    WorkFiles files(request);
    CheckpointFile checkpoint(request.checkpoint_path, request.checkpoint_identity);
    LocalSteps steps;
    steps.load = [&](WorkMonitor& monitor) -> absl::Status {
      FW_RETURN_IF_ERROR(ValidatePlan(request.plan));
      FW_RETURN_IF_ERROR(files.Open());
      FW_RETURN_IF_ERROR(dataset_.Switch(request.dataset));
      return work_.Prepare({request, files.header(), files.Archive(), files.base(), dataset_.get(),
                            clock_, monitor,
                            request.checkpoint_path.empty() ? nullptr : &checkpoint});
    };
    steps.work = [&](WorkMonitor&, TrainResult* result) -> absl::Status {
      if (request.kind == AssignmentKind::kEvaluate) return work_.Evaluate(&result->metrics);
      return work_.Train([&] { return files.Write(work_, &result->output_bytes); },
                         &result->metrics);
    };
    return RunLocalWork(clock_, request, cancel, progress, steps);
  }

  const Clock& clock_;
  TorchWork work_;
  CurrentDataset dataset_;
};

}  // namespace

std::unique_ptr<Trainer> MakeTorchTrainer(const TorchTrainerOptions& options) {
  return std::make_unique<TorchTrainer>(options);
}

}  // namespace fedwatt
