#include "bench/train.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "bench/line_process.h"
#include "bench/scratch_dir.h"
#include "client/trainers/portable/portable_trainer.h"
#include "client/trainers/worker/worker_trainer.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle.h"
#include "common/energy/energy_meter.h"

namespace fedwatt::bench {
namespace {

constexpr int64_t kToolLimitMs = 120'000;
constexpr int64_t kPassLimitMs = 120'000;
constexpr int kRepetitions = 5;
constexpr uint32_t kDatasetExamples = 60'000;

// Without its output: remarks for people.
absl::Status RunTool(const std::vector<std::string>& argv) {
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return FileError(errno, "open", "/dev/null");
  SubprocessOptions options;
  options.fds = {{nowhere, 1}};
  options.argv = argv;
  absl::StatusOr<Subprocess> process = Subprocess::Spawn(options);
  close(nowhere);
  FW_RETURN_IF_ERROR(process.status());
  FW_ASSIGN_OR_RETURN(const ExitStatus status, process->Wait(kToolLimitMs));
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(argv[0], " ", argv[1], ": ", status.ToString()));
}

absl::Status WriteTensors(const std::string& bundle_path, const std::string& path) {
  FW_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(bundle_path));
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  FW_RETURN_IF_ERROR(file.Append(bundle->Tensors()));
  return file.Close();
}

struct Rates {
  double loop = 0;     // images a second while training
  double whole = 0;    // with loading the model and data, and writing the update
  double whole_s = 0;  // seconds
};

absl::StatusOr<Rates> TrainOnce(Trainer* trainer, const TrainRequest& request, const Clock& clock) {
  const std::atomic<bool> cancel = false;
  const int64_t begin_us = clock.MonotonicUs();
  FW_ASSIGN_OR_RETURN(const TrainResult result,
                      trainer->Run(request, cancel, [](const TrainProgress&) {}));
  const double whole_s = static_cast<double>(clock.MonotonicUs() - begin_us) * 1e-6;
  const auto train_s = result.metrics.seconds_by_phase.find("train");
  if (train_s == result.metrics.seconds_by_phase.end() || train_s->second <= 0) {
    return absl::InternalError("the trainer did not say how long it trained");
  }
  const double images = static_cast<double>(result.metrics.examples);
  return Rates{images / train_s->second, images / whole_s, whole_s};
}

absl::StatusOr<double> LoopOnce(LineProcess* loop, const Interrupt& interrupt) {
  FW_RETURN_IF_ERROR(loop->WriteLine("go"));
  FW_ASSIGN_OR_RETURN(const std::string line, loop->ReadLine(kPassLimitMs, interrupt));
  double rate = 0;
  if (!absl::SimpleAtod(line, &rate)) return absl::InternalError(absl::StrCat("loop: ", line));
  return rate;
}

// What metering costs an assignment of that length: windows for download, training, encoding and
// upload, and the polls in between. Measured by itself, for two trainings differ by more than that.
struct MeterCosts {
  std::string meter;
  double window_us = 0;
  double share = 0;  // of the assignment's time
};

constexpr int kWindowsOfAssignment = 4;
constexpr int kProbes = 500;

template <typename Work>
double MedianUs(const Clock& clock, const Work& work) {
  std::vector<double> times;
  for (int i = 0; i < kProbes; ++i) {
    const int64_t begin_us = clock.MonotonicUs();
    // One alone is below what the clock can tell.
    constexpr int kAtOnce = 10;
    for (int j = 0; j < kAtOnce; ++j) work();
    times.push_back(static_cast<double>(clock.MonotonicUs() - begin_us) / kAtOnce);
  }
  return Median(std::move(times));
}

absl::StatusOr<MeterCosts> MeasureMeter(const WorkerTrainer& trainer, double assignment_s,
                                        const Clock& clock) {
  EnergyMeterEnv env;
  env.clock = &clock;
  env.cpu_time_us = [&trainer] { return SelfCpuTimeUs() + trainer.ChildCpuTimeUs(); };
  env.machine_cpu_time_us = [] { return MachineCpuTimeUs().value_or(0); };
  FW_ASSIGN_OR_RETURN(const MeterChoice choice, ChooseEnergyMeter("auto", env));
  EnergyMeter& meter = *choice.meter;
  MeterCosts costs;
  costs.meter = meter.name();
  costs.window_us = MedianUs(clock, [&meter] { (void)meter.End(meter.Begin(Phase::kTrain), 0); });
  double polls = 0;
  double poll_us = 0;
  if (meter.PollPeriodUs() > 0) {
    polls = assignment_s * 1e6 / static_cast<double>(meter.PollPeriodUs());
    const EnergyMeter::Window window = meter.Begin(Phase::kTrain);
    poll_us = MedianUs(clock, [&meter] { meter.Poll(); });
    (void)meter.End(window, 0);
  }
  costs.share = (kWindowsOfAssignment * costs.window_us + polls * poll_us) / (assignment_s * 1e6);
  return costs;
}

void AddMeterFigures(const MeterCosts& costs, Table* table) {
  const std::string group =
      absl::StrCat("metering of that assignment, by \"", costs.meter, "\", the best meter here");
  table->Add({.group = group,
              .name = "one window, begin and end",
              .value = costs.window_us * 1e-3,
              .unit = "ms",
              .target = Target{Target::Kind::kValueAtMost, 1}});
  table->Add({.group = group,
              .name = "windows and polls, of the assignment's time",
              .value = costs.share * 100,
              .unit = "%",
              .target = Target{Target::Kind::kValueAtMost, 0.5}});
}

void AddFigures(const std::vector<double>& loop, const std::vector<double>& whole,
                const std::vector<double>& portable, double floor, Table* table) {
  constexpr char kGroup[] = "training: McMahan's CNN, Fashion-MNIST, batches of 32, one thread";
  table->Add({.group = kGroup,
              .name = "client, training",
              .value = Median(loop),
              .unit = "images/s",
              .floor = floor,
              .floor_name = "bare LibTorch loop",
              .target = Target{Target::Kind::kRatioAtLeast, 0.95}});
  table->Add({.group = kGroup,
              .name = "client, a whole assignment",
              .value = Median(whole),
              .unit = "images/s",
              .floor = floor,
              .floor_name = "bare LibTorch loop"});
  table->Add({.group = kGroup,
              .name = "client without LibTorch, training",
              .value = Median(portable),
              .unit = "images/s",
              .floor = floor,
              .floor_name = "bare LibTorch loop"});
}

}  // namespace

absl::Status RunTrain(const TrainOptions& options, const Clock& clock, const Interrupt& interrupt,
                      Table* table) {
  FW_ASSIGN_OR_RETURN(const ScratchDir dir, ScratchDir::Create(options.scratch));
  const std::string tool = absl::StrCat(options.bin_dir, "/fedwatt-torch");
  const std::string data =
      absl::StrCat("fashion-mnist=idx:", options.data_dir,
                   "?split=train&partition=iid&clients=", kDatasetExamples / options.examples,
                   "&client=0&seed=1");
  FW_RETURN_IF_ERROR(RunTool({tool, "new", "mcmahan-cnn", "-o", dir.File("model.fwb")}));
  FW_RETURN_IF_ERROR(RunTool(
      {tool, "export", dir.File("model.fwb"), "--module-only", "-o", dir.File("model.pt")}));
  FW_RETURN_IF_ERROR(WriteTensors(dir.File("model.fwb"), dir.File("tensors")));

  TrainRequest request;
  request.assignment_id = "bench/r1/a1/0";
  request.key = {.job = "bench", .round = 1, .attempt = 1};
  request.bundle_path = dir.File("model.fwb");
  request.model_path = dir.File("tensors");
  request.output_path = dir.File("delta");
  FW_ASSIGN_OR_RETURN(request.dataset, DatasetConfig::Parse(data));
  request.plan.local_evaluation = LocalEvaluation::kNone;
  request.seed_key = "bench";
  request.time_left_ms = kPassLimitMs;
  WorkerTrainer trainer({.program = tool, .device = "cpu"}, &clock);
  FW_ASSIGN_OR_RETURN(LineProcess bare,
                      LineProcess::Start({absl::StrCat(options.bin_dir, "/bench_torch_loop"),
                                          "--module", dir.File("model.pt"), "--dataset", data,
                                          "--batch-size", absl::StrCat(request.plan.batch_size),
                                          "--lr", absl::StrCat(request.plan.optimizer.lr)}));

  // In turns, so that a machine that slows down slows both.
  const std::unique_ptr<Trainer> without_torch =
      MakePortableTrainer({.open_dataset = OpenDataset, .clock = &clock});
  std::vector<double> loop, whole, portable, floor, seconds;
  for (int i = 0; i <= kRepetitions; ++i) {
    FW_RETURN_IF_ERROR(interrupt.Check());
    FW_ASSIGN_OR_RETURN(const double bare_rate, LoopOnce(&bare, interrupt));
    FW_ASSIGN_OR_RETURN(const Rates rates, TrainOnce(&trainer, request, clock));
    FW_ASSIGN_OR_RETURN(const Rates portable_rates, TrainOnce(without_torch.get(), request, clock));
    if (i == 0) continue;  // all load LibTorch and the data
    floor.push_back(bare_rate);
    loop.push_back(rates.loop);
    whole.push_back(rates.whole);
    portable.push_back(portable_rates.loop);
    seconds.push_back(rates.whole_s);
  }
  AddFigures(loop, whole, portable, Median(floor), table);
  FW_ASSIGN_OR_RETURN(const MeterCosts metering, MeasureMeter(trainer, Median(seconds), clock));
  AddMeterFigures(metering, table);
  return absl::OkStatus();
}

}  // namespace fedwatt::bench
