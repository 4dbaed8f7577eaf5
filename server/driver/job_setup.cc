#include "server/driver/job_setup.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "server/driver/bundle_blobs.h"
#include "server/selectors/unbiased_weights.h"

namespace fedwatt {
namespace {

int64_t Milliseconds(double seconds) { return static_cast<int64_t>(std::llround(seconds * 1000)); }

// A name that nobody knows is a mistake in the job, not a thing that may turn up.
absl::Status MistakeOfSpec(const absl::Status& status) {
  if (!absl::IsNotFound(status)) return status;
  return absl::InvalidArgumentError(std::string(status.message()));
}

absl::Status CheckPlugins(const Plugins& plugins, JobSetup* made) {
  const JobSetup& setup = *made;
  const auto selector = plugins.MakeSelector(setup.spec.selector);
  if (!selector.ok()) return MistakeOfSpec(selector.status());
  made->unbiased_clip = (*selector)->UnbiasedClip();
  made->wants_sketches = (*selector)->WantsSketches();
  FW_RETURN_IF_ERROR(MistakeOfSpec(plugins.MakeStrategy(setup.spec.strategy).status()));
  return MistakeOfSpec(plugins.MakeAggregator(setup.Aggregation()).status());
}

absl::StatusOr<std::shared_ptr<const Codec>> MakeDownCodec(const std::string& text) {
  auto codec = MakeCodec(text);
  if (!codec.ok()) return Annotate(MistakeOfSpec(codec.status()), "codec.down");
  if ((*codec)->spec().name == "raw_f32") return std::shared_ptr<const Codec>();
  // What one step misses of the model is in the next one.
  if (const double error = (*codec)->quality().vnmse; !(error < 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "codec.down = \"", text, "\": its relative squared error is ", error,
        "; from 1 on what clients miss of the model grows with every step instead of shrinking; "
        "give it more bits, or write down = \"raw_f32\""));
  }
  return std::shared_ptr<const Codec>(*std::move(codec));
}

std::vector<CodecNeed> CodecNeeds(const std::vector<std::shared_ptr<const UploadCodec>>& codecs) {
  std::vector<CodecNeed> needs;
  for (const auto& codec : codecs) {
    if (std::find(needs.begin(), needs.end(), codec->need) == needs.end()) {
      needs.push_back(codec->need);
    }
  }
  return needs;
}

}  // namespace

uint32_t JobSetup::MaxReports() const {
  const double assign = std::ceil(spec.round.goal * std::max(spec.round.over_selection, 1.0));
  return static_cast<uint32_t>(assign);
}

AggregatorConfig JobSetup::Aggregation() const {
  AggregatorConfig config;
  config.manifest = header.manifest;
  config.layout = layout;
  config.max_abs_delta = spec.bounds.max_abs_delta;
  config.max_weight = spec.bounds.max_weight * (unbiased_clip ? kWeightParts : 1);
  config.max_reports = MaxReports();
  config.plugin = spec.aggregator;
  return config;
}

RoundLimits JobSetup::Limits(bool of_evaluation) const {
  RoundLimits limits;
  limits.backoff_initial_ms = Milliseconds(spec.round.backoff_initial_s);
  limits.backoff_max_ms = Milliseconds(spec.round.backoff_max_s);
  limits.max_attempts = spec.round.max_attempts;
  if (of_evaluation) {
    limits.goal = spec.evaluation.where == "clients" ? std::max(spec.evaluation.clients, 1u) : 1;
    limits.assign = limits.goal;
    limits.min_reports = 1;
    limits.selection_timeout_ms = Milliseconds(spec.evaluation.timeout_s);
    limits.report_deadline_ms = limits.selection_timeout_ms;
    return limits;
  }
  limits.goal = spec.round.goal;
  limits.assign = MaxReports();
  limits.min_reports = spec.round.min_reports == 0 ? limits.goal : spec.round.min_reports;
  limits.selection_timeout_ms = Milliseconds(spec.round.selection_timeout_s);
  limits.report_deadline_ms = Milliseconds(spec.round.report_deadline_s);
  return limits;
}

absl::StatusOr<std::shared_ptr<const UploadCodec>> JobSetup::FindUploadCodec(
    const std::string& text) const {
  for (const auto& codec : upload_codecs) {
    if (codec->text == text) return codec;
  }
  return MakeUploadCodec(text, layout);
}

absl::StatusOr<std::shared_ptr<const JobSetup>> MakeJobSetup(const std::string& id,
                                                             const JobSpec& spec,
                                                             const Digest& bundle, BlobStore* blobs,
                                                             const Plugins& plugins) {
  auto setup = std::make_shared<JobSetup>();
  setup->id = id;
  setup->spec = spec;
  FW_ASSIGN_OR_RETURN(setup->bundle_file, blobs->Open(bundle));
  setup->bundle = BlobRef{bundle, setup->bundle_file->bytes().size()};
  FW_ASSIGN_OR_RETURN(setup->header, ReadBundleHeader(*setup->bundle_file));
  FW_ASSIGN_OR_RETURN(
      setup->layout, MakeUpdateLayout(setup->header.manifest, spec.plan.frozen, spec.plan.buffers));
  auto codecs = UploadCodecs(spec.codec, setup->layout);
  if (!codecs.ok()) return Annotate(MistakeOfSpec(codecs.status()), "codec.up");
  setup->upload_codecs = *std::move(codecs);
  FW_ASSIGN_OR_RETURN(setup->down, MakeDownCodec(spec.codec.down));
  setup->training = TrainingNeed(spec, setup->header, CodecNeeds(setup->upload_codecs));
  setup->evaluation = EvaluationNeed(spec, setup->header);
  FW_RETURN_IF_ERROR(CheckPlugins(plugins, setup.get()));
  return std::shared_ptr<const JobSetup>(std::move(setup));
}

}  // namespace fedwatt
