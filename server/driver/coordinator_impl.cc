#include "server/driver/coordinator_impl.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/base/suggest.h"
#include "server/driver/blocking_write.h"
#include "server/driver/broadcast.h"
#include "server/driver/bundle_blobs.h"
#include "server/driver/job_admission.h"

namespace fedwatt {

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(CoordinatorOptions options,
                                                                CoordinatorDeps deps) {
  auto coordinator = std::make_unique<CoordinatorImpl>(std::move(options), std::move(deps));
  FW_RETURN_IF_ERROR(coordinator->Load());
  return std::unique_ptr<Coordinator>(std::move(coordinator));
}

CoordinatorImpl::CoordinatorImpl(CoordinatorOptions options, CoordinatorDeps deps) {
  context_.options = std::move(options);
  context_.deps = std::move(deps);
  Executor* const executor = context_.deps.executor;
  work_ = std::make_unique<WorkQueue>(executor, context_.options.fold_threads);
  references_ = std::make_unique<BlobReferences>(context_.deps.blobs);
  pool_ = std::make_unique<ClientPool>(
      ClientPoolOptions{context_.options.retry_after_ms, context_.options.max_waiting_clients},
      context_.deps.clock, executor);
  context_.pool = pool_.get();
  context_.board = std::make_shared<AttemptBoard>();
  context_.work = work_.get();
  context_.references = references_.get();
  intake_ = std::make_unique<UpdateIntake>(
      &context_, [this](const std::string& job) { return FindById(job); });
  door_ = std::make_unique<CheckInDoor>(&context_);
  started_ms_ = context_.deps.clock->NowMs();
}

CoordinatorImpl::~CoordinatorImpl() {
  Shutdown();
  // In this order nothing is left that could call into what is gone.
  door_.reset();
  work_->Close();
  intake_.reset();
  for (const DriverPtr& driver : Drivers()) driver->Halt();
  {
    MutexLock lock(&mutex_);
    drivers_.clear();
  }
  pool_.reset();
}

void CoordinatorImpl::Shutdown() {
  {
    MutexLock lock(&mutex_);
    if (std::exchange(shut_down_, true)) return;
  }
  pool_->Shutdown();
  for (const DriverPtr& driver : Drivers()) driver->Halt();
}

absl::Status CoordinatorImpl::Load() {
  FW_ASSIGN_OR_RETURN(std::vector<JobRecord> records, context_.deps.store->LoadJobs());
  MutexLock submit_lock(&submit_mutex_);
  std::map<std::string, DriverPtr> drivers;
  for (JobRecord& record : records) {
    const std::string id = record.id;
    auto setup = MakeJobSetup(id, record.spec, record.bundle_sha256, context_.deps.blobs,
                              context_.deps.plugins);
    if (absl::IsNotFound(setup.status())) {
      return absl::DataLossError(
          absl::StrCat("job ", id, ": its bundle: ", std::string(setup.status().message())));
    }
    if (!setup.ok()) return Annotate(setup.status(), absl::StrCat("job ", id));
    const std::string request_id = record.request_id;
    FW_ASSIGN_OR_RETURN(DriverPtr driver,
                        JobDriver::Recover(&context_, std::move(record), *std::move(setup)));
    MutexLock lock(&mutex_);
    if (!request_id.empty()) job_by_request_[request_id] = id;
    drivers_[id] = driver;
    drivers[id] = std::move(driver);
  }
  FW_RETURN_IF_ERROR(references_->Sweep());
  context_.deps.spool->Sweep([&drivers](const std::string& assignment_id) {
    const auto name = ParseAssignmentName(assignment_id);
    const auto it = name ? drivers.find(name->key.job) : drivers.end();
    return it != drivers.end() && it->second->WantsSpool(assignment_id);
  });
  for (const auto& [id, driver] : drivers) driver->Start();
  return absl::OkStatus();
}

// ---- devices

uint64_t CoordinatorImpl::CheckIn(const Principal& who, CheckInRequest request, CheckInDone done) {
  const uint64_t id = next_id_.fetch_add(1);
  door_->CheckIn(id, who, std::move(request), std::move(done));
  return id;
}

void CoordinatorImpl::CancelCheckIn(uint64_t id) { pool_->Cancel(id); }

absl::StatusOr<std::shared_ptr<const MappedFile>> CoordinatorImpl::OpenBlob(const Principal& who,
                                                                            const Digest& sha256) {
  std::set<std::string> populations;
  for (const DriverPtr& driver : Drivers()) {
    const JobSpec& spec = driver->setup()->spec;
    if (spec.tenant != who.tenant || !populations.insert(spec.population).second) continue;
    auto blob = context_.board->BlobFor(PseudonymOf(context_, who, spec.population), sha256);
    if (blob != nullptr) return blob;
  }
  return absl::PermissionDeniedError(absl::StrCat("no assignment of yours in flight names blob ",
                                                  DigestHex(sha256), "; check in first"));
}

absl::StatusOr<UploadOffset> CoordinatorImpl::UploadStatus(const Principal& who,
                                                           const std::string& assignment_id,
                                                           const Digest& sha256) {
  return intake_->UploadStatus(who, assignment_id, sha256);
}

absl::StatusOr<Coordinator::UploadStart> CoordinatorImpl::StartUpload(const Principal& who,
                                                                      Report report,
                                                                      uint64_t offset) {
  return intake_->StartUpload(who, std::move(report), offset);
}

void CoordinatorImpl::SubmitReport(const Principal& who, Report report,
                                   absl::AnyInvocable<void(absl::StatusOr<ReportReply>)> done) {
  intake_->SubmitReport(who, std::move(report), std::move(done));
}

// ---- operators

ServerStats CoordinatorImpl::Stats() {
  ServerStats stats;
  stats.started_ms = started_ms_;
  stats.waiting_clients = pool_->waiting();
  stats.known_clients = pool_->known();
  stats.inflight_upload_bytes = context_.deps.spool->bytes_reserved();
  for (const DriverPtr& driver : Drivers()) {
    if (driver->status()->state() == JobState::kRunning) ++stats.jobs_running;
  }
  return stats;
}

absl::StatusOr<std::string> CoordinatorImpl::AddBundle(const std::string& file_path,
                                                       Digest* sha256) {
  std::string name;
  const BlobReferences::WriteScope writing(references_.get());
  FW_ASSIGN_OR_RETURN(*sha256, PutBundle(context_.deps.blobs, file_path, &name));
  return name;
}

absl::StatusOr<Digest> CoordinatorImpl::WarmStart(const JobSpec& spec,
                                                  const Manifest& manifest) const {
  const auto annotate = [&spec](const absl::Status& status) {
    return Annotate(status, absl::StrCat("model.warm_start = \"", spec.model.warm_start, "\""));
  };
  const auto driver = FindJob(spec.model.warm_start);
  if (!driver.ok()) return annotate(driver.status());
  if ((*driver)->setup()->spec.tenant != spec.tenant) {
    return annotate(absl::NotFoundError("no such job"));
  }
  const absl::Status same = SameManifest((*driver)->setup()->header.manifest, manifest);
  if (!same.ok()) return annotate(same);
  const auto model = FindModel(**driver, spec.model.warm_start_version);
  if (!model.ok()) return annotate(model.status());
  return model->sha256;
}

absl::StatusOr<JobRecord> CoordinatorImpl::MakeRecord(const JobSpec& spec, const BundleParts& parts,
                                                      const std::string& request_id) const {
  JobRecord record;
  record.spec = spec;
  record.request_id = request_id;
  record.bundle_sha256 = parts.stripped;
  record.initial_model = parts.tensors;
  record.created_ms = context_.deps.clock->NowMs();
  uint64_t number = 0;
  size_t running = 0;
  for (const DriverPtr& driver : Drivers()) {
    number = std::max(number, JobNumber(driver->setup()->id, spec.name));
    if (driver->status()->state() == JobState::kRunning) ++running;
  }
  if (running >= context_.options.max_jobs) {
    return absl::ResourceExhaustedError(
        absl::StrCat(running,
                     " jobs run already, the limit of this coordinator (max_jobs); stop "
                     "one or wait for its end"));
  }
  record.id = absl::StrCat(spec.name, "-", number + 1);
  return record;
}

absl::Status CoordinatorImpl::CheckSpending(const JobSetup& setup) {
  std::optional<CarbonIntensity> figure;
  const JobSpec::Carbon& wanted = setup.spec.carbon;
  if (context_.deps.carbon != nullptr) {
    FW_ASSIGN_OR_RETURN(const auto source, context_.deps.carbon->For(wanted.source, wanted.region));
    // Submitting may wait for a service; a source that fails is named where grams are needed.
    const int64_t now_ms = context_.deps.clock->NowMs();
    auto at = source->At(now_ms);
    if (!at.ok() && source->Refresh(now_ms).ok()) at = source->At(now_ms);
    if (at.ok()) figure = *std::move(at);
  } else if (!wanted.source.empty() || wanted.pause_above > 0) {
    return absl::FailedPreconditionError("this coordinator has no carbon source");
  }
  return CheckBudgetFits(setup, figure);
}

absl::StatusOr<JobView> CoordinatorImpl::SubmitJob(const JobSpec& spec, const Digest& bundle,
                                                   const std::string& request_id) {
  MutexLock submit_lock(&submit_mutex_);
  if (!request_id.empty()) {
    std::string known;
    {
      MutexLock lock(&mutex_);
      const auto it = job_by_request_.find(request_id);
      if (it != job_by_request_.end()) known = it->second;
    }
    if (!known.empty()) return GetJob(known);
  }
  FW_RETURN_IF_ERROR(ValidateJobSpec(spec));
  const BlobReferences::WriteScope writing(references_.get());
  FW_ASSIGN_OR_RETURN(const BundleParts parts, FindBundle(context_.deps.blobs, bundle));
  FW_ASSIGN_OR_RETURN(JobRecord record, MakeRecord(spec, parts, request_id));
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const JobSetup> setup,
                      MakeJobSetup(record.id, spec, record.bundle_sha256, context_.deps.blobs,
                                   context_.deps.plugins));
  FW_RETURN_IF_ERROR(CheckSpending(*setup));
  if (!spec.model.warm_start.empty()) {
    FW_ASSIGN_OR_RETURN(record.initial_model, WarmStart(spec, setup->header.manifest));
  }
  // The blobs first: once the store names them they must be there.
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> initial,
                      context_.deps.blobs->Open(record.initial_model));
  if (setup->down != nullptr) {
    // What the driver will do: a model that cannot be coded is refused while it can be.
    const auto coded =
        FirstBroadcast(*setup, record.initial_model, initial->bytes(), context_.deps.blobs);
    if (!coded.ok()) return Annotate(coded.status(), "the initial model");
  }
  references_->Add(record.id, {record.bundle_sha256, record.initial_model});
  absl::Status written = WriteAndWait(context_.deps.store, {PutJob{record}});
  if (!written.ok()) {
    references_->Set(record.id, {});
    return Annotate(written, "the job could not be kept");
  }
  const std::string id = record.id;
  FW_ASSIGN_OR_RETURN(DriverPtr driver, JobDriver::Recover(&context_, std::move(record), setup));
  {
    MutexLock lock(&mutex_);
    drivers_[id] = driver;
    if (!request_id.empty()) job_by_request_[request_id] = id;
  }
  LogInfo("job submitted", {{"job", id}, {"rounds", absl::StrCat(spec.rounds)}});
  driver->Start();
  return driver->status()->View(true);
}

std::vector<JobView> CoordinatorImpl::ListJobs(bool all) {
  std::vector<JobView> views;
  for (const DriverPtr& driver : Drivers()) {
    JobView view = driver->status()->View(false);
    const bool over = view.state == JobState::kCompleted || view.state == JobState::kFailed;
    if (all || !over) views.push_back(std::move(view));
  }
  std::sort(views.begin(), views.end(), [](const JobView& a, const JobView& b) {
    return std::tie(a.created_ms, a.id) < std::tie(b.created_ms, b.id);
  });
  return views;
}

absl::StatusOr<JobView> CoordinatorImpl::GetJob(const std::string& id_or_name) {
  FW_ASSIGN_OR_RETURN(const DriverPtr driver, FindJob(id_or_name));
  return driver->status()->View(true);
}

absl::StatusOr<uint64_t> CoordinatorImpl::WatchJob(
    const std::string& id_or_name, uint64_t after_sequence,
    std::function<void(const JobUpdate&, bool last)> on_update) {
  FW_ASSIGN_OR_RETURN(const DriverPtr driver, FindJob(id_or_name));
  const uint64_t id = next_id_.fetch_add(1);
  {
    MutexLock lock(&mutex_);
    watched_[id] = driver->setup()->id;
  }
  driver->status()->Watch(id, after_sequence, std::move(on_update));
  return id;
}

void CoordinatorImpl::Unwatch(uint64_t id) {
  DriverPtr driver;
  {
    MutexLock lock(&mutex_);
    const auto it = watched_.find(id);
    if (it == watched_.end()) return;
    const auto found = drivers_.find(it->second);
    if (found != drivers_.end()) driver = found->second;
    watched_.erase(it);
  }
  if (driver != nullptr) driver->status()->Unwatch(id);
}

absl::StatusOr<JobView> CoordinatorImpl::ChangeState(const DriverPtr& driver, JobState from,
                                                     JobState to, const std::string& reason) {
  absl::Status refused;
  const absl::Status changed = WaitFor([&](absl::AnyInvocable<void(absl::Status)> waiter) {
    auto shared = std::make_shared<absl::AnyInvocable<void(absl::Status)>>(std::move(waiter));
    refused = driver->status()->Change(
        [&](JobRecord* record) {
          if (record->state == to) return absl::AlreadyExistsError("");
          if (record->state != from) {
            return absl::FailedPreconditionError(
                absl::StrCat("job ", record->id, " is ", JobStateName(record->state), "; only a ",
                             JobStateName(from), " job can become ", JobStateName(to)));
          }
          record->state = to;
          record->reason = reason;
          record->stop_reason = to == JobState::kStopped ? "operator" : "";
          return absl::OkStatus();
        },
        [shared](absl::Status status) { (*shared)(std::move(status)); });
    if (!refused.ok()) (*shared)(absl::OkStatus());
  });
  if (!refused.ok() && !absl::IsAlreadyExists(refused)) return refused;
  FW_RETURN_IF_ERROR(changed);
  if (refused.ok()) driver->RecordChanged();
  return driver->status()->View(true);
}

absl::StatusOr<JobView> CoordinatorImpl::StopJob(const std::string& id_or_name,
                                                 const std::string& reason) {
  FW_ASSIGN_OR_RETURN(const DriverPtr driver, FindJob(id_or_name));
  return ChangeState(driver, JobState::kRunning, JobState::kStopped, reason);
}

absl::StatusOr<JobView> CoordinatorImpl::ResumeJob(const std::string& id_or_name) {
  FW_ASSIGN_OR_RETURN(const DriverPtr driver, FindJob(id_or_name));
  return ChangeState(driver, JobState::kStopped, JobState::kRunning, "");
}

absl::StatusOr<std::vector<EnergySum>> CoordinatorImpl::QueryEnergy(const std::string& id_or_name,
                                                                    EnergyAxis axis,
                                                                    const EnergyFilter& filter) {
  FW_ASSIGN_OR_RETURN(const DriverPtr driver, FindJob(id_or_name));
  return context_.deps.store->EnergySums(driver->setup()->id, axis, filter);
}

absl::Status CoordinatorImpl::ExportModel(const std::string& id_or_name, const std::string& version,
                                          const std::string& path) {
  FW_ASSIGN_OR_RETURN(const DriverPtr driver, FindJob(id_or_name));
  FW_ASSIGN_OR_RETURN(const ModelRef model, FindModel(*driver, version));
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> tensors,
                      context_.deps.blobs->Open(model.sha256));
  return WriteBundleFile(context_.deps.blobs, driver->setup()->bundle.sha256, tensors->bytes(),
                         path);
}

CoordinatorImpl::DriverPtr CoordinatorImpl::FindById(const std::string& id) const {
  MutexLock lock(&mutex_);
  const auto it = drivers_.find(id);
  return it == drivers_.end() ? nullptr : it->second;
}

absl::StatusOr<CoordinatorImpl::DriverPtr> CoordinatorImpl::FindJob(
    const std::string& id_or_name) const {
  if (DriverPtr driver = FindById(id_or_name)) return driver;
  std::vector<DriverPtr> named;
  std::vector<std::string> ids;
  std::vector<std::string> all;
  for (const DriverPtr& driver : Drivers()) {
    all.push_back(driver->setup()->id);
    if (driver->setup()->spec.name != id_or_name) continue;
    named.push_back(driver);
    ids.push_back(driver->setup()->id);
  }
  if (named.size() == 1) return named.front();
  if (named.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no job \"", id_or_name, "\"", DidYouMean(id_or_name, all)));
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", id_or_name, "\" names ", named.size(),
                                                 " jobs: ", absl::StrJoin(ids, ", "),
                                                 "; give the id"));
}

std::vector<CoordinatorImpl::DriverPtr> CoordinatorImpl::Drivers() const {
  MutexLock lock(&mutex_);
  std::vector<DriverPtr> drivers;
  for (const auto& [id, driver] : drivers_) drivers.push_back(driver);
  return drivers;
}

}  // namespace fedwatt
