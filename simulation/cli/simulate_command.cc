#include "simulation/cli/simulate_command.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/trainers/worker/worker_trainer.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/wire/admin_wire.h"
#include "common/wire/job_file.h"
#include "server/cli/exit_codes.h"
#include "server/cli/report_view.h"
#include "server/cli/targets.h"
#include "server/cli/torch_tool.h"
#include "server/driver/grpc_adapter/energy_messages.h"
#include "simulation/cli/compare_command.h"
#include "simulation/cli/simulation_text.h"
#include "simulation/scratch_folder.h"
#include "simulation/seed_search.h"
#include "simulation/simulation.h"
#include "simulation/synthetic_trainer.h"
#include "simulation/tensorboard.h"
#include "simulation/worker_bench.h"

namespace fedwatt::cli {
namespace {

constexpr uint64_t kDatasetsKept = 256;  // by each worker, in memory

absl::StatusOr<std::unique_ptr<TrainingBench>> MakeBench(const SimulateOptions& options,
                                                         const Clock* clock) {
  if (options.trainer == "synthetic") {
    return MakeDirectBench(MakeSyntheticTrainer(MakeSyntheticTask(options.seed)));
  }
  if (options.dataset.empty()) {
    return absl::InvalidArgumentError(
        "--trainer torch trains on data; say which with --dataset, for example "
        "'digits=idx:/data?partition=dirichlet&alpha=0.5&clients={clients}&client={client}'");
  }
  WorkerTrainerOptions worker;
  worker.program = TorchTool(options.torch_tool);
  worker.device = "cpu";
  worker.args.push_back(absl::StrCat("--keep-datasets=", std::min(options.clients, kDatasetsKept)));
  return MakeWorkerBench(worker.name, worker.formats, options.workers, [worker, clock] {
    return std::make_unique<WorkerTrainer>(worker, clock);
  });
}

absl::Status LoadSeries(const SimulateOptions& options, SimulationOptions* simulation) {
  for (const std::string& named : options.carbon) {
    const size_t equals = named.find('=');
    const std::string region = equals == std::string::npos ? "" : named.substr(0, equals);
    const std::string path = equals == std::string::npos ? named : named.substr(equals + 1);
    FW_ASSIGN_OR_RETURN(CarbonSeries series, LoadCarbonSeries(path));
    if (simulation->carbon_series.emplace(region, std::move(series)).second) continue;
    return absl::InvalidArgumentError(absl::StrCat("--carbon ", named, ": there is a series of ",
                                                   region.empty() ? "all other regions" : region,
                                                   " already"));
  }
  if (options.surplus.empty()) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(simulation->surplus, LoadWattSeries(options.surplus));
  return absl::OkStatus();
}

absl::StatusOr<SimulationOptions> MakeOptions(const Context& context,
                                              const SimulateOptions& options) {
  SimulationOptions simulation;
  JobOverrides overrides{.environment = JobEnvironment(), .set = options.set};
  if (!options.bundle.empty()) overrides.set.push_back("model.bundle=" + options.bundle);
  FW_ASSIGN_OR_RETURN(simulation.job, LoadJobFile(options.job_file, overrides));
  simulation.fleet = DefaultFleet();
  if (!options.fleet.empty()) {
    FW_ASSIGN_OR_RETURN(simulation.fleet, LoadFleetModel(options.fleet));
  }
  FW_RETURN_IF_ERROR(LoadSeries(options, &simulation));
  simulation.devices = options.clients;
  simulation.seed = options.seed;
  simulation.interrupted = [shutdown = context.shutdown] { return shutdown->requested(); };
  simulation.dataset = options.dataset;
  simulation.evaluation_dataset = options.evaluation_dataset;
  simulation.local_evaluation_dataset = options.local_evaluation_dataset;
  simulation.trace_path = options.trace;
  if (options.target.has_value()) {
    simulation.target = {*options.target, options.window, options.end_at_target};
  }
  simulation.state_in_memory = options.scratch.empty();
  FW_ASSIGN_OR_RETURN(simulation.scratch_dir, MakeScratchFolder(options.scratch));
  simulation.bundle = simulation.job.model.bundle;
  if (simulation.bundle.empty() && options.trainer == "synthetic") {
    simulation.bundle = absl::StrCat(simulation.scratch_dir, "/synthetic.fwb");
    FW_RETURN_IF_ERROR(WriteSyntheticBundle(simulation.bundle, options.parameters));
  }
  if (simulation.bundle.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.job_file,
                     ": model.bundle is missing; write `bundle = \"model.fwb\"` below "
                     "[model], or give --bundle"));
  }
  if (options.explain) {
    simulation.on_trace = [start_ms = std::make_shared<int64_t>(0)](const TraceRecord& record) {
      if (*start_ms == 0) *start_ms = record.at_ms;
      std::cout << record.ToString(*start_ms) << "\n";
    };
  }
  return simulation;
}

ReportView ViewOf(const SimulationResult& result) {
  v1::Job job;
  wire::ToProto(result.job, &job);
  LedgerAnswers ledger;
  FillAnswer(EnergyAxis::kPhase, result.energy_by_phase, &ledger.by_phase.emplace());
  FillAnswer(EnergyAxis::kRound, result.energy_by_round, &ledger.by_round.emplace());
  FillAnswer(EnergyAxis::kClient, result.energy_by_client, &ledger.by_client.emplace());
  ReportView view{.data = ArrangeReport(job, ledger), .targets = TargetResults(job)};
  view.central = EstimateCentral(view.data, {});
  return view;
}

// Lines for people: every round into a pipe, the last one over itself on a terminal.
class Progress {
 public:
  Progress(const Context& context, const SimulateOptions& options, uint64_t rounds)
      : quiet_(context.json || options.explain),
        live_(isatty(STDERR_FILENO) != 0),
        shutdown_(context.shutdown),
        rounds_(rounds) {}

  bool operator()(const SimulationPoint& point) {
    constexpr uint64_t kLines = 20;
    const bool shown =
        live_ || rounds_ <= kLines || point.round.key.round % (rounds_ / kLines) == 0;
    if (!quiet_ && shown) {
      std::cerr << (live_ ? "\r\033[K" : "") << PointLine(point, rounds_) << (live_ ? "" : "\n")
                << std::flush;
    }
    return !shutdown_->requested();
  }

  void End() const {
    if (!quiet_ && live_) std::cerr << "\n";
  }

 private:
  const bool quiet_;
  const bool live_;
  const ShutdownSignal* const shutdown_;
  const uint64_t rounds_;
};

absl::Status WriteOutputs(const SimulateOptions& options, const SimulationResult& result) {
  absl::Status written;
  if (!options.measures.empty()) {
    std::optional<WindowTarget> target;
    if (options.target.has_value()) target = {*options.target, options.window};
    written.Update(WriteFileAtomic(options.measures, MeasuresJson(target, result)));
  }
  if (!options.series.empty()) written.Update(WriteFileAtomic(options.series, SeriesCsv(result)));
  if (!options.tensorboard.empty()) {
    written.Update(WriteTensorBoard(options.tensorboard, result));
  }
  if (!options.html.empty()) {
    written.Update(WriteFileAtomic(options.html, ReportPage(ViewOf(result))));
  }
  return written;
}

int ExitCodeOfRun(const SimulateOptions& options, const SimulationResult& result) {
  const bool completed = result.job.state == JobState::kCompleted || result.target_reached;
  if (!completed || !result.violations.empty()) return kJobFailed;
  if (options.target.has_value() && !result.target_reached) return kTargetMissed;
  v1::Job job;
  wire::ToProto(result.job, &job);
  return AllPassed(TargetResults(job)) ? kOk : kTargetMissed;
}

// A small job that touches everything, where no job file says otherwise.
JobSpec SearchedJob() {
  JobSpec job;
  job.name = "search";
  job.rounds = 3;
  job.dataset.name = "search";
  job.round.goal = 3;
  job.round.over_selection = 1.5;
  job.round.min_reports = 2;
  job.round.selection_timeout_s = 60;
  job.round.report_deadline_s = 120;
  job.round.max_attempts = 100;
  job.round.backoff_initial_s = 1;
  job.evaluation.every = 2;
  job.budget.joules = 1e6;
  return job;
}

absl::StatusOr<SeedSearchResult> Search(const Context& context, const SimulateOptions& options,
                                        const std::string& scratch) {
  SeedSearchOptions search;
  search.first_seed = options.seed;
  search.seeds = options.seeds;
  search.base.job = SearchedJob();
  search.base.fleet = DefaultFleet();
  search.base.fleet.work_scale = 1e6;
  search.base.fleet.dropouts_per_hour = 4;
  search.base.fleet.dropout_s = 30;
  search.base.fleet.long_poll_ms = 60'000;
  search.base.devices = 8;
  search.base.most_virtual_ms = int64_t{24} * 3'600'000;
  search.base.most_awake = 4;
  search.base.keeps_storage = true;
  if (!options.fleet.empty()) {
    FW_ASSIGN_OR_RETURN(search.base.fleet, LoadFleetModel(options.fleet));
  }
  if (!options.job_file.empty()) {
    FW_ASSIGN_OR_RETURN(
        search.base.job,
        LoadJobFile(options.job_file, {.environment = JobEnvironment(), .set = options.set}));
    search.base.devices = options.clients;
  }
  search.base.interrupted = [shutdown = context.shutdown] { return shutdown->requested(); };
  search.base.scratch_dir = scratch;
  search.base.bundle = absl::StrCat(scratch, "/searched.fwb");
  FW_RETURN_IF_ERROR(WriteSyntheticBundle(search.base.bundle, 64));
  const bool live = !context.json && isatty(STDERR_FILENO) != 0;
  return SearchSeeds(
      search,
      [](uint64_t seed) { return MakeDirectBench(MakeSyntheticTrainer(MakeSyntheticTask(seed))); },
      [&context, &options, live](uint64_t done) {
        if (live)
          std::cerr << "\r\033[K" << done << " of " << options.seeds << " seeds" << std::flush;
        return !context.shutdown->requested();
      });
}

int SimulateSeeds(const Context& context, const SimulateOptions& options) {
  const absl::StatusOr<std::string> scratch = MakeScratchFolder(options.scratch);
  if (!scratch.ok()) return Fail(context, scratch.status());
  const absl::StatusOr<SeedSearchResult> result = Search(context, options, *scratch);
  RemoveTree(*scratch);
  if (!context.json && isatty(STDERR_FILENO) != 0) std::cerr << "\n";
  if (!result.ok()) return Fail(context, result.status());
  std::cout << (context.json ? SeedSearchJson(*result) : SeedSearchText(*result)) << std::flush;
  return result->finding.has_value() ? kJobFailed : kOk;
}

}  // namespace

int Simulate(const Context& context, const SimulateOptions& options) {
  ConfigureLogging({.level = LogLevel::kError});
  // Models come and go by the thousand: giving each back to the system costs more than using it.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // glibc's maximum
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  if (options.check) return SimulateSeeds(context, options);
  if (options.job_file.empty()) {
    return Fail(context, absl::InvalidArgumentError(
                             "which job? `fedwatt simulate job.toml`; only --check has one of its "
                             "own"));
  }
  auto bench = MakeBench(options, context.clock);
  if (!bench.ok()) return Fail(context, bench.status());
  auto made = MakeOptions(context, options);
  if (!made.ok()) return Fail(context, made.status());
  const std::string scratch = made->scratch_dir;
  Progress progress(context, options, made->job.rounds);
  auto simulation = Simulation::Create(*std::move(made), *std::move(bench));
  absl::StatusOr<SimulationResult> result = absl::UnknownError("not run");
  if (!simulation.ok()) {
    result = simulation.status();
  } else {
    result =
        (*simulation)->Run([&progress](const SimulationPoint& point) { return progress(point); });
    progress.End();
  }
  simulation = absl::CancelledError("over");
  RemoveTree(scratch);
  if (!result.ok()) return Fail(context, result.status());
  if (const absl::Status written = WriteOutputs(options, *result); !written.ok()) {
    return Fail(context, written);
  }
  std::cout << (context.json ? SimulationJson(*result) : SimulationSummary(*result)) << std::flush;
  return ExitCodeOfRun(options, *result);
}

void AddSimulateCommands(CLI::App& app, Action* action) {
  auto options = std::make_shared<SimulateOptions>();
  CLI::App* command = app.add_subcommand(
      "simulate", "Runs a job on a simulated fleet in virtual time (docs/simulation.md)");
  command->footer("Example: fedwatt simulate job.toml --clients 10000 --seed 7");
  command->add_option("job", options->job_file, "Job file (docs/job-file.md)");
  command->add_option("--set", options->set,
                      "KEY=VALUE: replaces a key of the job file; repeatable");
  command->add_option("--bundle", options->bundle, "Model bundle, instead of the job file's");
  command
      ->add_option("--parameters", options->parameters, "Of the synthetic model, without a bundle")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 30));
  command->add_option("--clients", options->clients, "Virtual devices")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}));
  command->add_option("--seed", options->seed, "The same one gives the same run")
      ->capture_default_str();
  command->add_option("--fleet", options->fleet,
                      "Fleet model (TOML, or CSV of its classes); default: a synthetic one");
  command->add_option("--trainer", options->trainer, "synthetic, or torch for real training")
      ->capture_default_str()
      ->check(CLI::IsMember({"synthetic", "torch"}));
  command->add_option("--workers", options->workers, "Trainer processes; the result is the same")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command->add_option("--torch-tool", options->torch_tool, "Path of fedwatt-torch");
  command->add_option(
      "--dataset", options->dataset,
      "name=format:path?option=value&...; {client}, {clients} and {seed} are replaced");
  command->add_option("--evaluation-dataset", options->evaluation_dataset, "Of the evaluator");
  command->add_option("--local-evaluation-dataset", options->local_evaluation_dataset,
                      "Of each device: what the last model is judged on (worst-decile accuracy)");
  command->add_option(
      "--carbon", options->carbon,
      "[REGION=]FILE: grams per kWh over the day as CSV (docs/energy.md); repeatable");
  command->add_option("--surplus", options->surplus,
                      "Surplus of renewable power by domain as CSV (docs/selection.md)");
  command->add_option("--scratch", options->scratch, "Where state folders go; default: memory");
  command->add_option("--trace", options->trace, "Writes the binary trace here");
  command->add_flag("--explain", options->explain, "Shows every event");
  command->add_option("--series", options->series, "Writes a row for each attempt here (CSV)");
  command->add_option("--html", options->html, "Writes the job's report here, as a page");
  command->add_option("--tensorboard", options->tensorboard,
                      "Writes an event file into this folder");
  command->add_option("--target", options->target,
                      "To reach: of the mean of the job's metric over --window evaluations");
  command->add_option("--window", options->window, "Evaluations")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--end-at-target", options->end_at_target, "Ends the run there");
  command->add_option("--measures", options->measures,
                      "Writes what the run came to here, as JSON (docs/comparison.md)");
  command->add_flag("--check", options->check,
                    "Looks for violations in many small runs with faults; prints the first seed");
  command->add_option("--seeds", options->seeds, "How many, from --seed on")->capture_default_str();
  command->require_subcommand(0, 1);
  command->callback([=] {
    if (!command->get_subcommands().empty()) return;
    *action = [=](const Context& context) { return Simulate(context, *options); };
  });
  AddCompareCommand(command, action);
}

}  // namespace fedwatt::cli
