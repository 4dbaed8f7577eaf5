#include "simulation/model_replay.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/driver/model_io.h"
#include "server/driver/update_fold.h"
#include "server/selectors/unbiased_weights.h"

namespace fedwatt {
namespace {

class KeptUpdate final : public SpooledUpdate {
 public:
  explicit KeptUpdate(const std::string& bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out) const override {
    if (offset + out.size() > bytes_.size()) {
      return absl::OutOfRangeError("beyond the update's end");
    }
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return absl::OkStatus();
  }
  std::span<const uint8_t> bytes() const override { return AsBytes(bytes_); }

 private:
  const std::string& bytes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ModelReplay>> ModelReplay::Create(const std::string& dir) {
  std::unique_ptr<ModelReplay> replay(new ModelReplay);
  FW_ASSIGN_OR_RETURN(replay->blobs_, OpenDirBlobStore(dir));
  return replay;
}

void ModelReplay::Begin(std::shared_ptr<const JobSetup> setup, const std::string& model) {
  setup_ = std::move(setup);
  model_ = model;
}

void ModelReplay::Keep(const Digest& sha256, const std::string& bytes) {
  updates_.try_emplace(sha256, bytes);
}

absl::Status ModelReplay::Commit(const RoundCommitted& commit,
                                 const std::map<uint32_t, ReportAccepted>& accepted,
                                 const std::vector<std::string>& codecs,
                                 const std::vector<double>& inclusion) {
  if (strategy_ == nullptr) {
    FW_ASSIGN_OR_RETURN(strategy_, plugins_.MakeStrategy(setup_->spec.strategy));
  }
  std::vector<double> multipliers;
  if (setup_->unbiased_clip) multipliers = UnbiasedMultipliers(inclusion, *setup_->unbiased_clip);
  FW_ASSIGN_OR_RETURN(const auto aggregator, plugins_.MakeAggregator(setup_->Aggregation()));
  // The last first: the sum does not depend on it.
  for (auto it = accepted.rbegin(); it != accepted.rend(); ++it) {
    const Report& report = it->second.report;
    const auto bytes = updates_.find(report.update.sha256);
    if (bytes == updates_.end()) {
      return absl::DataLossError(
          absl::StrCat("assignment ", it->first, " was counted with an update that nobody sent"));
    }
    const std::string& text = it->first < codecs.size() && !codecs[it->first].empty()
                                  ? codecs[it->first]
                                  : setup_->spec.codec.up;
    FW_ASSIGN_OR_RETURN(const auto codec, setup_->FindUploadCodec(text));
    const double multiplier = it->first < multipliers.size() ? multipliers[it->first] : 1;
    FoldEntry entry{MakeAssignmentId(commit.key, it->first),
                    report.update.sha256,
                    report.update.size,
                    setup_->unbiased_clip ? WeighedParts(report.weight, multiplier) : report.weight,
                    it->second.clip_factor,
                    codec,
                    std::make_shared<KeptUpdate>(bytes->second)};
    FW_RETURN_IF_ERROR(FoldUpdates(*setup_, nullptr, {&entry, 1}, aggregator.get()));
  }
  FW_ASSIGN_OR_RETURN(const AggregateResult sum, std::move(*aggregator).Report());
  const ByteSpan base = AsBytes(model_);
  std::vector<float> parameters = GatherTrainable(setup_->layout, base);
  FW_RETURN_IF_ERROR(strategy_->Apply(sum.mean_delta, parameters));
  FW_ASSIGN_OR_RETURN(const BlobRef made, PutModel(blobs_.get(), setup_->header.manifest,
                                                   setup_->layout, base, parameters, sum.buffers));
  if (made.sha256 != commit.model.sha256) {
    return absl::DataLossError(absl::StrCat("committed model ", DigestHex(commit.model.sha256),
                                            ", and a replay gives ", DigestHex(made.sha256)));
  }
  FW_ASSIGN_OR_RETURN(const auto file, blobs_->Open(made.sha256));
  model_.assign(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  updates_.clear();
  return blobs_->Remove(made.sha256);
}

}  // namespace fedwatt
