#include "bench/rounds.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bench/bare_floor.h"
#include "bench/coordinator_process.h"
#include "bench/scratch_dir.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/base/subprocess.h"
#include "common/bundle/bundle.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/x509.h"
#include "common/transport/tls_credentials.h"

namespace fedwatt::bench {
namespace {

constexpr char kDataset[] = "bench";
constexpr int kProcesses = 10;
constexpr int kWarmUpRounds = 2;
constexpr int64_t kGatherLimitMs = 30'000;

struct Case {
  std::string name;
  uint64_t parameters = 0;
  int clients = 10;
  bool tls = false;
  int rounds = 10;  // that count
  std::optional<Target> seconds;
  std::optional<double> peak_mib;

  bool unary() const { return parameters * sizeof(float) <= 256 * 1024; }
};

std::vector<Case> Cases() {
  using Kind = Target::Kind;
  return {
      {"1e6 parameters, 10 clients", 1'000'000, 10, false, 20, Target{Kind::kValueAtMost, 0.12}},
      {"1e7 parameters, 10 clients", 10'000'000, 10, false, 7, Target{Kind::kValueAtMost, 1.5},
       400},
      {"1e4 parameters, 100 clients", 10'000, 100, false, 20},
      {"1e4 parameters, 500 clients", 10'000, 500, false, 15, Target{Kind::kRatioAtMost, 2.0}},
      {"1e6 parameters, 10 clients, mTLS", 1'000'000, 10, true, 10},
      {"1e7 parameters, 10 clients, mTLS", 10'000'000, 10, true, 4},
      {"1e4 parameters, 500 clients, mTLS", 10'000, 500, true, 10},
  };
}

absl::Status WriteCertificate(const CertifiedKey& authority, const CertificateRequest& request,
                              const std::string& name, int64_t now_ms, const std::string& dir) {
  FW_ASSIGN_OR_RETURN(const CertifiedKey issued, IssueCertificate(authority, request, now_ms));
  const TlsFiles files = TlsFiles::In(dir, name);
  FW_RETURN_IF_ERROR(WriteFileAtomic(files.certificate, issued.certificate_pem));
  return WriteFileAtomic(files.key, issued.key_pem, 0600);
}

// ca, coordinator, operator, client (for the floor) and client-N.
absl::Status WriteCertificates(const std::string& dir, int clients, const Clock& clock) {
  const int64_t now_ms = clock.NowMs();
  FW_RETURN_IF_ERROR(EnsureDir(dir, 0700));
  FW_ASSIGN_OR_RETURN(const CertifiedKey authority, CreateAuthority("fedwatt bench", now_ms, 2));
  FW_RETURN_IF_ERROR(WriteFileAtomic(absl::StrCat(dir, "/ca.pem"), authority.certificate_pem));
  FW_RETURN_IF_ERROR(WriteCertificate(authority,
                                      {.role = "coordinator",
                                       .id = "bench",
                                       .dns_names = {"localhost"},
                                       .ip_addresses = {"127.0.0.1"},
                                       .valid_days = 1},
                                      "coordinator", now_ms, dir));
  FW_RETURN_IF_ERROR(
      WriteCertificate(authority, {.role = "operator", .id = "bench"}, "operator", now_ms, dir));
  FW_RETURN_IF_ERROR(
      WriteCertificate(authority, {.role = "client", .id = "bare"}, "client", now_ms, dir));
  for (int i = 0; i < clients; ++i) {
    const std::string name = absl::StrCat("client-", i);
    FW_RETURN_IF_ERROR(
        WriteCertificate(authority, {.role = "client", .id = name}, name, now_ms, dir));
  }
  return absl::OkStatus();
}

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

JobSpec MakeJob(const Case& c) {
  JobSpec job;
  job.name = "bench";
  job.rounds = static_cast<uint32_t>(c.rounds + kWarmUpRounds);
  job.dataset.name = kDataset;
  job.eligibility.trainer = "echo";
  job.round.goal = static_cast<uint32_t>(c.clients);
  job.round.report_deadline_s = 60;
  job.plan.local_evaluation = LocalEvaluation::kNone;
  job.bounds.max_weight = 1000;
  job.bounds.max_abs_delta = 1;
  return job;
}

struct Measured {
  double seconds = 0;
  double server_cpu_seconds = 0;
  double client_cpu_seconds = 0;
  double peak_mib = 0;
  uint64_t bytes_down = 0;
  uint64_t bytes_up = 0;
};

// Memory, if there is enough: hundreds of devices that share one disk would measure its file
// system.
std::string StateParent(const RoundsOptions& options, const Case& c) {
  constexpr char kMemory[] = "/dev/shm";
  constexpr uint64_t kCopies = 5;  // two models, delta, update, and room
  const absl::StatusOr<uint64_t> free = FreeDiskBytes(kMemory);
  const uint64_t needed = kCopies * c.parameters * sizeof(float) * static_cast<uint64_t>(c.clients);
  return free.ok() && *free > 2 * needed ? kMemory : options.scratch;
}

absl::StatusOr<std::vector<Subprocess>> StartFleet(const RoundsOptions& options, const Case& c,
                                                   const std::string& address,
                                                   const ScratchDir& dir,
                                                   const std::string& state_dir,
                                                   const std::string& tls_dir) {
  std::vector<Subprocess> fleet;
  const int each = c.clients / kProcesses;
  const uint64_t model_bytes = c.parameters * sizeof(float);
  for (int i = 0; i < kProcesses; ++i) {
    SubprocessOptions child;
    child.argv = {absl::StrCat(options.bin_dir, "/bench_echo_fleet"), "--server", address, "--dir",
                  state_dir, "--trusted-key", dir.File("owner.pub"), "--dataset", kDataset,
                  "--clients", absl::StrCat(each), "--first", absl::StrCat(i * each),
                  // The model of this round and the one before.
                  "--cache-bytes", absl::StrCat(2 * model_bytes + 1'000'000)};
    if (!tls_dir.empty()) child.argv.insert(child.argv.end(), {"--tls", tls_dir});
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
absl::StatusOr<Measured> MeasureJob(const Case& c, const ScratchDir& dir,
                                    CoordinatorProcess* coordinator,
                                    const std::vector<Subprocess>& fleet, const Clock& clock) {
  FW_ASSIGN_OR_RETURN(const std::string job,
                      coordinator->Submit(dir.File("model.fwb"), MakeJob(c)));
  Measured measured;
  std::vector<double> seconds;
  int64_t before_us = 0;
  double server_cpu_start = 0, server_cpu_end = 0, fleet_cpu_start = 0, fleet_cpu_end = 0;
  int committed = 0;
  FW_RETURN_IF_ERROR(coordinator->Watch(job, [&](const RoundSummary& round) -> absl::Status {
    const int64_t now_us = clock.MonotonicUs();
    ++committed;
    if (committed > kWarmUpRounds) {
      seconds.push_back(static_cast<double>(now_us - before_us) * 1e-6);
    }
    before_us = now_us;
    if (committed != kWarmUpRounds && committed != kWarmUpRounds + c.rounds) {
      return absl::OkStatus();
    }
    const bool first = committed == kWarmUpRounds;
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

void AddFigures(const Case& c, const Measured& measured, const BareFloor& floor, Table* table) {
  const char* const bare = c.unary() ? "two bare RPCs" : "bare gRPC streams";
  const double payload_mb = static_cast<double>(c.parameters * sizeof(float)) * c.clients * 1e-6;
  const std::string group = absl::StrCat("round without training: ", c.name);
  const auto add = [&](const char* name, double value, const char* unit, double floor_value,
                       const char* floor_name, std::optional<Target> target) {
    table->Add({group, name, value, unit, floor_value, floor_name, target});
  };
  add("seconds a round", measured.seconds, "s", floor.seconds, bare, c.seconds);
  add("server CPU a round", measured.server_cpu_seconds, "CPU-s", floor.server_cpu_seconds, bare,
      std::nullopt);
  std::optional<Target> peak;
  if (c.peak_mib.has_value()) peak = Target{Target::Kind::kValueAtMost, *c.peak_mib};
  add("server peak memory", measured.peak_mib, "MiB", floor.server_peak_mib, bare, peak);
  add("bytes down a round", static_cast<double>(measured.bytes_down) * 1e-6, "MB", payload_mb,
      "payload", std::nullopt);
  add("bytes up a round", static_cast<double>(measured.bytes_up) * 1e-6, "MB", payload_mb,
      "payload", std::nullopt);
  table->Add({.group = group,
              .name = "clients' CPU a round, all together",
              .value = measured.client_cpu_seconds,
              .unit = "CPU-s"});
}

absl::StatusOr<Measured> RunFleet(const RoundsOptions& options, const Case& c,
                                  const ScratchDir& dir, const std::string& tls_dir,
                                  const Clock& clock, Interrupt* interrupt) {
  FW_RETURN_IF_ERROR(WriteBundle(dir.File("model.fwb"), dir.File("owner.pub"), c.parameters));
  FW_ASSIGN_OR_RETURN(const ScratchDir clients, ScratchDir::Create(StateParent(options, c)));
  FW_ASSIGN_OR_RETURN(
      const std::unique_ptr<CoordinatorProcess> coordinator,
      CoordinatorProcess::Start({.program = absl::StrCat(options.bin_dir, "/fedwatt-coordinator"),
                                 .data_dir = dir.File("coordinator"),
                                 .tls_dir = tls_dir,
                                 .log_path = dir.File("coordinator.log")},
                                interrupt));
  FW_ASSIGN_OR_RETURN(const std::vector<Subprocess> fleet,
                      StartFleet(options, c, coordinator->address(), dir, clients.path(), tls_dir));
  FW_RETURN_IF_ERROR(WaitForClients(coordinator.get(), c.clients, *interrupt));
  return MeasureJob(c, dir, coordinator.get(), fleet, clock);
}

absl::Status RunCase(const RoundsOptions& options, const Case& c, const Clock& clock,
                     Interrupt* interrupt, Table* table) {
  std::fprintf(stderr, "== %s\n", c.name.c_str());
  FW_ASSIGN_OR_RETURN(const ScratchDir dir, ScratchDir::Create(options.scratch));
  std::string tls_dir;
  if (c.tls) {
    tls_dir = dir.File("certs");
    FW_RETURN_IF_ERROR(WriteCertificates(tls_dir, c.clients, clock));
  }
  BareTraffic traffic;
  traffic.processes = kProcesses;
  traffic.connections = c.clients / kProcesses;
  traffic.down_bytes = traffic.up_bytes = c.parameters * sizeof(float);
  traffic.unary = c.unary();
  traffic.tls_dir = tls_dir;
  traffic.repetitions = std::min(c.rounds, 9);
  FW_ASSIGN_OR_RETURN(const BareFloor floor,
                      MeasureBareFloor(absl::StrCat(options.bin_dir, "/bench_bare_grpc"), traffic,
                                       clock, *interrupt));
  FW_ASSIGN_OR_RETURN(const Measured measured,
                      RunFleet(options, c, dir, tls_dir, clock, interrupt));
  AddFigures(c, measured, floor, table);
  return absl::OkStatus();
}

}  // namespace

absl::Status RunRounds(const RoundsOptions& options, const Clock& clock, Interrupt* interrupt,
                       Table* table) {
  for (const Case& c : Cases()) {
    if (!absl::StrContains(c.name, options.only)) continue;
    FW_RETURN_IF_ERROR(Annotate(RunCase(options, c, clock, interrupt, table), c.name));
  }
  table->Note(
      "Rounds: one coordinator with its store on disk; echo clients in ten processes on the same "
      "processors,\ntheir state folders in memory and not synced (devices do not share a disk). "
      "Medians.");
  return absl::OkStatus();
}

}  // namespace fedwatt::bench
