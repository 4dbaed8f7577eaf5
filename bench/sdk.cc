#include "bench/sdk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bench/coordinator_process.h"
#include "bench/line_process.h"
#include "bench/scratch_dir.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/base/subprocess.h"

namespace fedwatt::bench {
namespace {

constexpr char kGroup[] = "the client library in an app (C interface, mutual TLS, loopback)";
constexpr double kMebibyte = 1 << 20;
constexpr int kStarts = 15;
constexpr int kVirtualClients = 500;
constexpr int64_t kIdleMs = 70'000;
constexpr int64_t kStartLimitMs = 20'000;
constexpr int64_t kGatherLimitMs = 120'000;
constexpr uint64_t kMaxProcFile = 1 << 20;
// Long enough that the client closes its connection.
constexpr char kToldToWait[] = "600";

// Its output is of no interest.
absl::Status RunTool(const std::vector<std::string>& argv) {
  SubprocessOptions options;
  options.argv = argv;
  const int silent = open("/dev/null", O_WRONLY | O_CLOEXEC);
  options.fds = {{silent, 1}};
  absl::StatusOr<Subprocess> started = Subprocess::Spawn(options);
  close(silent);
  FW_RETURN_IF_ERROR(started.status());
  Subprocess process = *std::move(started);
  FW_ASSIGN_OR_RETURN(const ExitStatus exit, process.Wait(kGatherLimitMs));
  if (exit.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(argv[0], " ", argv[1], ": ", exit.ToString()));
}

// The number behind `key` in lines "key: number ...", added up over them.
absl::StatusOr<int64_t> SumOf(const std::string& path, const std::string& key) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxProcFile));
  int64_t sum = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!absl::StartsWith(line, key)) continue;
    std::istringstream rest(line.substr(key.size() + 1));
    int64_t value = 0;
    if (rest >> value) sum += value;
  }
  return sum;
}

// What only this process maps: its own part of every library, its heaps and stacks.
absl::StatusOr<double> PrivateMib(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/smaps_rollup");
  FW_ASSIGN_OR_RETURN(const int64_t clean_kib, SumOf(path, "Private_Clean:"));
  FW_ASSIGN_OR_RETURN(const int64_t dirty_kib, SumOf(path, "Private_Dirty:"));
  return static_cast<double>(clean_kib + dirty_kib) / 1024;
}

// Times that any of its threads stopped waiting.
absl::StatusOr<int64_t> WakeUps(pid_t pid) {
  const std::string tasks = absl::StrCat("/proc/", pid, "/task");
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> threads, ListDir(tasks));
  int64_t sum = 0;
  for (const std::string& thread : threads) {
    FW_ASSIGN_OR_RETURN(const int64_t switches, SumOf(absl::StrCat(tasks, "/", thread, "/status"),
                                                      "voluntary_ctxt_switches:"));
    sum += switches;
  }
  return sum;
}

absl::Status WaitForClients(CoordinatorProcess* coordinator, uint64_t clients, int64_t poll_ms,
                            int64_t limit_ms, const Clock& clock, const Interrupt& interrupt) {
  const int64_t until_us = clock.MonotonicUs() + limit_ms * 1000;
  uint64_t waiting = 0;
  while (clock.MonotonicUs() < until_us) {
    FW_ASSIGN_OR_RETURN(waiting, coordinator->WaitingClients());
    if (waiting >= clients) return absl::OkStatus();
    FW_RETURN_IF_ERROR(interrupt.Wait(poll_ms));
  }
  return absl::DeadlineExceededError(
      absl::StrCat("only ", waiting, " of ", clients, " clients checked in"));
}

// One run of the section.
class SdkRun {
 public:
  SdkRun(const SdkOptions& options, const Clock& clock, Interrupt* interrupt, ScratchDir dir,
         Table* table)
      : options_(options),
        clock_(clock),
        interrupt_(interrupt),
        dir_(std::move(dir)),
        table_(table) {}

  absl::Status Run() {
    FW_RETURN_IF_ERROR(MakeCertificates());
    FW_RETURN_IF_ERROR(MeasureSize());
    FW_RETURN_IF_ERROR(MeasureStarts());
    FW_RETURN_IF_ERROR(MeasureIdling());
    return MeasureVirtualClients();
  }

 private:
  std::string Program(const std::string& name) const {
    return absl::StrCat(options_.bin_dir, "/", name);
  }
  std::string certs() const { return dir_.File("certs"); }

  void Add(const std::string& name, double value, const std::string& unit, double at_most) {
    table_->Add({.group = kGroup,
                 .name = name,
                 .value = value,
                 .unit = unit,
                 .target = Target{Target::Kind::kValueAtMost, at_most}});
  }

  absl::Status MakeCertificates() {
    FW_RETURN_IF_ERROR(RunTool({Program("fedwatt"), "certs", "init", "--dir", certs()}));
    return RunTool({Program("fedwatt"), "certs", "issue", "--dir", certs(), "--id", "client",
                    "--count", absl::StrCat(kVirtualClients)});
  }

  absl::StatusOr<std::unique_ptr<CoordinatorProcess>> StartCoordinator(
      const std::string& name, std::vector<std::string> extra = {}) {
    return CoordinatorProcess::Start({.program = Program("fedwatt-coordinator"),
                                      .data_dir = dir_.File(name),
                                      .tls_dir = certs(),
                                      .log_path = dir_.File(name + ".log"),
                                      .extra = std::move(extra)},
                                     interrupt_);
  }

  absl::StatusOr<LineProcess> StartApp(const std::string& address, const std::string& state,
                                       const std::string& long_poll_ms) {
    return LineProcess::Start(
        {Program("bench_sdk_app"), address, certs(), "client-0", dir_.File(state), long_poll_ms});
  }

  absl::Status MeasureSize() {
    if (options_.library.empty()) {
      table_->Note(
          "The library's size was not measured: it needs the preset sdk (./dev bench sdk).");
      return absl::OkStatus();
    }
    FW_ASSIGN_OR_RETURN(const double client, StrippedMib(options_.library));
    Add("libfedwatt_client.so, stripped, beside gRPC, Protobuf and OpenSSL", client, "MiB", 1.5);
    FW_ASSIGN_OR_RETURN(
        const double trainer,
        StrippedMib(absl::StrCat(DirName(options_.library), "/libfedwatt_trainer_portable.so")));
    table_->Add({.group = kGroup,
                 .name = "libfedwatt_trainer_portable.so, for who trains without LibTorch",
                 .value = trainer,
                 .unit = "MiB"});
    return absl::OkStatus();
  }

  absl::StatusOr<double> StrippedMib(const std::string& library) {
    const std::string stripped = dir_.File("stripped.so");
    FW_RETURN_IF_ERROR(RunTool({"strip", "--strip-unneeded", "-o", stripped, library}));
    FW_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(stripped));
    return static_cast<double>(bytes) / kMebibyte;
  }

  absl::Status MeasureStarts() {
    std::fprintf(stderr, "== starts of a client\n");
    FW_ASSIGN_OR_RETURN(const auto coordinator, StartCoordinator("starts"));
    std::vector<double> ms;
    std::vector<double> cpu_ms;
    double idle_mib = 0;
    for (int i = 0; i < kStarts; ++i) {
      FW_ASSIGN_OR_RETURN(LineProcess app,
                          StartApp(coordinator->address(), absl::StrCat("app", i), "20000"));
      FW_ASSIGN_OR_RETURN(const std::string line, app.ReadLine(kStartLimitMs, *interrupt_));
      if (line != "start") return absl::InternalError(absl::StrCat("bench_sdk_app said ", line));
      FW_ASSIGN_OR_RETURN(const int64_t cpu_before_us, ProcessCpuTimeUs(app.process().pid()));
      const int64_t begin_us = clock_.MonotonicUs();
      FW_RETURN_IF_ERROR(
          WaitForClients(coordinator.get(), 1, 0, kStartLimitMs, clock_, *interrupt_));
      ms.push_back(static_cast<double>(clock_.MonotonicUs() - begin_us) * 1e-3);
      FW_ASSIGN_OR_RETURN(const int64_t cpu_us, ProcessCpuTimeUs(app.process().pid()));
      cpu_ms.push_back(static_cast<double>(cpu_us - cpu_before_us) * 1e-3);
      if (i == 0) {
        FW_ASSIGN_OR_RETURN(idle_mib, PrivateMib(app.process().pid()));
      }
      FW_RETURN_IF_ERROR(Leave(std::move(app), coordinator.get()));
    }
    Add("open to first check-in, median of 15 processes", Median(ms), "ms", 50);
    Add("open to first check-in, the fastest", *std::min_element(ms.begin(), ms.end()), "ms", 50);
    table_->Add({.group = kGroup,
                 .name = "processor time of the app for that, median",
                 .value = Median(cpu_ms),
                 .unit = "ms"});
    Add("private memory of the app with an idle session", idle_mib, "MiB", 10);
    return absl::OkStatus();
  }

  // Ends the app, until the coordinator has noticed.
  absl::Status Leave(LineProcess app, CoordinatorProcess* coordinator) {
    { const LineProcess ended = std::move(app); }
    const int64_t until_us = clock_.MonotonicUs() + kStartLimitMs * 1000;
    while (clock_.MonotonicUs() < until_us) {
      FW_ASSIGN_OR_RETURN(const uint64_t waiting, coordinator->WaitingClients());
      if (waiting == 0) return absl::OkStatus();
      FW_RETURN_IF_ERROR(interrupt_->Wait(5));
    }
    return absl::DeadlineExceededError("the coordinator still counts a client that has ended");
  }

  absl::Status MeasureIdling() {
    std::fprintf(stderr, "== a client that was told to wait\n");
    FW_ASSIGN_OR_RETURN(const auto coordinator,
                        StartCoordinator("idling", {"--retry-after-s", kToldToWait}));
    FW_ASSIGN_OR_RETURN(LineProcess app, StartApp(coordinator->address(), "idle", "500"));
    std::string line;
    while (!absl::StartsWith(line, "waiting")) {
      FW_ASSIGN_OR_RETURN(line, app.ReadLine(kStartLimitMs, *interrupt_));
    }
    // The connection is closed on another thread, soon.
    FW_RETURN_IF_ERROR(interrupt_->Wait(2000));
    const pid_t pid = app.process().pid();
    FW_ASSIGN_OR_RETURN(const int64_t before, WakeUps(pid));
    FW_RETURN_IF_ERROR(interrupt_->Wait(kIdleMs));
    FW_ASSIGN_OR_RETURN(const int64_t after, WakeUps(pid));
    FW_ASSIGN_OR_RETURN(const double mib, PrivateMib(pid));
    Add("wake-ups a minute while told to wait",
        static_cast<double>(after - before) * 60'000 / kIdleMs, "", 1);
    Add("private memory of the app then, connection closed", mib, "MiB", 10);
    return absl::OkStatus();
  }

  absl::Status MeasureVirtualClients() {
    std::fprintf(stderr, "== %d virtual clients\n", kVirtualClients);
    FW_ASSIGN_OR_RETURN(const auto coordinator, StartCoordinator("virtual"));
    SubprocessOptions fleet;
    fleet.argv = {Program("fedwatt-client"),
                  "--server",
                  coordinator->address(),
                  "--tls-dir",
                  certs(),
                  "--as",
                  "client",
                  "--virtual",
                  absl::StrCat(kVirtualClients),
                  "--state-dir",
                  dir_.File("fleet"),
                  "--trusted-key",
                  certs() + "/owner.pub",
                  "--trainer",
                  "echo",
                  "--dataset",
                  "bench",
                  "--no-sync",
                  "--log-level",
                  "error"};
    FW_ASSIGN_OR_RETURN(Subprocess process, Subprocess::Spawn(fleet));
    FW_RETURN_IF_ERROR(WaitForClients(coordinator.get(), kVirtualClients, 20, kGatherLimitMs,
                                      clock_, *interrupt_));
    FW_ASSIGN_OR_RETURN(const double mib, PrivateMib(process.pid()));
    Add(absl::StrCat(kVirtualClients, " virtual clients in one process, private memory"), mib,
        "MiB", 1024);
    return absl::OkStatus();
  }

  const SdkOptions& options_;
  const Clock& clock_;
  Interrupt* const interrupt_;
  const ScratchDir dir_;
  Table* const table_;
};

}  // namespace

absl::Status RunSdk(const SdkOptions& options, const Clock& clock, Interrupt* interrupt,
                    Table* table) {
  FW_ASSIGN_OR_RETURN(ScratchDir dir, ScratchDir::Create(options.scratch));
  return SdkRun(options, clock, interrupt, std::move(dir), table).Run();
}

}  // namespace fedwatt::bench
