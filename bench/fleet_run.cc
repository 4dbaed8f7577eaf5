#include "bench/fleet_run.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/bare_floor.h"
#include "bench/coordinator_process.h"
#include "bench/scratch_dir.h"
#include "bench/table.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"
#include "common/bundle/bundle.h"
#include "common/crypto/ed25519.h"

namespace fedwatt::bench {
namespace {

constexpr char kDataset[] = "bench";
constexpr int64_t kGatherLimitMs = 60'000;
constexpr double kReportLimitS = 250;

// A model of zeros, signed; its public key is written to `key_path`.
absl::Status WriteBundle(const std::string& path, const std::string& key_path,
                         uint64_t parameters) {
  FW_ASSIGN_OR_RETURN(const SigningKey key, SigningKey::Generate());
  FW_RETURN_IF_ERROR(key.public_key().Save(key_path));
  constexpr int64_t kTensors = 4;
  std::vector<TensorSpec> tensors;
  for (int64_t i = 0; i < kTensors; ++i) {
    tensors.push_back({.name = absl::StrCat("layer", i, ".weight"),
                       .shape = {static_cast<int64_t>(parameters) / kTensors}});
  }
  BundleHeader header;
  header.name = "echo";
  header.input_shape = {1};
  header.artifacts.push_back({.format = "echo", .version = "1"});
  FW_ASSIGN_OR_RETURN(header.manifest, Manifest::Create(std::move(tensors)));
  const std::vector<uint8_t> zeros(header.manifest.TotalBytes());
  return BundleWriter::Write(path, header, {AsBytes("echo")}, zeros, &key);
}

JobSpec MakeJob(const FleetCase& c) {
  JobSpec job;
  job.name = "bench";
  job.rounds = static_cast<uint32_t>(c.rounds + c.warm_up);
  job.dataset.name = kDataset;
  job.eligibility.trainer = "echo";
  job.round.goal = static_cast<uint32_t>(c.clients);
  job.round.report_deadline_s = kReportLimitS;
  job.plan.local_evaluation = LocalEvaluation::kNone;
  job.codec.up = c.codec_up;
  job.codec.down = c.codec_down;
  return job;
}

// Memory, if there is enough: hundreds of devices that share one disk would measure its file
// system.
std::string StateParent(const FleetPrograms& programs, const FleetCase& c) {
  constexpr char kMemory[] = "/dev/shm";
  constexpr uint64_t kCopies = 5;  // two models, delta, update, and room
  const absl::StatusOr<uint64_t> free = FreeDiskBytes(kMemory);
  const uint64_t needed = kCopies * c.parameters * sizeof(float) * static_cast<uint64_t>(c.clients);
  return free.ok() && *free > 2 * needed ? kMemory : programs.scratch;
}

absl::StatusOr<std::vector<Subprocess>> StartFleet(const FleetPrograms& programs,
                                                   const FleetCase& c, const std::string& address,
                                                   const ScratchDir& dir,
                                                   const std::string& state_dir) {
  std::vector<Subprocess> fleet;
  const int each = c.clients / kFleetProcesses;
  const uint64_t model_bytes = c.parameters * sizeof(float);
  for (int i = 0; i < kFleetProcesses; ++i) {
    SubprocessOptions child;
    child.argv = {absl::StrCat(programs.bin_dir, "/bench_echo_fleet"), "--server", address, "--dir",
                  state_dir, "--trusted-key", dir.File("owner.pub"), "--dataset", kDataset,
                  "--clients", absl::StrCat(each), "--first", absl::StrCat(i * each),
                  // The model of this round and the one before.
                  "--cache-bytes", absl::StrCat(2 * model_bytes + 1'000'000)};
    if (!c.tls_dir.empty()) child.argv.insert(child.argv.end(), {"--tls", c.tls_dir});
    FW_ASSIGN_OR_RETURN(Subprocess process, Subprocess::Spawn(child));
    fleet.push_back(std::move(process));
  }
  return fleet;
}

absl::Status WaitForClients(CoordinatorProcess* coordinator, int clients,
                            const Interrupt& interrupt) {
  constexpr int64_t kPollMs = 20;
  uint64_t waiting = 0;
  for (int64_t waited_ms = 0; waited_ms < kGatherLimitMs; waited_ms += kPollMs) {
    FW_ASSIGN_OR_RETURN(waiting, coordinator->WaitingClients());
    if (waiting >= static_cast<uint64_t>(clients)) return absl::OkStatus();
    FW_RETURN_IF_ERROR(interrupt.Wait(kPollMs));
  }
  return absl::DeadlineExceededError(
      absl::StrCat("only ", waiting, " of ", clients, " clients checked in"));
}

absl::StatusOr<double> FleetCpuSeconds(const std::vector<Subprocess>& fleet) {
  int64_t sum_us = 0;
  for (const Subprocess& process : fleet) {
    FW_ASSIGN_OR_RETURN(const int64_t cpu_us, ProcessCpuTimeUs(process.pid()));
    sum_us += cpu_us;
  }
  return static_cast<double>(sum_us) * 1e-6;
}

// Runs the job; the time from commit to commit is a round.
absl::StatusOr<FleetFigures> MeasureJob(const FleetCase& c, const ScratchDir& dir,
                                        CoordinatorProcess* coordinator,
                                        const std::vector<Subprocess>& fleet, const Clock& clock) {
  FW_ASSIGN_OR_RETURN(const std::string job,
                      coordinator->Submit(dir.File("model.fwb"), MakeJob(c)));
  FleetFigures measured;
  std::vector<double> seconds;
  int64_t before_us = 0;
  double server_cpu_start = 0, server_cpu_end = 0, fleet_cpu_start = 0, fleet_cpu_end = 0;
  int committed = 0;
  FW_RETURN_IF_ERROR(coordinator->Watch(job, [&](const RoundSummary& round) -> absl::Status {
    const int64_t now_us = clock.MonotonicUs();
    ++committed;
    if (committed > c.warm_up) {
      seconds.push_back(static_cast<double>(now_us - before_us) * 1e-6);
    }
    before_us = now_us;
    if (committed != c.warm_up && committed != c.warm_up + c.rounds) {
      return absl::OkStatus();
    }
    const bool first = committed == c.warm_up;
    FW_ASSIGN_OR_RETURN(const int64_t cpu_us, ProcessCpuTimeUs(coordinator->pid()));
    (first ? server_cpu_start : server_cpu_end) = static_cast<double>(cpu_us) * 1e-6;
    FW_ASSIGN_OR_RETURN(first ? fleet_cpu_start : fleet_cpu_end, FleetCpuSeconds(fleet));
    measured.bytes_down = round.bytes_down;
    measured.bytes_up = round.bytes_up;
    return absl::OkStatus();
  }));
  if (seconds.empty()) return absl::InternalError("the watch missed the rounds");
  measured.seconds = Median(seconds);
  measured.server_cpu_seconds = (server_cpu_end - server_cpu_start) / c.rounds;
  measured.client_cpu_seconds = (fleet_cpu_end - fleet_cpu_start) / c.rounds;
  FW_ASSIGN_OR_RETURN(measured.peak_mib, PeakMib(coordinator->pid()));
  return measured;
}

}  // namespace

absl::StatusOr<FleetFigures> RunFleet(const FleetPrograms& programs, const FleetCase& c,
                                      const Clock& clock, Interrupt* interrupt) {
  FW_ASSIGN_OR_RETURN(const ScratchDir dir, ScratchDir::Create(programs.scratch));
  FW_RETURN_IF_ERROR(WriteBundle(dir.File("model.fwb"), dir.File("owner.pub"), c.parameters));
  FW_ASSIGN_OR_RETURN(const ScratchDir clients, ScratchDir::Create(StateParent(programs, c)));
  FW_ASSIGN_OR_RETURN(
      const std::unique_ptr<CoordinatorProcess> coordinator,
      CoordinatorProcess::Start({.program = absl::StrCat(programs.bin_dir, "/fedwatt-coordinator"),
                                 .data_dir = dir.File("coordinator"),
                                 .tls_dir = c.tls_dir,
                                 .log_path = dir.File("coordinator.log")},
                                interrupt));
  FW_ASSIGN_OR_RETURN(const std::vector<Subprocess> fleet,
                      StartFleet(programs, c, coordinator->address(), dir, clients.path()));
  FW_RETURN_IF_ERROR(WaitForClients(coordinator.get(), c.clients, *interrupt));
  return MeasureJob(c, dir, coordinator.get(), fleet, clock);
}

}  // namespace fedwatt::bench
