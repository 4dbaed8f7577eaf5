#include "bench/bare_floor.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/line_process.h"
#include "bench/table.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt::bench {
namespace {

constexpr int64_t kStartLimitMs = 20'000;
constexpr int64_t kPassLimitMs = 60'000;
// The first pass opens the connections, the second fills allocators and windows.
constexpr int kWarmUps = 2;

absl::StatusOr<double> OnePass(std::vector<LineProcess>& drivers, const Clock& clock,
                               const Interrupt& interrupt) {
  const int64_t begin_us = clock.MonotonicUs();
  for (LineProcess& driver : drivers) FW_RETURN_IF_ERROR(driver.WriteLine("go"));
  for (LineProcess& driver : drivers) {
    FW_ASSIGN_OR_RETURN(const std::string line, driver.ReadLine(kPassLimitMs, interrupt));
    if (line != "done") return absl::InternalError(absl::StrCat("the bare floor ", line));
  }
  return static_cast<double>(clock.MonotonicUs() - begin_us) * 1e-6;
}

void AddTls(const std::string& dir, std::vector<std::string>* argv) {
  if (dir.empty()) return;
  argv->push_back("--tls");
  argv->push_back(dir);
}

}  // namespace

absl::StatusOr<double> PeakMib(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/status");
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1 << 20));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    double kib = 0;
    if (words.size() >= 2 && words[0] == "VmHWM:" && absl::SimpleAtod(words[1], &kib)) {
      return kib / 1024;
    }
  }
  return absl::NotFoundError(absl::StrCat(path, " has no VmHWM"));
}

absl::StatusOr<BareFloor> MeasureBareFloor(const std::string& program, const BareTraffic& traffic,
                                           const Clock& clock, const Interrupt& interrupt) {
  std::vector<std::string> serve = {program, "serve"};
  AddTls(traffic.tls_dir, &serve);
  FW_ASSIGN_OR_RETURN(LineProcess server, LineProcess::Start(serve));
  FW_ASSIGN_OR_RETURN(const std::string port, server.ReadLine(kStartLimitMs, interrupt));

  std::vector<std::string> drive = {program,         "drive",
                                    "--server",      absl::StrCat("127.0.0.1:", port),
                                    "--connections", absl::StrCat(traffic.connections),
                                    "--down",        absl::StrCat(traffic.down_bytes),
                                    "--up",          absl::StrCat(traffic.up_bytes)};
  if (traffic.unary) drive.emplace_back("--unary");
  AddTls(traffic.tls_dir, &drive);
  std::vector<LineProcess> drivers;
  drivers.reserve(static_cast<size_t>(traffic.processes));
  for (int i = 0; i < traffic.processes; ++i) {
    FW_ASSIGN_OR_RETURN(LineProcess driver, LineProcess::Start(drive));
    drivers.push_back(std::move(driver));
  }

  for (int i = 0; i < kWarmUps; ++i)
    FW_RETURN_IF_ERROR(OnePass(drivers, clock, interrupt).status());
  FW_ASSIGN_OR_RETURN(const int64_t cpu_us, ProcessCpuTimeUs(server.process().pid()));
  std::vector<double> seconds;
  for (int i = 0; i < traffic.repetitions; ++i) {
    FW_ASSIGN_OR_RETURN(const double pass, OnePass(drivers, clock, interrupt));
    seconds.push_back(pass);
  }
  FW_ASSIGN_OR_RETURN(const int64_t cpu_end_us, ProcessCpuTimeUs(server.process().pid()));
  BareFloor floor;
  floor.seconds = Median(seconds);
  floor.server_cpu_seconds =
      static_cast<double>(cpu_end_us - cpu_us) * 1e-6 / static_cast<double>(traffic.repetitions);
  FW_ASSIGN_OR_RETURN(floor.server_peak_mib, PeakMib(server.process().pid()));
  return floor;
}

}  // namespace fedwatt::bench
