#include "bench/simulate.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "bench/bare_floor.h"
#include "bench/line_process.h"
#include "bench/scratch_dir.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"
#include "nlohmann/json.hpp"

namespace fedwatt::bench {
namespace {

constexpr int64_t kRunLimitMs = 900'000;
constexpr int64_t kLookMs = 50;
constexpr uint64_t kMaxOutputBytes = 16 << 20;
constexpr int kRepetitions = 2;
constexpr int kClients = 8;
constexpr int kShortRounds = 1;
constexpr int kLongRounds = 3;
constexpr int kExamples = 1200;  // of each client; 50 clients share the data set
constexpr int kDataClients = 60'000 / kExamples;

constexpr char kCrowdJob[] = R"(name = "crowd"
rounds = 1000
[dataset]
name = "none"
[round]
goal = 100
selection_timeout_s = 600
report_deadline_s = 600
)";

std::string TrainingJob(int rounds) {
  return absl::StrCat("name = \"train\"\nrounds = ", rounds,
                      "\n[dataset]\nname = \"fashion-mnist\"\n[round]\ngoal = ", kClients,
                      "\nselection_timeout_s = 600\nreport_deadline_s = 36000\n"
                      "[plan]\nlocal_evaluation = \"none\"\n");
}

struct Run {
  double seconds = 0;
  double peak_mib = 0;
  std::string trace;
  double assignments = 0;
};

// Runs a command with its output in a file, and looks at its memory now and then.
absl::StatusOr<Run> RunCommand(const std::vector<std::string>& argv, const std::string& output,
                               const Clock& clock, const Interrupt& interrupt) {
  const int out = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0) return FileError(errno, "create", output);
  SubprocessOptions options;
  options.fds = {{out, 1}};
  options.argv = argv;
  const int64_t begin_us = clock.MonotonicUs();
  absl::StatusOr<Subprocess> process = Subprocess::Spawn(options);
  close(out);
  FW_RETURN_IF_ERROR(process.status());
  Run run;
  while (true) {
    FW_RETURN_IF_ERROR(interrupt.Check());
    const absl::StatusOr<ExitStatus> ended = process->Wait(kLookMs);
    run.seconds = static_cast<double>(clock.MonotonicUs() - begin_us) * 1e-6;
    if (ended.ok()) {
      if (ended->ok()) return run;
      return absl::InternalError(absl::StrCat(argv[0], " ", argv[1], ": ", ended->ToString()));
    }
    if (!absl::IsDeadlineExceeded(ended.status()) || run.seconds * 1000 > kRunLimitMs) {
      return ended.status();
    }
    // Its last moments are not seen, and free no memory that counts.
    run.peak_mib = std::max(run.peak_mib, PeakMib(process->pid()).value_or(0));
  }
}

absl::StatusOr<Run> RunSimulation(const SimulateOptions& options, const ScratchDir& dir,
                                  const std::string& job, std::vector<std::string> flags,
                                  const Clock& clock, const Interrupt& interrupt) {
  FW_RETURN_IF_ERROR(WriteFileAtomic(dir.File("job.toml"), job));
  std::vector<std::string> argv = {absl::StrCat(options.bin_dir, "/fedwatt"),
                                   "--json",
                                   "simulate",
                                   dir.File("job.toml"),
                                   "--seed",
                                   "7"};
  argv.insert(argv.end(), flags.begin(), flags.end());
  const std::string output = dir.File("simulation.json");
  FW_ASSIGN_OR_RETURN(Run run, RunCommand(argv, output, clock, interrupt));
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(output, kMaxOutputBytes));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.contains("trace_sha256")) {
    return absl::InternalError(
        absl::StrCat("fedwatt simulate --json wrote: ", text.substr(0, 200)));
  }
  run.trace = json["trace_sha256"].get<std::string>();
  run.assignments = json["assignments"].get<double>();
  return run;
}

void AddCrowd(const Run& run, Table* table) {
  constexpr char kGroup[] =
      "simulation: 10,000 virtual clients, 1,000 rounds of 100 reports, 10,000 parameters";
  table->Add({.group = kGroup,
              .name = "one thread",
              .value = run.seconds,
              .unit = "s",
              .target = Target{Target::Kind::kValueAtMost, 60}});
  table->Add({.group = kGroup,
              .name = "peak memory",
              .value = run.peak_mib,
              .unit = "MiB",
              .target = Target{Target::Kind::kValueAtMost, 1024}});
  table->Note(absl::StrCat("simulation of 10,000: trace ", run.trace));
}

class Training {
 public:
  Training(const SimulateOptions& options, const ScratchDir& dir, const Clock& clock,
           const Interrupt& interrupt)
      : options_(options), dir_(dir), clock_(clock), interrupt_(interrupt) {}

  absl::Status Measure(Table* table) {
    const std::string tool = absl::StrCat(options_.bin_dir, "/fedwatt-torch");
    for (const std::vector<std::string>& argv :
         {std::vector<std::string>{tool, "new", "mcmahan-cnn", "-o", dir_.File("model.fwb")},
          std::vector<std::string>{tool, "export", dir_.File("model.fwb"), "--module-only", "-o",
                                   dir_.File("model.pt")}}) {
      FW_RETURN_IF_ERROR(RunCommand(argv, dir_.File("tool.out"), clock_, interrupt_).status());
    }
    FW_ASSIGN_OR_RETURN(LineProcess bare,
                        LineProcess::Start({absl::StrCat(options_.bin_dir, "/bench_torch_loop"),
                                            "--module", dir_.File("model.pt"), "--dataset",
                                            Data("0"), "--batch-size", "32", "--lr", "0.05"}));
    std::vector<double> whole, steady, floor;
    std::string trace;
    for (int i = 0; i < kRepetitions; ++i) {
      FW_ASSIGN_OR_RETURN(const double before, Loop(&bare, i == 0));
      FW_ASSIGN_OR_RETURN(const Run few, Simulate(kShortRounds, 1));
      FW_ASSIGN_OR_RETURN(const double between, Loop(&bare, false));
      FW_ASSIGN_OR_RETURN(const Run many, Simulate(kLongRounds, 1));
      FW_ASSIGN_OR_RETURN(const double after, Loop(&bare, false));
      floor.push_back((before + between + after) / 3);
      whole.push_back(many.assignments * kExamples / many.seconds);
      steady.push_back((many.assignments - few.assignments) * kExamples /
                       (many.seconds - few.seconds));
      trace = few.trace;
    }
    FW_ASSIGN_OR_RETURN(const Run two, Simulate(kShortRounds, 2));
    Report({Median(whole), Median(steady), Median(floor)}, two.trace == trace, table);
    return absl::OkStatus();
  }

 private:
  std::string Data(const std::string& client) const {
    return absl::StrCat("fashion-mnist=idx:", options_.data_dir,
                        "?split=train&partition=iid&clients=", kDataClients, "&client=", client,
                        "&seed=1");
  }

  absl::StatusOr<Run> Simulate(int rounds, int workers) {
    return RunSimulation(
        options_, dir_, TrainingJob(rounds),
        {"--clients", absl::StrCat(kClients), "--trainer", "torch", "--workers",
         absl::StrCat(workers), "--torch-tool", absl::StrCat(options_.bin_dir, "/fedwatt-torch"),
         "--bundle", dir_.File("model.fwb"), "--dataset", Data("{client}")},
        clock_, interrupt_);
  }

  // Images a second. The first pass loads LibTorch and the data.
  absl::StatusOr<double> Loop(LineProcess* bare, bool twice) {
    double rate = 0;
    for (int i = 0; i < (twice ? 2 : 1); ++i) {
      FW_RETURN_IF_ERROR(bare->WriteLine("go"));
      FW_ASSIGN_OR_RETURN(const std::string line, bare->ReadLine(kRunLimitMs, interrupt_));
      if (!absl::SimpleAtod(line, &rate)) return absl::InternalError(absl::StrCat("loop: ", line));
    }
    return rate;
  }

  // Images a second.
  struct Rates {
    double whole;   // with the start and the end of the run
    double steady;  // of the rounds that a longer run has more
    double floor;
  };

  static void Report(const Rates& rates, bool same, Table* table) {
    constexpr char kGroup[] =
        "simulation with real training: McMahan's CNN, Fashion-MNIST, one worker of one thread";
    table->Add({.group = kGroup,
                .name = "3 rounds less 1 round: while it runs",
                .value = rates.steady,
                .unit = "images/s",
                .floor = rates.floor,
                .floor_name = "bare LibTorch loop",
                .target = Target{Target::Kind::kRatioAtLeast, 0.95}});
    table->Add({.group = kGroup,
                .name = "3 rounds with start and end",
                .value = rates.whole,
                .unit = "images/s",
                .floor = rates.floor,
                .floor_name = "bare LibTorch loop"});
    table->Add({.group = kGroup,
                .name = "the same trace with two workers (1: yes)",
                .value = same ? 1.0 : 0.0,
                .unit = "",
                .target = Target{Target::Kind::kValueAtLeast, 1}});
  }

  const SimulateOptions& options_;
  const ScratchDir& dir_;
  const Clock& clock_;
  const Interrupt& interrupt_;
};

}  // namespace

absl::Status RunSimulate(const SimulateOptions& options, const Clock& clock,
                         const Interrupt& interrupt, Table* table) {
  FW_ASSIGN_OR_RETURN(const ScratchDir dir, ScratchDir::Create(options.scratch));
  FW_ASSIGN_OR_RETURN(const Run crowd, RunSimulation(options, dir, kCrowdJob,
                                                     {"--clients", "10000"}, clock, interrupt));
  AddCrowd(crowd, table);
  return Training(options, dir, clock, interrupt).Measure(table);
}

}  // namespace fedwatt::bench
