#include "simulation/simulation.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/sdk/assignment_check.h"
#include "client/sdk/version.h"
#include "common/base/file.h"
#include "common/base/memory_folder.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/bundle/bundle.h"
#include "common/codec/codec.h"
#include "server/driver/matching.h"
#include "simulation/checker.h"
#include "simulation/inflated_datasets.h"
#include "simulation/local_accuracy.h"
#include "simulation/work_units.h"

namespace fedwatt {
namespace {

constexpr uint64_t kStorageKept = 2000;
constexpr uint32_t kSchema = 1;
constexpr int64_t kDayMs = int64_t{24} * 3'600'000;
constexpr uint64_t kEvaluationExamples = 1000;
// 2026-01-05, a Monday: days of the calendar are whole days of the virtual clock.
constexpr int64_t kFirstDayMs = 20'458 * kDayMs;

bool Ended(JobState state) { return state != JobState::kRunning; }

class SimulationImpl final : public Simulation {
 public:
  SimulationImpl(SimulationOptions options, std::unique_ptr<TrainingBench> bench)
      : options_(std::move(options)),
        bench_(std::move(bench)),
        start_ms_(kFirstDayMs + static_cast<int64_t>(options_.fleet.start_hour * 3'600'000)),
        clock_(start_ms_) {}

  ~SimulationImpl() override {
    population_.reset();
    host_.reset();
    RemoveTree(options_.scratch_dir);
  }

  absl::Status Open();
  absl::StatusOr<SimulationResult> Run(const Progress& progress) override;

 private:
  absl::Status SignBundle();
  absl::Status CheckEligible(const BundleHeader& header) const;
  absl::Status CheckTarget() const;
  absl::Status WriteSeries(CoordinatorHostOptions* host) const;
  absl::Status StartCoordinator();
  absl::StatusOr<OfferedDataset> DatasetOf(uint64_t device, DeviceRecord* record);
  absl::StatusOr<DatasetConfig> ConfigOf(const std::string& pattern, uint64_t device);
  FleetContext MakeContext();
  void OnDurable(const std::vector<StoreWrite>& batch);
  void OnAttemptEnd(const RoundKey& key, const RoundSummary& summary, bool committed);
  void Note(TraceKind kind, int64_t value, const RoundKey* key, const Digest* digest);
  absl::Status Advance(const Progress& progress);
  std::string LimitedBy(const JobView& job, bool out_of_time) const;
  void SumDevices(SimulationResult* result) const;
  absl::StatusOr<double> JudgeLocally(const Digest& model);
  absl::StatusOr<SimulationResult> Finish(bool out_of_time);
  bool ReachedTarget();

  SimulationOptions options_;
  const MemoryFolder memory_;
  const std::unique_ptr<TrainingBench> bench_;
  const int64_t start_ms_;
  FakeClock clock_;
  ManualExecutor executor_{&clock_};
  std::unique_ptr<Trace> trace_;
  std::unique_ptr<CoordinatorHost> host_;
  std::unique_ptr<Checker> checker_;
  std::unique_ptr<Population> population_;
  std::optional<SigningKey> key_;
  std::string bundle_path_;
  std::string job_id_;
  InflatedDatasets datasets_{absl::StrCat(options_.scratch_dir, "/datasets")};
  std::unordered_map<uint64_t, uint32_t> dataset_sizes_;  // by device, of real data
  bool job_ended_ = false;
  std::vector<SimulationPoint> points_;
  size_t told_ = 0;     // of points_
  size_t watched_ = 0;  // of points_
  std::optional<TargetWatch> target_;
  bool target_reached_ = false;
};

absl::Status SimulationImpl::SignBundle() {
  FW_ASSIGN_OR_RETURN(key_, SigningKey::FromSeed(AsBytes(std::string(32, 's'))));
  FW_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(options_.bundle));
  bundle_path_ = absl::StrCat(options_.scratch_dir, "/model.fwb");
  FW_RETURN_IF_ERROR(BundleWriter::WriteWithTensors(bundle_path_, *bundle, bundle->Tensors()));
  return BundleWriter::Sign(bundle_path_, *key_);
}

// What each class of devices would say at check-in, and what the job's needs answer.
absl::Status SimulationImpl::CheckEligible(const BundleHeader& header) const {
  const Need need = TrainingNeed(options_.job, header, {});
  std::string why;
  for (const DeviceClass& one : options_.fleet.classes) {
    Offer offer;
    offer.tenant = options_.job.tenant;
    offer.request.tenant = options_.job.tenant;
    offer.request.population = options_.job.population;
    offer.request.sdk_version = kSdkVersion;
    offer.request.capabilities.trainers = {bench_->name()};
    offer.request.capabilities.artifact_formats = bench_->artifact_formats();
    offer.request.capabilities.memory_bytes = one.memory_bytes;
    offer.request.capabilities.labels["class"] = one.name;
    if (!one.region.empty()) offer.request.capabilities.labels["region"] = one.region;
    if (!one.power_domain.empty()) {
      offer.request.capabilities.labels["power_domain"] = one.power_domain;
    }
    offer.request.datasets = {
        {options_.job.dataset.name, kSchema,
         options_.dataset.empty() ? ExampleCountBucket(options_.fleet.examples_max) : UINT32_MAX}};
    why = WhyNot(need, offer);
    if (why.empty()) return absl::OkStatus();
    why = absl::StrCat("class ", one.name, ": the job ", why);
  }
  return absl::InvalidArgumentError(absl::StrCat("no device of fleet ", options_.fleet.name,
                                                 " can ever work for job ", options_.job.name, "; ",
                                                 why));
}

absl::Status SimulationImpl::CheckTarget() const {
  if (!options_.target.has_value()) return absl::OkStatus();
  const JobSpec::Stop& stop = options_.job.stop;
  const WindowTarget& target = *options_.target;
  if (stop.target.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("stop.target of job ", options_.job.name,
                     " ends it at a single evaluation, before a mean over ", target.window,
                     " can reach its target of ", target.value, "; leave stop.target out"));
  }
  if (stop.metric == "accuracy" && stop.mode == "max" && target.value > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a target accuracy of ", target.value, ": at most 1"));
  }
  const uint64_t every = std::max<uint64_t>(options_.job.evaluation.every, 1);
  if (options_.job.rounds / every < target.window) {
    return absl::InvalidArgumentError(
        absl::StrCat("a mean over ", target.window, " evaluations: job ", options_.job.name,
                     " has ", options_.job.rounds / every, "; give it more rounds"));
  }
  return absl::OkStatus();
}

absl::Status SimulationImpl::Open() {
  FW_RETURN_IF_ERROR(CheckTarget());
  if (options_.devices == 0 || options_.devices >= kNoDevice) {
    return absl::InvalidArgumentError(absl::StrCat(options_.devices, " clients: 1 or more"));
  }
  FW_RETURN_IF_ERROR(EnsureDir(options_.scratch_dir, 0700));
  FW_RETURN_IF_ERROR(SignBundle());
  FW_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(bundle_path_));
  FW_RETURN_IF_ERROR(CheckEligible(bundle->header()));
  FW_ASSIGN_OR_RETURN(trace_, Trace::Create(options_.trace_path, options_.on_trace));
  return StartCoordinator();
}

// As files, which the coordinator reads as it reads those of a real grid.
absl::Status SimulationImpl::WriteSeries(CoordinatorHostOptions* host) const {
  const std::string folder = absl::StrCat(options_.scratch_dir, "/series");
  FW_RETURN_IF_ERROR(EnsureDir(folder, 0700));
  const int64_t midnight_ms = MidnightOf(start_ms_);
  const int64_t days = options_.most_virtual_ms / kDayMs + 2;
  for (const auto& [region, series] : options_.carbon_series) {
    const auto& [first, with] = *options_.carbon_series.begin();
    if (series.kind != with.kind) {
      return absl::InvalidArgumentError(absl::StrCat("the carbon series of \"", region, "\" is ",
                                                     CarbonKindText(series.kind), ", that of \"",
                                                     first, "\" is ", CarbonKindText(with.kind),
                                                     "; grams of different kinds are never added"));
    }
    if (absl::StrContains(region, '/')) {
      return absl::InvalidArgumentError(
          absl::StrCat("a carbon series of region \"", region, "\": a region's name has no /"));
    }
    FW_RETURN_IF_ERROR(WriteFileAtomic(absl::StrCat(folder, "/carbon-", region, ".csv"),
                                       CarbonFileText(series, midnight_ms, days)));
    if (!region.empty()) host->client_regions.push_back(region);
    host->carbon = {
        .source = "file", .region = first, .path = absl::StrCat(folder, "/carbon-{region}.csv")};
  }
  if (options_.surplus.empty()) return absl::OkStatus();
  host->surplus_file = absl::StrCat(folder, "/surplus.csv");
  return WriteFileAtomic(host->surplus_file, SurplusFileText(options_.surplus, midnight_ms, days));
}

absl::Status SimulationImpl::StartCoordinator() {
  CoordinatorHostOptions host;
  host.dir = absl::StrCat(options_.scratch_dir, "/coordinator");
  host.coordinator.version = "simulation";
  host.coordinator.population_key = options_.population_key.empty()
                                        ? absl::StrCat("simulation ", options_.seed)
                                        : options_.population_key;
  host.coordinator.long_poll_max_ms = std::max<int64_t>(options_.fleet.long_poll_ms, 1000);
  host.coordinator.fold_threads = 1;
  host.carbon = options_.carbon;
  FW_RETURN_IF_ERROR(WriteSeries(&host));
  host.faults = options_.faults;
  FW_ASSIGN_OR_RETURN(host_, CoordinatorHost::Create(std::move(host), &clock_, &executor_));
  std::unique_ptr<ModelReplay> replay;
  if (options_.replay) {
    FW_ASSIGN_OR_RETURN(replay, ModelReplay::Create(absl::StrCat(options_.scratch_dir, "/replay")));
  }
  ModelReplay* const replayed = replay.get();
  checker_ = std::make_unique<Checker>(&host_->disk(), std::move(replay));
  host_->OnDurable([this](const std::vector<StoreWrite>& batch) { OnDurable(batch); });
  host_->OnChange([this](bool up, int tasks) {
    if (!up) checker_->OnCoordinatorDied();
    Note(up ? TraceKind::kCoordinatorUp : TraceKind::kCoordinatorDied, tasks, nullptr, nullptr);
  });
  FW_RETURN_IF_ERROR(host_->Start());
  Digest bundle{};
  FW_RETURN_IF_ERROR(host_->coordinator()->AddBundle(bundle_path_, &bundle).status());
  FW_ASSIGN_OR_RETURN(const JobView job,
                      host_->coordinator()->SubmitJob(options_.job, bundle, "simulation"));
  job_id_ = job.id;
  if (replayed == nullptr) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const auto jobs, host_->disk().LoadJobs());
  FW_ASSIGN_OR_RETURN(auto setup,
                      MakeJobSetup(job_id_, jobs.front().spec, jobs.front().bundle_sha256,
                                   &host_->blobs(), Plugins::Builtin()));
  FW_ASSIGN_OR_RETURN(const auto model, host_->blobs().Open(jobs.front().initial_model));
  replayed->Begin(std::move(setup), std::string(AsText(model->bytes())));
  return absl::OkStatus();
}

absl::StatusOr<DatasetConfig> SimulationImpl::ConfigOf(const std::string& pattern,
                                                       uint64_t device) {
  FW_ASSIGN_OR_RETURN(DatasetConfig config,
                      DatasetConfig::Parse(absl::StrReplaceAll(
                          pattern, {{"{client}", absl::StrCat(device)},
                                    {"{clients}", absl::StrCat(options_.devices)},
                                    {"{seed}", absl::StrCat(options_.seed)}})));
  return datasets_.Of(std::move(config));
}

absl::StatusOr<OfferedDataset> SimulationImpl::DatasetOf(uint64_t device, DeviceRecord* record) {
  OfferedDataset offered;
  const bool held_out = record->evaluator && !options_.evaluation_dataset.empty();
  const std::string& pattern = held_out ? options_.evaluation_dataset : options_.dataset;
  const std::string& evaluated = options_.job.evaluation.dataset;
  const bool other = record->evaluator && !evaluated.empty();
  const std::string name = other ? evaluated : options_.job.dataset.name;
  if (pattern.empty()) {
    if (record->evaluator) record->examples = kEvaluationExamples;
    offered.config = {name, "none", "", {{"examples", absl::StrCat(record->examples)}}};
    if (record->evaluator) offered.config.options["shift"] = "none";
  } else {
    FW_ASSIGN_OR_RETURN(offered.config, ConfigOf(pattern, device));
    const auto [size, first] = dataset_sizes_.try_emplace(device);
    if (first) {
      FW_ASSIGN_OR_RETURN(const auto data, OpenDataset(offered.config));
      size->second = static_cast<uint32_t>(data->size());
    }
    record->examples = size->second;
  }
  offered.ref = {offered.config.name, kSchema, fedwatt::ExampleCountBucket(record->examples)};
  return offered;
}

FleetContext SimulationImpl::MakeContext() {
  FleetContext context;
  context.fleet = &options_.fleet;
  context.seed = options_.seed;
  context.start_ms = start_ms_;
  const bool in_memory = options_.state_in_memory && !bench_->needs_disk();
  context.dir = absl::StrCat(in_memory ? memory_.path() : options_.scratch_dir, "/devices");
  context.clock = &clock_;
  context.executor = &executor_;
  context.host = host_.get();
  context.trace = trace_.get();
  context.bench = bench_.get();
  context.carbon = &options_.carbon_series;
  context.name_prefix = options_.name_prefix;
  context.population = options_.job.population;
  context.tenant = options_.job.tenant;
  context.trusted_keys = {key_->public_key()};
  context.dataset = [this](uint64_t device, DeviceRecord* record) {
    return DatasetOf(device, record);
  };
  if (options_.replay) {
    context.update_sent = [this](const Digest& sha256, const std::string& bytes) {
      checker_->OnUpdate(sha256, bytes);
    };
  }
  return context;
}

void SimulationImpl::Note(TraceKind kind, int64_t value, const RoundKey* key,
                          const Digest* digest) {
  TraceRecord record;
  record.at_ms = clock_.NowMs();
  record.kind = kind;
  record.value = value;
  if (key != nullptr) SetKey(*key, &record);
  if (digest != nullptr) record.digest = ShortDigest(*digest);
  trace_->Add(record);
}

void SimulationImpl::OnAttemptEnd(const RoundKey& key, const RoundSummary& summary,
                                  bool committed) {
  Note(committed ? TraceKind::kCommitted : TraceKind::kAbandoned, summary.reported, &key,
       committed ? &summary.model.sha256 : nullptr);
  SimulationPoint point;
  point.at_ms = clock_.NowMs() - start_ms_;
  point.round = summary;
  point.round.key = key;
  point.committed = committed;
  if (population_ != nullptr) {
    point.tally = population_->tally();
    point.awake = population_->awake();
  }
  points_.push_back(std::move(point));
}

void SimulationImpl::OnDurable(const std::vector<StoreWrite>& batch) {
  if (options_.on_durable) options_.on_durable(batch);
  if (options_.check) checker_->OnDurable(batch);
  for (const StoreWrite& write : batch) {
    if (const auto* const put = std::get_if<PutJob>(&write)) {
      job_ended_ = Ended(put->job.state);
      continue;
    }
    const LogRecord& record = std::get<AppendLog>(write).record;
    if (const auto* const commit = std::get_if<RoundCommitted>(&record)) {
      OnAttemptEnd(commit->key, commit->summary, true);
    } else if (const auto* const abandoned = std::get_if<AttemptAbandoned>(&record)) {
      OnAttemptEnd(abandoned->key, abandoned->summary, false);
    }
  }
}

// OUT_OF_RANGE: the virtual time is over, or nothing will ever happen again.
absl::Status SimulationImpl::Advance(const Progress& progress) {
  const int64_t end_ms = start_ms_ + options_.most_virtual_ms;
  while (!job_ended_) {
    if (options_.interrupted && options_.interrupted()) {
      return absl::CancelledError(absl::StrCat(
          "interrupted after ", (clock_.NowMs() - start_ms_) / 1000, " s of virtual time and ",
          points_.size(), " attempts; the same command begins again and gives the same"));
    }
    executor_.RunReady();
    FW_RETURN_IF_ERROR(host_->failure());
    for (; told_ < points_.size(); ++told_) {
      if (progress && !progress(points_[told_])) return absl::CancelledError("interrupted");
    }
    if (ReachedTarget() && options_.target->ends_run) return absl::OkStatus();
    const int64_t next_ms = executor_.NextTimerDelayMs();
    if (next_ms < 0) return absl::OutOfRangeError("nothing will happen any more");
    if (clock_.NowMs() + next_ms > end_ms) {
      return absl::OutOfRangeError(absl::StrCat("the limit of ", options_.most_virtual_ms / 1000,
                                                " virtual seconds is over"));
    }
    executor_.AdvanceMs(next_ms);
  }
  executor_.RunReady();
  ReachedTarget();
  return absl::OkStatus();
}

bool SimulationImpl::ReachedTarget() {
  if (!options_.target.has_value()) return false;
  if (!target_.has_value()) target_.emplace(options_.job, *options_.target);
  for (; watched_ < points_.size() && !target_reached_; ++watched_) {
    target_reached_ = target_->Add(points_[watched_]);
  }
  return target_reached_;
}

std::string SimulationImpl::LimitedBy(const JobView& job, bool out_of_time) const {
  if (target_reached_) return "";
  const bool reached = !options_.target.has_value() && job.state == JobState::kCompleted &&
                       (!options_.job.stop.target.has_value() || job.stop_reason == "target");
  if (reached) return "";
  std::string why;
  if (out_of_time) {
    why = absl::StrCat("virtual time: after ", options_.most_virtual_ms / 1000,
                       " s the job was in round ", job.rounds_done + 1);
  } else if (job.state == JobState::kCompleted) {
    const std::string target =
        options_.target.has_value()
            ? absl::StrCat("mean ", options_.job.stop.metric, " of ", options_.target->value,
                           " over ", options_.target->window, " evaluations")
            : absl::StrCat(options_.job.stop.metric, " of ", *options_.job.stop.target);
    why = absl::StrCat("the target ", target, " was not reached: the job ended by ",
                       job.stop_reason.empty() ? "its rounds" : job.stop_reason);
    if (job.best_metric.has_value()) absl::StrAppend(&why, ", its best is ", *job.best_metric);
  } else {
    why = job.reason.empty() ? "the job did not complete" : job.reason;
  }
  const uint64_t empty = population_->tally().empty_batteries;
  if (empty > 0) absl::StrAppend(&why, "; batteries ran empty ", empty, " times");
  return why;
}

void SimulationImpl::SumDevices(SimulationResult* result) const {
  std::vector<double> assignments;
  std::vector<double> charges;
  for (const DeviceRecord& record : population_->records()) {
    if (record.evaluator) continue;
    result->assignments += record.assignments;
    if (record.assignments > 0) ++result->participants;
    assignments.push_back(record.assignments);
    const double capacity_j = options_.fleet.classes[record.class_index].battery.capacity_j;
    if (capacity_j > 0) charges.push_back(record.battery.charge_j / capacity_j);
  }
  result->jain_participation = JainIndex(assignments);
  result->jain_charge = JainIndex(charges);
}

absl::StatusOr<double> SimulationImpl::JudgeLocally(const Digest& model) {
  FW_ASSIGN_OR_RETURN(const auto tensors, host_->blobs().Open(model));
  const std::string model_path = absl::StrCat(options_.scratch_dir, "/last.model");
  FW_RETURN_IF_ERROR(WriteFileAtomic(model_path, std::string(AsText(tensors->bytes()))));
  FW_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(bundle_path_));
  std::vector<DatasetConfig> datasets(options_.devices);
  for (uint64_t device = 0; device < options_.devices; ++device) {
    FW_ASSIGN_OR_RETURN(datasets[device], ConfigOf(options_.local_evaluation_dataset, device));
  }
  FW_ASSIGN_OR_RETURN(std::vector<double> accuracies,
                      LocalAccuracies(bundle, bundle_path_, model_path, datasets, bench_.get()));
  return WorstDecile(std::move(accuracies));
}

absl::StatusOr<SimulationResult> SimulationImpl::Finish(bool out_of_time) {
  SimulationResult result;
  Coordinator* const coordinator = host_->coordinator();
  if (coordinator == nullptr) return absl::InternalError("the run ended with no coordinator up");
  FW_ASSIGN_OR_RETURN(result.job, coordinator->GetJob(job_id_));
  Note(TraceKind::kJobEnded, static_cast<int64_t>(result.job.rounds_done), nullptr,
       &result.job.last.sha256);
  for (const EnergyAxis axis : {EnergyAxis::kPhase, EnergyAxis::kRound, EnergyAxis::kClient}) {
    FW_ASSIGN_OR_RETURN(auto sums, coordinator->QueryEnergy(job_id_, axis, {}));
    (axis == EnergyAxis::kPhase   ? result.energy_by_phase
     : axis == EnergyAxis::kRound ? result.energy_by_round
                                  : result.energy_by_client) = std::move(sums);
  }
  if (options_.check) checker_->Finish(job_id_);
  result.violations = checker_->violations();
  result.replayed_commits = checker_->replayed();
  result.trace_records = trace_->records();
  FW_ASSIGN_OR_RETURN(result.trace_hash, trace_->Finish());
  result.messages = host_->faults().messages();
  result.virtual_ms = clock_.NowMs() - start_ms_;
  result.tally = population_->tally();
  SumDevices(&result);
  if (!options_.local_evaluation_dataset.empty()) {
    FW_ASSIGN_OR_RETURN(result.worst_decile_accuracy, JudgeLocally(result.job.last.sha256));
  }
  result.most_awake = population_->most_awake();
  result.coordinator_lives = host_->life();
  result.problems = population_->problems();
  result.target_reached = target_reached_;
  result.limited_by = LimitedBy(result.job, out_of_time);
  result.points = std::move(points_);
  return result;
}

absl::StatusOr<SimulationResult> SimulationImpl::Run(const Progress& progress) {
  const bool evaluates =
      options_.job.evaluation.every > 0 && options_.job.evaluation.where == "evaluator";
  PopulationOptions population;
  population.devices = options_.devices;
  population.evaluators = evaluates ? options_.evaluators : 0;
  population.most_awake = options_.most_awake;
  population.keeps_storage = options_.keeps_storage.value_or(options_.devices <= kStorageKept);
  population_ = std::make_unique<Population>(MakeContext(), population);
  population_->Begin();
  const absl::Status ended = Advance(progress);
  if (!ended.ok() && !absl::IsOutOfRange(ended)) return ended;
  // A coordinator that died with the job's last word comes back to say it.
  while (host_->coordinator() == nullptr && executor_.NextTimerDelayMs() >= 0) {
    executor_.AdvanceMs(executor_.NextTimerDelayMs());
    FW_RETURN_IF_ERROR(host_->failure());
  }
  return Finish(!ended.ok());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Simulation>> Simulation::Create(
    SimulationOptions options, std::unique_ptr<TrainingBench> bench) {
  auto simulation = std::make_unique<SimulationImpl>(std::move(options), std::move(bench));
  FW_RETURN_IF_ERROR(simulation->Open());
  return std::unique_ptr<Simulation>(std::move(simulation));
}

absl::Status WriteSyntheticBundle(const std::string& path, uint64_t parameters) {
  BundleHeader header;
  header.name = "synthetic";
  header.input_shape = {1};
  FW_ASSIGN_OR_RETURN(header.manifest,
                      Manifest::Create({{"w", DType::kF32, {static_cast<int64_t>(parameters)}}}));
  const std::vector<uint8_t> zeros(parameters * sizeof(float));
  return BundleWriter::Write(path, header, {}, zeros, nullptr);
}

}  // namespace fedwatt
