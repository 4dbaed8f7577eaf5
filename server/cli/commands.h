#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/cli/context.h"
#include "server/cli/report_central.h"

// One function per command of `fedwatt`; each prints its result or error and gives the exit code
// (exit_codes.h).
namespace fedwatt::cli {

struct RunOptions {
  std::string job_file;
  std::vector<std::string> set;
  std::string bundle;      // replaces model.bundle
  std::string key;         // signs the bundle
  std::string request_id;  // the same one gives the same job; empty: a new one
  std::string report;      // file for the report
  bool detach = false;
};
int RunJob(const Context& context, const RunOptions& options);

struct WatchOptions {
  std::string job;
  std::string report;
};
int WatchJob(const Context& context, const WatchOptions& options);

int ListJobs(const Context& context, bool all);

struct StopOptions {
  std::string job;
  std::string reason;
};
int StopJob(const Context& context, const StopOptions& options);
int ResumeJob(const Context& context, const std::string& job);

struct ReportOptions {
  std::string job;
  std::string output;  // JSON; empty: none
  std::string html;    // a page; empty: none
  std::optional<double> joules_per_inference;
  CentralAssumptions central;
};
// Ends with kTargetMissed where a complete job missed one of its [targets].
int ReportJob(const Context& context, const ReportOptions& options);

struct EnergyOptions {
  std::string job;
  std::string by = "phase";        // phase, client, round, source or day
  std::vector<std::string> where;  // KEY=VALUE
  std::string since;               // times as 2026-01-31T10:00:00Z, or days
  std::string until;
  bool csv = false;
  bool codecarbon = false;  // CSV by round in CodeCarbon's columns
  std::string output;       // a file; empty: standard output
};
int ShowEnergy(const Context& context, const EnergyOptions& options);

struct ExportOptions {
  std::string job;
  std::string version = "last";
  std::string output = "model.pt";  // .pt: TorchScript, by fedwatt-torch; .fwb: a bundle
  std::string torch_tool;           // path of fedwatt-torch; empty: beside this program, else PATH
};
int ExportModel(const Context& context, const ExportOptions& options);

struct CertsInitOptions {
  std::string dir = "certs";
  std::vector<std::string> hosts;  // more names and addresses of the coordinator
  int64_t valid_days = 365;
};
int InitCerts(const Context& context, const CertsInitOptions& options);

struct CertsIssueOptions {
  std::string dir = "certs";
  std::string role = "client";
  std::string id;      // with count: the prefix
  uint32_t count = 0;  // 0: one certificate called `id`
  int64_t valid_days = 90;
  bool replace = false;
};
int IssueCerts(const Context& context, const CertsIssueOptions& options);
int RevokeCert(const Context& context, const std::string& dir, const std::string& what);
int ShowKeys(const Context& context, const std::string& dir, const std::string& name);

int ListCodecs(const Context& context);

struct CodecCompareOptions {
  std::string bundle;
  std::string codecs;                 // as in a job file, between commas; empty: every codec
  std::string update;                 // a file of float32; empty: fedwatt-torch makes one
  std::string dataset;                // to train upon; empty: Fashion-MNIST if it fits
  std::string torch_tool;             // as for ExportOptions
  uint64_t size = uint64_t{1} << 20;  // of the random vectors
};
int CompareCodecs(const Context& context, const CodecCompareOptions& options);

struct MeterOptions {
  std::string meter = "auto";
  std::string sysfs_root = "/";  // below it sys/ and proc/, for a host's mounts in a container
};
// Every meter of this build: what it reads here, or why it cannot.
int ListMeters(const Context& context, const MeterOptions& options);

struct MeterWatchOptions {
  MeterOptions meter;
  double interval_s = 1;
  double for_s = 0;  // 0: until Ctrl-C, which is its normal end
};
int WatchMeter(const Context& context, const MeterWatchOptions& options);

struct MeterCommandOptions {
  MeterOptions meter;
  std::vector<std::string> command;
  std::string output;  // JSON; empty: none
};
// Ends with the command's own exit code; 128 + its signal; 127 if there is no such command, 126 if
// it cannot be run.
int MeasureCommand(const Context& context, const MeterCommandOptions& options);

struct MeterCalibrateOptions {
  MeterOptions meter;
  double seconds = 3;  // of each of the stretches
  std::string output;  // empty: DefaultCalibrationPath()
};
int CalibrateMeter(const Context& context, const MeterCalibrateOptions& options);

struct DoctorOptions {
  std::string data_dir;  // of a coordinator on this machine; empty: not checked
  std::string listen;    // a port that a coordinator is to use; empty: not checked
};
int Doctor(const Context& context, const DoctorOptions& options);

struct HealthOptions {
  double wait_s = 0;  // asks again for so long until it serves
};
// What a container's health check asks. Any certificate of the authority will do: the operator's,
// a client's, the coordinator's own. kJobFailed: it answers and does not serve.
int Health(const Context& context, const HealthOptions& options);

}  // namespace fedwatt::cli
