#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/bytes.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/port_probe.h"
#include "common/base/version.h"
#include "common/crypto/revocation_list.h"
#include "common/crypto/x509.h"
#include "common/energy/energy_meter.h"
#include "common/transport/endpoint.h"
#include "nlohmann/json.hpp"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"

namespace fedwatt::cli {
namespace {

constexpr int64_t kExpiresSoonMs = 14 * kMsPerDay;
constexpr int64_t kClockWarnMs = 5'000;
constexpr int64_t kClockFailMs = 300'000;
constexpr uint64_t kLowDiskBytes = uint64_t{2} << 30;
constexpr uint64_t kMaxPemBytes = 64 << 10;

enum class Verdict { kOk, kWarning, kFailure };

struct Finding {
  std::string check;
  Verdict verdict;
  std::string detail;
  std::string remedy;  // empty when there is nothing to do
};

using Findings = std::vector<Finding>;

const char* VerdictWord(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kFailure:
      return "failure";
  }
  return "?";
}

Finding CheckOneCertificate(const std::string& dir, const std::string& name, const std::string& ca,
                            const absl::StatusOr<RevocationList>& revoked, int64_t now_ms) {
  const std::string check = "certificate " + name;
  const auto pem = ReadFile(dir + "/" + name + ".pem", kMaxPemBytes);
  const std::string renew =
      absl::StrCat("`fedwatt certs issue --dir ", dir, " --role ROLE --id ", name, " --replace`");
  if (!pem.ok()) return {check, Verdict::kFailure, std::string(pem.status().message()), renew};
  absl::Status status = CheckCertificate(*pem, ca, now_ms);
  const auto info = ParseCertificate(*pem);
  const auto key = ReadFile(dir + "/" + name + ".key", kMaxPemBytes);
  if (status.ok() && key.ok()) status = CheckKeyMatches(*pem, *key);
  if (!status.ok() || !info.ok()) {
    const absl::Status& bad = status.ok() ? info.status() : status;
    return {check, Verdict::kFailure, std::string(bad.message()), renew};
  }
  const std::string until = absl::StrCat("valid until ", UtcTime(info->not_after_ms));
  if (info->not_after_ms - now_ms < kExpiresSoonMs) {
    return {check, Verdict::kWarning, until, renew};
  }
  if (revoked.ok() && revoked->Contains(*info)) {
    return {check, Verdict::kWarning, "revoked: a coordinator that reads this folder refuses it",
            absl::StrCat("issue another identity, or edit ", dir, "/revoked.txt")};
  }
  return {check, Verdict::kOk, until, ""};
}

void CheckCertificates(const Context& context, Findings* findings) {
  if (context.insecure) {
    findings->push_back({"certificates", Verdict::kWarning, "not used: --insecure",
                         "drop --insecure outside of a test on one machine"});
    return;
  }
  const auto ca = ReadFile(context.tls_dir + "/ca.pem", kMaxPemBytes);
  const auto names = ListDir(context.tls_dir);
  if (!ca.ok() || !names.ok()) {
    findings->push_back({"certificates", Verdict::kFailure, std::string(ca.status().message()),
                         absl::StrCat("`fedwatt certs init --dir ", context.tls_dir,
                                      "`, or name the right folder with --tls-dir")});
    return;
  }
  const int64_t now_ms = context.clock->NowMs();
  const auto revoked = RevocationList::Load(context.tls_dir + "/revoked.txt");
  size_t good = 0;
  for (const std::string& file : *names) {
    if (!absl::EndsWith(file, ".pem") || file == "ca.pem") continue;
    const std::string name = file.substr(0, file.size() - 4);
    Finding finding = CheckOneCertificate(context.tls_dir, name, *ca, revoked, now_ms);
    if (finding.verdict == Verdict::kOk) {
      ++good;  // a folder may hold a fleet's: only those with a finding are listed
    } else {
      findings->push_back(std::move(finding));
    }
  }
  findings->push_back({"certificates", Verdict::kOk,
                       absl::StrCat(good, " in ", context.tls_dir, " are valid"), ""});
}

void CheckServer(const Context& context, Findings* findings) {
  const auto client = context.Connect();
  if (!client.ok()) {
    findings->push_back({"coordinator", Verdict::kFailure, std::string(client.status().message()),
                         "mend the certificates first"});
    return;
  }
  const auto info = (*client)->GetServerInfo();
  if (!info.ok()) {
    findings->push_back(
        {"coordinator", Verdict::kFailure, std::string(info.status().message()),
         absl::StrCat("start it: `fedwatt-coordinator --listen ", context.server, " --tls-dir ",
                      context.tls_dir, " --data-dir DIR`, or name another with --server")});
    return;
  }
  findings->push_back(
      {"coordinator", Verdict::kOk,
       absl::StrCat(context.server, " answers; ", info->jobs_running(), " jobs running, ",
                    info->waiting_clients(), " clients waiting, ",
                    HumanBytes(info->store_free_bytes()), " of disk free"),
       ""});
  const bool same = info->version() == kVersion;
  findings->push_back({"versions", same ? Verdict::kOk : Verdict::kWarning,
                       absl::StrCat("this program ", kVersion, ", coordinator ", info->version()),
                       same ? "" : "install the same version on both sides"});
  const int64_t off_ms = std::llabs(info->server_time_ms() - context.clock->NowMs());
  const Verdict clock = off_ms > kClockFailMs   ? Verdict::kFailure
                        : off_ms > kClockWarnMs ? Verdict::kWarning
                                                : Verdict::kOk;
  findings->push_back(
      {"clock", clock, absl::StrCat("differs from the coordinator's by ", HumanDuration(off_ms)),
       clock == Verdict::kOk ? "" : "synchronise both clocks (systemd-timesyncd, chrony)"});
}

void CheckPort(const Context& context, const std::string& listen, Findings* findings) {
  const auto endpoint = ParseEndpoint(listen);
  if (!endpoint.ok()) {
    findings->push_back({"port", Verdict::kFailure, std::string(endpoint.status().message()), ""});
    return;
  }
  const bool answers = std::any_of(findings->begin(), findings->end(), [](const Finding& finding) {
    return finding.check == "coordinator" && finding.verdict == Verdict::kOk;
  });
  if (answers && listen == context.server) {
    findings->push_back({"port " + listen, Verdict::kOk, "in use by the coordinator itself", ""});
    return;
  }
  const absl::Status free = ProbeListen(endpoint->host, endpoint->port);
  findings->push_back({"port " + listen, free.ok() ? Verdict::kOk : Verdict::kFailure,
                       free.ok() ? "free" : std::string(free.message()),
                       free.ok()
                           ? ""
                           : absl::StrCat("`ss -ltnp 'sport = :", endpoint->port,
                                          "'` names the holder; choose another with --listen")});
}

void CheckDisk(const std::string& dir, Findings* findings) {
  struct stat info {};
  const std::string check = "data folder " + dir;
  if (stat(dir.c_str(), &info) != 0) {
    findings->push_back({check, Verdict::kFailure, "does not exist",
                         "the coordinator makes it; give the folder that it was started with"});
    return;
  }
  const auto free = FreeDiskBytes(dir);
  if (!free.ok()) {
    findings->push_back({check, Verdict::kFailure, std::string(free.status().message()), ""});
    return;
  }
  const bool low = *free < kLowDiskBytes;
  findings->push_back({check, low ? Verdict::kWarning : Verdict::kOk, HumanBytes(*free) + " free",
                       low ? "make room: updates on their way are kept here" : ""});
  if ((info.st_mode & 077) != 0) {
    findings->push_back({check, Verdict::kWarning,
                         absl::StrFormat("others may read it (mode %03o)", info.st_mode & 0777),
                         absl::StrCat("`chmod 700 ", dir, "`: it holds the population key")});
  }
}

void CheckMeters(const Context& context, Findings* findings) {
  EnergyMeterEnv env;
  env.clock = context.clock;
  env.cpu_time_us = SelfCpuTimeUs;
  env.machine_cpu_time_us = [] { return MachineCpuTimeUs().value_or(0); };
  const auto choice = ChooseEnergyMeter("auto", env);
  if (!choice.ok()) {
    findings->push_back({"energy meter", Verdict::kWarning, std::string(choice.status().message()),
                         "clients here report energy as unavailable"});
    return;
  }
  const bool real = choice->meter->quality() != EnergyQuality::kEstimated;
  findings->push_back({"energy meter", real ? Verdict::kOk : Verdict::kWarning, choice->why,
                       real ? "" : "figures are estimates, and reported as such"});
  for (const std::string& reason : choice->rejected) {
    if (!absl::StrContains(reason, "Permission denied")) continue;  // the rest it does not have
    findings->push_back(
        {"energy meter", Verdict::kWarning, reason, "`fedwatt meter list` has all"});
  }
}

int Print(const Context& context, const Findings& findings) {
  bool failed = false;
  nlohmann::json out = nlohmann::json::array();
  for (const Finding& finding : findings) {
    failed = failed || finding.verdict == Verdict::kFailure;
    out.push_back({{"check", finding.check},
                   {"verdict", VerdictWord(finding.verdict)},
                   {"detail", finding.detail},
                   {"remedy", finding.remedy}});
    if (context.json) continue;
    std::cout << absl::StrFormat("%-8s %s: %s\n", VerdictWord(finding.verdict), finding.check,
                                 finding.detail);
    if (!finding.remedy.empty()) std::cout << "         -> " << finding.remedy << "\n";
  }
  if (context.json) std::cout << out.dump(2) << std::endl;
  return failed ? kJobFailed : kOk;
}

}  // namespace

int Doctor(const Context& context, const DoctorOptions& options) {
  Findings findings;
  CheckCertificates(context, &findings);
  CheckServer(context, &findings);
  if (!options.listen.empty()) CheckPort(context, options.listen, &findings);
  if (!options.data_dir.empty()) CheckDisk(options.data_dir, &findings);
  CheckMeters(context, &findings);
  return Print(context, findings);
}

}  // namespace fedwatt::cli
