#include "tests/server/driver/fake_fleet.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle_layout.h"
#include "common/codec/model_step.h"
#include "common/wire/bundle_bytes.h"

namespace fedwatt::testing {
namespace {

constexpr int64_t kRetryMs = 200;

}  // namespace

FakeClient::FakeClient(Options options, ManualExecutor* executor, FakeClock* clock)
    : options_(std::move(options)), executor_(executor), clock_(clock) {}

void FakeClient::Attach(Coordinator* coordinator) {
  coordinator_ = coordinator;
  ++epoch_;
  if (running_ && coordinator != nullptr) Later(0, [this] { CheckIn(); });
}

void FakeClient::Run() {
  running_ = true;
  Later(0, [this] { CheckIn(); });
}

void FakeClient::Later(int64_t delay_ms, std::function<void()> task) {
  executor_->PostAfter(delay_ms, [this, epoch = epoch_, task = std::move(task)] {
    if (epoch == epoch_ && running_ && coordinator_ != nullptr) task();
  });
}

Principal FakeClient::principal() const {
  return {options_.tenant, options_.name, options_.role, "test", "test"};
}

CheckInRequest FakeClient::Request() const {
  CheckInRequest request;
  request.sdk_version = options_.sdk_version;
  request.tenant = options_.tenant;
  request.population = options_.population;
  request.capabilities.trainers = {"fake"};
  request.capabilities.codecs = options_.codecs;
  request.capabilities.memory_bytes = options_.memory_bytes;
  request.capabilities.labels = options_.labels;
  uint32_t bucket = 0;
  for (uint64_t n = options_.examples; n > 0; n >>= 1) ++bucket;
  request.datasets = {{options_.dataset, 1, bucket}};
  request.max_wait_ms = options_.max_wait_ms;
  request.session = epoch_;
  request.client_time_ms = clock_->NowMs();
  request.role = options_.role;
  if (amend) amend(&request);
  for (const auto& [id, kept] : kept_) request.holding.push_back({id, kept.stage});
  for (const auto& [sha256, model] : models) request.models.push_back(sha256);
  return request;
}

void FakeClient::CheckIn() {
  coordinator_->CheckIn(principal(), Request(),
                        [this, epoch = epoch_](absl::StatusOr<CheckInResponse> response) {
                          if (epoch == epoch_ && running_) OnResponse(std::move(response));
                        });
}

void FakeClient::OnResponse(absl::StatusOr<CheckInResponse> response) {
  if (!response.ok()) {
    errors.push_back(response.status());
    return Later(kRetryMs, [this] { CheckIn(); });
  }
  for (const OutcomeNotice& notice : response->outcomes) Learn(notice);
  if (response->assignment) {
    assignments.push_back(*response->assignment);
    return Work(*response->assignment);
  }
  if (response->rejection) rejections.push_back(*response->rejection);
  Later(response->rejection ? response->rejection->retry_after_ms : 0, [this] { CheckIn(); });
}

void FakeClient::Learn(const OutcomeNotice& notice) {
  if (notice.outcome == Outcome::kPending) return;
  const auto it = kept_.find(notice.assignment_id);
  if (notice.outcome == Outcome::kWanted) {
    if (it != kept_.end()) it->second.stage = HoldingStage::kReady;
    return;
  }
  outcomes[notice.assignment_id] = notice;
  if (it != kept_.end()) kept_.erase(it);
}

FakeWork FakeClient::DefaultWork(const Assignment& assignment) const {
  FakeWork work;
  work.report.assignment_id = assignment.id;
  work.report.base_sha256 = assignment.base.sha256;
  work.report.metrics.examples = options_.examples;
  LossSums losses;
  losses.examples = options_.examples;
  losses.loss_sum = 50;
  losses.correct = options_.examples / 2;
  losses.predictions = options_.examples;
  work.report.metrics.after = losses;
  EnergySample sample;
  sample.source = "fake";
  sample.quality = EnergyQuality::kSimulated;
  sample.scope = EnergyScope::kDevice;
  sample.energy_uj = 1000;
  work.report.energy = {sample};
  if (assignment.kind == AssignmentKind::kEvaluate) return work;
  work.report.weight = options_.examples;
  Rng rng(RngKey{assignment.key.job, assignment.key.round, options_.name, "fake-delta", 0});
  work.update.resize(assignment.max_upload_bytes);
  for (size_t at = 0; at + sizeof(float) <= work.update.size(); at += sizeof(float)) {
    const float value = static_cast<float>(rng.Uniform01() - 0.5);
    std::memcpy(work.update.data() + at, &value, sizeof(value));
  }
  return work;
}

void FakeClient::Work(const Assignment& assignment) {
  const std::string id = assignment.id;
  if (kept_.contains(id)) return Send(id);
  uint64_t received = 0;
  auto model = ObtainModel(assignment, &received);
  if (!model.ok()) {
    errors.push_back(model.status());
    return Later(kRetryMs, [this] { CheckIn(); });
  }
  if (HeldModel(assignment.base.sha256) == nullptr) {
    models.insert(models.begin(), {assignment.base.sha256, *std::move(model)});
    if (models.size() > options_.models_kept) models.pop_back();
  }
  ++trainings[id];
  std::optional<FakeWork> work = train ? train(assignment) : DefaultWork(assignment);
  if (!work) return;
  work->report.metrics.bytes_down += received;
  work->report.update.size = work->update.size();
  if (!work->update.empty() && work->report.update.sha256 == Digest{}) {
    work->report.update.sha256 = Sha256Of(AsBytes(work->update));
  }
  kept_[id] = Kept{*std::move(work), HoldingStage::kReady};
  Later(train_ms, [this, id] { Send(id); });
}

const std::vector<uint8_t>* FakeClient::HeldModel(const Digest& sha256) const {
  for (const auto& [held, model] : models) {
    if (held == sha256) return &model;
  }
  return nullptr;
}

absl::StatusOr<std::vector<uint8_t>> FakeClient::Fetch(const Resource& resource,
                                                       uint64_t* received) {
  std::vector<uint8_t> bytes(resource.inline_data.begin(), resource.inline_data.end());
  if (bytes.empty()) {
    FW_ASSIGN_OR_RETURN(const auto file, coordinator_->OpenBlob(principal(), resource.sha256));
    bytes.assign(file->bytes().begin(), file->bytes().end());
  }
  *received += bytes.size();
  if (bytes.size() == resource.size && Sha256Of(bytes) == resource.sha256) return bytes;
  return absl::DataLossError(absl::StrCat("what came is not blob ", DigestHex(resource.sha256)));
}

absl::StatusOr<std::vector<uint8_t>> FakeClient::FollowSteps(const Assignment& assignment,
                                                             uint64_t* received) {
  uint64_t of_bundle = 0;
  FW_ASSIGN_OR_RETURN(const std::vector<uint8_t> bundle, Fetch(assignment.bundle, &of_bundle));
  FW_ASSIGN_OR_RETURN(const auto signed_bytes, SignedHeaderBytes(bundle));
  FW_ASSIGN_OR_RETURN(const SignedBundleHeader header, wire::ParseSignedBundleHeader(signed_bytes));
  FW_ASSIGN_OR_RETURN(const BundleHeader parsed, wire::ParseBundleHeader(AsBytes(header.header)));
  FW_ASSIGN_OR_RETURN(
      const UpdateLayout layout,
      MakeUpdateLayout(parsed.manifest, assignment.plan.frozen, assignment.plan.buffers));
  FW_ASSIGN_OR_RETURN(ModelBuilder builder, ModelBuilder::Create(&parsed.manifest, &layout));
  for (const ModelStep& step : assignment.model_steps) {
    if (&step == &assignment.model_steps.front() && step.base != Digest{}) {
      const std::vector<uint8_t>* base = HeldModel(step.base);
      if (base == nullptr) return absl::NotFoundError("steps from a model that I do not hold");
      FW_RETURN_IF_ERROR(builder.StartFrom(*base));
    }
    FW_ASSIGN_OR_RETURN(const std::vector<uint8_t> payload, Fetch(step.payload, received));
    FW_RETURN_IF_ERROR(builder.Apply(payload));
    if (Sha256Of(builder.model()) == step.result) continue;
    return absl::DataLossError(
        absl::StrCat("a step does not lead to model ", DigestHex(step.result)));
  }
  return std::vector<uint8_t>(builder.model().begin(), builder.model().end());
}

absl::StatusOr<std::vector<uint8_t>> FakeClient::ObtainModel(const Assignment& assignment,
                                                             uint64_t* received) {
  if (const auto* held = HeldModel(assignment.model.sha256)) return *held;
  if (assignment.model_steps.empty()) return Fetch(assignment.model, received);
  FW_ASSIGN_OR_RETURN(std::vector<uint8_t> model, FollowSteps(assignment, received));
  if (Sha256Of(model) == assignment.base.sha256) return model;
  return absl::DataLossError("the steps lead to another model than the assignment's");
}

void FakeClient::Send(const std::string& id) {
  const auto it = kept_.find(id);
  if (it == kept_.end()) return CheckIn();
  const FakeWork& work = it->second.work;
  if (chunk_bytes > 0 && !work.update.empty()) return Stream(id, work);
  Report report = work.report;
  report.update.inline_data = work.update;
  coordinator_->SubmitReport(principal(), std::move(report),
                             [this, id, epoch = epoch_](absl::StatusOr<ReportReply> reply) {
                               if (epoch == epoch_ && running_) OnReply(id, std::move(reply));
                             });
}

void FakeClient::Stream(const std::string& id, const FakeWork& work) {
  const auto status = coordinator_->UploadStatus(principal(), id, work.report.update.sha256);
  uint64_t offset = status.ok() ? status->offset : 0;
  auto start = coordinator_->StartUpload(principal(), work.report, offset);
  if (!start.ok()) return OnReply(id, start.status());
  if (start->refused) return OnReply(id, *start->refused);
  while (offset < work.update.size()) {
    const size_t n = std::min(chunk_bytes, work.update.size() - offset);
    const absl::Status sent =
        start->session->Append(offset, AsBytes(work.update).subspan(offset, n));
    if (!sent.ok()) return OnReply(id, sent);
    offset += n;
  }
  start->session->Finish([this, id, epoch = epoch_](absl::StatusOr<ReportReply> reply) {
    if (epoch == epoch_ && running_) OnReply(id, std::move(reply));
  });
}

void FakeClient::OnReply(const std::string& id, absl::StatusOr<ReportReply> reply) {
  if (!reply.ok()) {
    errors.push_back(reply.status());
    return Later(kRetryMs, [this] { CheckIn(); });
  }
  replies.push_back(*reply);
  if (const auto it = kept_.find(id); it != kept_.end()) {
    if (reply->outcome == Outcome::kPending) {
      it->second.stage = HoldingStage::kReported;
    } else {
      Learn({id, reply->outcome, reply->reason});
    }
  }
  Later(0, [this] { CheckIn(); });
}

}  // namespace fedwatt::testing
