#include "bench/rounds.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bench/bare_floor.h"
#include "bench/fleet_run.h"
#include "bench/scratch_dir.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/x509.h"
#include "common/transport/tls_credentials.h"

namespace fedwatt::bench {
namespace {

constexpr char kRawCodec[] = "raw_f32";
constexpr uint64_t kMostInlineBytes = 256 * 1024;

struct Case {
  std::string name;
  uint64_t parameters = 0;
  int clients = 10;
  bool tls = false;
  int rounds = 10;  // that count
  std::optional<Target> seconds;
  std::optional<double> peak_mib;
  const char* codec = kRawCodec;  // both ways
  std::optional<double> server_cpu_seconds;

  double float_bytes() const { return static_cast<double>(parameters * sizeof(float)); }
};

std::vector<Case> Cases() {
  using Kind = Target::Kind;
  return {
      {"1e6 parameters, 10 clients", 1'000'000, 10, false, 20, Target{Kind::kValueAtMost, 0.12}},
      {"1e7 parameters, 10 clients", 10'000'000, 10, false, 7, Target{Kind::kValueAtMost, 1.5},
       400},
      {"1e7 parameters, 10 clients, eden:bits=2", 10'000'000, 10, false, 7,
       Target{Kind::kValueAtMost, 1.1}, 400, "eden:bits=2", 0.6},
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

// What bare gRPC has to move: the floats, or of compressed rounds what they moved.
BareTraffic BareTrafficOf(const Case& c, const FleetFigures& measured, const std::string& tls_dir) {
  BareTraffic traffic;
  traffic.processes = kFleetProcesses;
  traffic.connections = c.clients / kFleetProcesses;
  traffic.down_bytes = traffic.up_bytes = c.parameters * sizeof(float);
  if (c.codec != std::string(kRawCodec)) {
    traffic.down_bytes = measured.bytes_down / static_cast<uint64_t>(c.clients);
    traffic.up_bytes = measured.bytes_up / static_cast<uint64_t>(c.clients);
  }
  traffic.unary = std::max(traffic.down_bytes, traffic.up_bytes) <= kMostInlineBytes;
  traffic.tls_dir = tls_dir;
  traffic.repetitions = std::min(c.rounds, 9);
  return traffic;
}

void AddFigures(const Case& c, const FleetFigures& measured, const BareFloor& floor,
                const char* bare, Table* table) {
  const double float_mb = 1e-6 * c.float_bytes() * c.clients;
  const std::string group = absl::StrCat("round without training: ", c.name);
  const auto at_most = [](std::optional<double> limit) {
    return limit.has_value() ? std::optional(Target{Target::Kind::kValueAtMost, *limit})
                             : std::nullopt;
  };
  const auto add = [&](const char* name, double value, const char* unit, double floor_value,
                       const char* floor_name, std::optional<Target> target) {
    table->Add({group, name, value, unit, floor_value, floor_name, target});
  };
  add("seconds a round", measured.seconds, "s", floor.seconds, bare, c.seconds);
  add("server CPU a round", measured.server_cpu_seconds, "CPU-s", floor.server_cpu_seconds, bare,
      at_most(c.server_cpu_seconds));
  add("server peak memory", measured.peak_mib, "MiB", floor.server_peak_mib, bare,
      at_most(c.peak_mib));
  add("bytes down a round", static_cast<double>(measured.bytes_down) * 1e-6, "MB", float_mb,
      "as float32", std::nullopt);
  add("bytes up a round", static_cast<double>(measured.bytes_up) * 1e-6, "MB", float_mb,
      "as float32", std::nullopt);
  table->Add({.group = group,
              .name = "clients' CPU a round, all together",
              .value = measured.client_cpu_seconds,
              .unit = "CPU-s"});
}

absl::Status RunCase(const RoundsOptions& options, const Case& c, const Clock& clock,
                     Interrupt* interrupt, Table* table) {
  std::fprintf(stderr, "== %s\n", c.name.c_str());
  FW_ASSIGN_OR_RETURN(const ScratchDir dir, ScratchDir::Create(options.scratch));
  FleetCase fleet;
  fleet.parameters = c.parameters;
  fleet.clients = c.clients;
  fleet.rounds = c.rounds;
  fleet.codec_up = fleet.codec_down = c.codec;
  if (c.tls) {
    fleet.tls_dir = dir.File("certs");
    FW_RETURN_IF_ERROR(WriteCertificates(fleet.tls_dir, c.clients, clock));
  }
  FW_ASSIGN_OR_RETURN(const FleetFigures measured,
                      RunFleet({options.bin_dir, options.scratch}, fleet, clock, interrupt));
  const BareTraffic traffic = BareTrafficOf(c, measured, fleet.tls_dir);
  FW_ASSIGN_OR_RETURN(const BareFloor floor,
                      MeasureBareFloor(absl::StrCat(options.bin_dir, "/bench_bare_grpc"), traffic,
                                       clock, *interrupt));
  AddFigures(c, measured, floor, traffic.unary ? "two bare RPCs" : "bare gRPC streams", table);
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
