#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/sdk/session_core.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

constexpr const char* kBlobNames[] = {"bundle", "model"};
constexpr int kMaxDownloads = 2;

absl::Status CheckModelSize(const Bundle& bundle, const Resource& model) {
  const uint64_t expected = bundle.header().manifest.TotalBytes();
  if (model.size == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the model has ", model.size, " bytes, its bundle's manifest describes ", expected));
}

absl::Status CheckFormats(const Bundle& bundle, const std::vector<std::string>& known) {
  if (known.empty()) return absl::OkStatus();
  for (const Artifact& artifact : bundle.header().artifacts) {
    if (std::find(known.begin(), known.end(), artifact.format) != known.end()) {
      return absl::OkStatus();
    }
  }
  return absl::FailedPreconditionError(absl::StrCat("the bundle ", bundle.header().name,
                                                    " has no artifact that this trainer runs (",
                                                    absl::StrJoin(known, ", "), ")"));
}

absl::StatusOr<std::shared_ptr<const Bundle>> OpenTrusted(const std::string& path,
                                                          const std::vector<PublicKey>& trusted) {
  FW_ASSIGN_OR_RETURN(std::shared_ptr<const Bundle> bundle, Bundle::Open(path));
  FW_RETURN_IF_ERROR(bundle->VerifySignedBy(trusted));
  return bundle;
}

}  // namespace

const Resource& SessionCore::BlobOf(const Assignment& assignment, Blob blob) {
  return blob == kBundle ? assignment.bundle : assignment.model;
}

bool SessionCore::Needs(const Held& held, Blob blob) const {
  return blob == kBundle || held.record.stage == WorkStage::kAssigned;
}

const Resource& SessionCore::ResourceOf(const Assignment& assignment, const Part& part) {
  return part.step.has_value() ? assignment.model_steps[*part.step].payload
                               : BlobOf(assignment, part.blob);
}

std::string SessionCore::PartName(const Assignment& assignment, const Part& part) {
  if (!part.step.has_value()) return kBlobNames[part.blob];
  return absl::StrCat("step ", *part.step + 1, " of ", assignment.model_steps.size(),
                      " to the model");
}

std::set<Digest> SessionCore::PinnedBy(const Assignment& assignment) {
  std::set<Digest> pinned = {assignment.bundle.sha256, assignment.model.sha256};
  for (const ModelStep& step : assignment.model_steps) {
    pinned.insert({step.base, step.payload.sha256});
  }
  return pinned;
}

// What this process wrote, after it knew its hash, is not read again to be sure; nor is a bundle
// whose file is the one that was verified.
bool SessionCore::IsVerified(const Held& held, Blob blob) const {
  if (blob == kModel) return held.model_verified;
  if (known_bundle_.bundle == nullptr ||
      known_bundle_.sha256 != held.record.assignment.bundle.sha256) {
    return false;
  }
  const absl::StatusOr<FileStamp> stamp = FileStamp::Of(BlobPath(held, kBundle));
  return stamp.ok() && *stamp == known_bundle_.stamp;
}

std::string SessionCore::BlobPath(const Held& held, Blob blob) const {
  const KeptAssignment& record = held.record;
  if (blob == kModel && record.model_inline) return store_.ModelPath(record.assignment.id);
  return cache_.Path(BlobOf(record.assignment, blob).sha256);
}

void SessionCore::Accept(Assignment assignment) {
  const auto known = held_.find(assignment.id);
  if (known != held_.end()) {
    Held& held = known->second;
    // Given out again: the deadline counts from now, the work that is done stays done.
    held.record.assignment.time_left_ms = assignment.time_left_ms;
    held.record.received_ms = boots_.NowMs();
    if (held.record.stage == WorkStage::kReported) held.record.stage = WorkStage::kReady;
    return Written(held, store_.Put(held.record));
  }
  ForgetOldest();
  const std::string id = assignment.id;
  Held& held = held_[id];
  KeptAssignment& record = held.record;
  record.assignment = std::move(assignment);
  record.received_ms = boots_.NowMs();
  record.report.assignment_id = id;
  record.report.base_sha256 = record.assignment.base.sha256;
  EmitFor(SessionEventKind::kAssigned, held,
          absl::StrCat(record.assignment.kind == AssignmentKind::kTrain ? "train" : "evaluate", " ",
                       record.assignment.key.ToString()));
  absl::Status status = TakeInline(&held);
  MeterInline(record.report.metrics.bytes_down, &record.report);
  if (status.ok()) status = store_.Put(record);
  if (!status.ok()) Fail(&held, ReportStatus::kFailed, StatusText(status));
}

// The transport has checked that they have their hashes.
absl::Status SessionCore::TakeInline(Held* held) {
  KeptAssignment& record = held->record;
  const auto take = [&record](Resource* resource) {
    record.report.metrics.bytes_down += resource->inline_data.size();
    return std::exchange(resource->inline_data, std::string());
  };
  Assignment& assignment = record.assignment;
  // Every round brings the same bundle.
  if (const std::string bundle = take(&assignment.bundle); !bundle.empty()) {
    const Digest& sha256 = assignment.bundle.sha256;
    if (!cache_.Has(sha256)) {
      FW_RETURN_IF_ERROR(cache_.MakeRoom(bundle.size(), PinnedBy(assignment)));
      FW_RETURN_IF_ERROR(cache_.Put(sha256, bundle));
    }
  }
  if (const std::string model = take(&assignment.model); !model.empty()) {
    FW_RETURN_IF_ERROR(store_.WriteModel(assignment.id, model));
    record.model_inline = held->model_verified = true;
  }
  return TakeInlineSteps(held);
}

// They came with an answer that was waited for, so nobody can say for how long the link was busy.
// What goes by bytes, as a radio does, is told; a meter of time has no figure for no time.
void SessionCore::MeterInline(uint64_t bytes, Report* report) {
  if (bytes == 0 || deps_.meter == nullptr) return;
  meter_.Begin(Phase::kDownload);
  EnergySample sample = meter_.End(bytes);
  for (const EnergySample& other : std::exchange(sample.beside, {})) {
    if (other.energy_uj.has_value()) AddEnergySample(other, &report->energy);
  }
  if (sample.energy_uj.value_or(0) > 0) AddEnergySample(sample, &report->energy);
}

void SessionCore::ForgetOldest() {
  if (held_.size() < options_.max_held) return;
  Held* oldest = nullptr;
  for (auto& [id, held] : held_) {
    if (held.record.stage != WorkStage::kReported) continue;
    if (oldest == nullptr || held.record.received_ms < oldest->record.received_ms) oldest = &held;
  }
  if (oldest == nullptr) return;
  ApplyOutcome(oldest, Outcome::kUnknown,
               absl::StrCat("no outcome came while ", options_.max_held, " others were held"));
}

std::optional<SessionCore::Part> SessionCore::NextPart(Held* held) {
  for (const Blob blob : {kBundle, kModel}) {
    if (!Needs(*held, blob) || FileExists(BlobPath(*held, blob))) continue;
    if (blob == kBundle || !CanUseSteps(held)) return Part{blob};
    const std::optional<size_t> step = NextStep(*held);
    if (step.has_value()) return Part{blob, step};
  }
  return std::nullopt;
}

void SessionCore::Fetch(Held* held) {
  while (const std::optional<Part> part = NextPart(held)) {
    const absl::Status status = StartDownload(held, *part);
    // A finished but unfiled download was all there was to do.
    if (absl::IsAlreadyExists(status)) continue;
    if (status.ok()) return;
    if (!part->step.has_value()) {
      return FailAndGoOn(held, ReportStatus::kFailed, StatusText(status));
    }
    GiveUpSteps(held, status);
  }
  Verify(held);
}

absl::Status SessionCore::StartDownload(Held* held, const Part& part) {
  const Assignment& assignment = held->record.assignment;
  const Resource& resource = ResourceOf(assignment, part);
  FW_ASSIGN_OR_RETURN(uint64_t offset, cache_.PartBytes(resource.sha256));
  if (offset > resource.size) {
    FW_RETURN_IF_ERROR(cache_.Remove(resource.sha256));
    FW_ASSIGN_OR_RETURN(offset, cache_.PartBytes(resource.sha256));
  }
  uint64_t& counted = held->record.part_bytes[part.blob];
  if (counted != KeptAssignment::kNotBegun && offset > counted) {
    CountUnmetered(Phase::kDownload, offset - counted, &held->record.report);
  }
  counted = offset;
  Save(*held);
  if (offset == resource.size) {
    if (!part.step.has_value()) {
      ++held->downloads[part.blob];
      FW_RETURN_IF_ERROR(cache_.Complete(resource.sha256));
    }
    return absl::AlreadyExistsError("downloaded");
  }
  const uint64_t missing = resource.size - offset;
  FW_RETURN_IF_ERROR(cache_.MakeRoom(missing, PinnedBy(assignment)));
  const std::string path = cache_.PartPath(resource.sha256);
  FW_ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(path));
  if (free < missing) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the ", PartName(assignment, part), " needs ", missing, " bytes, the disk of ",
                     options_.state_dir, " has ", free, "; free some space"));
  }
  SessionEvent event{SessionEventKind::kDownloading};
  event.assignment_id = assignment.id;
  event.text = PartName(assignment, part);
  event.bytes = offset;
  event.total_bytes = resource.size;
  event.assignment = &assignment;
  Emit(event);
  fetching_ = part;
  BeginTransfer(Phase::kDownload);
  deps_.transport->Download(resource.sha256, offset, path, Reply(&SessionCore::OnDownload));
  return absl::OkStatus();
}

void SessionCore::CountUnmetered(Phase phase, uint64_t bytes, Report* report) {
  EnergySample sample;
  sample.source = "none";
  sample.phase = phase;
  sample.bytes = bytes;
  sample.reason = "the client was killed during this transfer";
  AddEnergySample(sample, &report->energy);
  (phase == Phase::kDownload ? report->metrics.bytes_down : report->metrics.bytes_up) += bytes;
}

void SessionCore::OnDownload(ClientTransport::DownloadResult result) {
  Held* const held = Active();
  const EnergySample sample = EndTransfer(result.received, result.status.ok());
  if (held == nullptr) return Next();
  Report& report = held->record.report;
  AddEnergySample(sample, &report.energy);
  report.metrics.bytes_down += result.received;
  uint64_t& counted = held->record.part_bytes[fetching_.blob];
  counted += result.received;
  // The next step's download begins at zero again.
  if (fetching_.step.has_value() && result.status.ok()) counted = KeptAssignment::kNotBegun;
  report.metrics.seconds_by_phase["download"] += static_cast<double>(sample.duration_us) * 1e-6;
  Save(*held);
  if (result.received > 0) backoff_.Reset();
  if (!cancel_reason_.empty()) return Next();
  if (!result.status.ok()) return DownloadFailed(held, result.status);

  const Resource& resource = ResourceOf(held->record.assignment, fetching_);
  absl::Status status;
  const absl::StatusOr<uint64_t> bytes = FileSize(cache_.PartPath(resource.sha256));
  if (bytes.ok() && *bytes == resource.size) {
    if (fetching_.step.has_value()) return Fetch(held);
    ++held->downloads[fetching_.blob];
    status = cache_.Complete(resource.sha256);
    if (fetching_.blob == kModel) held->model_verified = result.sha256 == resource.sha256;
    if (status.ok()) return Fetch(held);
  } else {
    (void)cache_.Remove(resource.sha256);
    status = absl::DataLossError(absl::StrCat("the coordinator sent ", result.total, " bytes as ",
                                              PartName(held->record.assignment, fetching_), " of ",
                                              resource.size));
  }
  DownloadFailed(held, status);
}

void SessionCore::DownloadFailed(Held* held, const absl::Status& status) {
  const absl::Status named = Annotate(
      status, absl::StrCat("downloading the ", PartName(held->record.assignment, fetching_)));
  const bool patient =
      absl::IsUnauthenticated(status) ||
      (IsTransient(status) && !absl::IsResourceExhausted(status) && !absl::IsInternal(status));
  if (patient) return RetryLater(named);
  // Perhaps the assignment is no longer ours: ask before trying again. Such a refusal is about the
  // blob, not about who we are: no reason to stay away for minutes.
  consult_ = true;
  if (fetching_.step.has_value()) {
    GiveUpSteps(held, named);
    return Next();
  }
  const bool refused = absl::IsPermissionDenied(status);
  if (++held->failures < kMaxFailures) {
    return RetryLater(refused ? absl::NotFoundError(std::string(named.message())) : named);
  }
  held->failures = 0;
  consult_ = false;
  FailAndGoOn(held, ReportStatus::kFailed, StatusText(named));
}

void SessionCore::Verify(Held* held) {
  const KeptAssignment& record = held->record;
  VerifyWork work;
  work.bundle_path = BlobPath(*held, kBundle);
  work.bundle = record.assignment.bundle;
  if (IsVerified(*held, kBundle)) {
    work.known_bundle = known_bundle_.bundle;
  } else {
    // Before it is read: whatever changes the file from now on changes the stamp.
    cache_.Touch(work.bundle.sha256);
    const absl::StatusOr<FileStamp> stamp = FileStamp::Of(work.bundle_path);
    known_bundle_ = {.sha256 = work.bundle.sha256, .stamp = stamp.value_or(FileStamp())};
  }
  work.model_path = BlobPath(*held, kModel);
  work.model = record.assignment.model;
  work.training = Needs(*held, kModel);
  if (work.training && !FileExists(work.model_path)) {
    const absl::Status room = cache_.MakeRoom(work.model.size, PinnedBy(record.assignment));
    if (!room.ok()) EmitProblem(StatusText(room));
    work.assembly = MakeAssembly(*held);
  } else if (work.training) {
    work.check_model = !IsVerified(*held, kModel);
    if (!record.model_inline) cache_.Touch(work.model.sha256);
  }
  work.plan = record.assignment.plan;
  work.trusted_keys = options_.trusted_keys;
  work.formats = deps_.trainer->artifact_formats();
  work.meter = deps_.meter;
  work.clock = deps_.clock;
  // Nothing to read: not worth the way to another thread.
  if (work.known_bundle != nullptr && !work.check_model && !work.assembly.has_value()) {
    return OnVerified(RunVerify(work));
  }
  RunWork<Verified>([work = std::move(work)] { return RunVerify(work); }, &SessionCore::OnVerified);
}

absl::StatusOr<std::shared_ptr<const Bundle>> SessionCore::VerifyBundle(const VerifyWork& work,
                                                                        int* damaged) {
  if (work.known_bundle != nullptr) return work.known_bundle;
  const absl::Status whole = BlobCache::Verify(work.bundle_path, work.bundle.sha256);
  if (!whole.ok()) {
    *damaged = kBundle;
    return whole;
  }
  return OpenTrusted(work.bundle_path, work.trusted_keys);
}

SessionCore::Verified SessionCore::RunVerify(const VerifyWork& work) {
  Verified verified;
  absl::StatusOr<std::shared_ptr<const Bundle>> bundle = VerifyBundle(work, &verified.damaged);
  verified.status = bundle.status();
  if (verified.status.ok() && work.check_model) {
    verified.status = BlobCache::Verify(work.model_path, work.model.sha256);
    if (!verified.status.ok()) verified.damaged = kModel;
  }
  if (verified.status.ok()) verified.status = CheckFormats(**bundle, work.formats);
  if (verified.status.ok() && work.training) verified.status = CheckModelSize(**bundle, work.model);
  if (!verified.status.ok()) return verified;
  verified.bundle = *std::move(bundle);
  if (!work.assembly.has_value()) return verified;
  // Only now, as the manifest says how much memory it takes.
  PhaseMeter window(work.meter, work.clock);
  window.Begin(Phase::kDownload);
  const Manifest& manifest = verified.bundle->header().manifest;
  const absl::StatusOr<UpdateLayout> layout =
      MakeUpdateLayout(manifest, work.plan.frozen, work.plan.buffers);
  verified.assembly = layout.ok() ? AssembleModel(*work.assembly, manifest, *layout)
                                  : AssemblyResult{layout.status()};
  verified.assembly_sample = window.End(0);
  return verified;
}

void SessionCore::OnVerified(Verified verified) {
  working_ = false;
  Held* const held = Active();
  if (held != nullptr && verified.assembly.has_value()) {
    AssemblyDone(held, *verified.assembly, verified.assembly_sample);
  }
  if (stopping_ || held == nullptr || !cancel_reason_.empty()) return Next();
  if (verified.assembly.has_value() && !verified.assembly->status.ok()) return Fetch(held);
  if (verified.damaged >= 0) {
    const Blob blob = static_cast<Blob>(verified.damaged);
    const bool is_inline = blob == kModel && held->record.model_inline;
    if (!is_inline && held->downloads[blob] < kMaxDownloads) {
      EmitProblem(absl::StrCat(std::string(verified.status.message()), "; downloading it again"));
      verified.status = cache_.Remove(BlobOf(held->record.assignment, blob).sha256);
      if (verified.status.ok()) return Fetch(held);
    }
  }
  if (!verified.status.ok()) {
    return FailAndGoOn(held, ReportStatus::kFailed, StatusText(verified.status));
  }
  held->bundle = std::move(verified.bundle);
  known_bundle_.bundle = held->bundle;
  held->failures = 0;
  if (Needs(*held, kModel) && !held->record.model_inline) {
    const absl::Status known = models_.Add(held->record.assignment.model.sha256);
    if (!known.ok()) EmitProblem(absl::StrCat("cannot list the models: ", StatusText(known)));
  }
  // The model was here already.
  if (!held->record.assignment.model_steps.empty()) DropSteps(held);
  return held->record.stage == WorkStage::kTrained ? Encode(held) : Train(held);
}

}  // namespace fedwatt
