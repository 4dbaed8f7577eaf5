#include "client/app/setup.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/trainers/echo/echo_trainer.h"
#include "client/trainers/portable/portable_trainer.h"
#include "client/trainers/worker/worker_trainer.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/energy/calibration.h"

namespace fedwatt::client {
namespace {

constexpr uint32_t kDefaultSchema = 1;
constexpr char kWorkerProgram[] = "fedwatt-torch";

absl::StatusOr<std::string> OnlyNameIn(const std::string& folder) {
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListDir(folder));
  std::vector<std::string> names;
  for (const std::string& file : files) {
    if (!absl::EndsWith(file, ".key")) continue;
    const std::string name = file.substr(0, file.size() - 4);
    if (name != "ca" && FileExists(absl::StrCat(folder, "/", name, ".pem"))) names.push_back(name);
  }
  if (names.size() == 1) return names[0];
  if (names.empty()) {
    return absl::NotFoundError(absl::StrCat(
        folder, " holds no NAME.pem with its NAME.key; issue one with: fedwatt certs issue"));
  }
  return absl::InvalidArgumentError(absl::StrCat(folder, " holds several certificates (",
                                                 absl::StrJoin(names, ", "),
                                                 "); choose one with --as NAME"));
}

absl::StatusOr<TlsFiles> FilesOf(const ClientConfig& config) {
  if (config.tls_dir.empty()) return TlsFiles{config.ca, config.cert, config.key};
  std::string name = config.tls_name;
  if (name.empty()) {
    FW_ASSIGN_OR_RETURN(name, OnlyNameIn(config.tls_dir));
  }
  return TlsFiles::In(config.tls_dir, name);
}

absl::StatusOr<uint32_t> TakeSchema(DatasetConfig* config) {
  const auto option = config->options.find("schema");
  if (option == config->options.end()) return kDefaultSchema;
  uint32_t schema = 0;
  if (!absl::SimpleAtoi(option->second, &schema) || schema == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset ", config->name, ": schema=", option->second, ": must be 1 or more"));
  }
  config->options.erase(option);
  return schema;
}

absl::StatusOr<OfferedDataset> FindDataset(const std::string& text, bool name_alone,
                                           std::string* found) {
  OfferedDataset offered;
  if (name_alone && text.find('=') == std::string::npos) {
    offered.config.name = text;
    offered.ref = {text, kDefaultSchema, 0};
    *found = absl::StrCat(text, ": no data, by name only");
    return offered;
  }
  FW_ASSIGN_OR_RETURN(offered.config, DatasetConfig::Parse(text));
  offered.ref.name = offered.config.name;
  FW_ASSIGN_OR_RETURN(offered.ref.schema_version, TakeSchema(&offered.config));
  FW_ASSIGN_OR_RETURN(const std::shared_ptr<const Dataset> data, OpenDataset(offered.config));
  if (data->size() == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("dataset ", offered.config.name, " (", text, ") has no examples"));
  }
  offered.ref.example_count_bucket = ExampleCountBucket(data->size());
  *found =
      absl::StrCat(offered.config.name, ": ", data->size(), " examples in ", offered.config.path);
  return offered;
}

// A file that was asked for must be sound; the host's own is left out with a note if it is not.
absl::Status TakeCalibration(const std::string& path, EnergyMeterEnv* env, std::string* notes) {
  const std::string file = path.empty() ? DefaultCalibrationPath() : path;
  if (path.empty() && !FileExists(file)) return absl::OkStatus();
  const absl::StatusOr<EnergyCalibration> calibration = LoadCalibration(file);
  absl::Status status = calibration.status();
  if (status.ok()) status = ApplyCalibration(*calibration, env);
  if (status.ok()) {
    absl::StrAppend(notes, "; calibrated by ", file);
    return status;
  }
  if (!path.empty()) return Annotate(status, absl::StrCat("--calibration ", file));
  absl::StrAppend(notes, "; calibration not used: ", std::string(status.message()));
  return absl::OkStatus();
}

// All but the clock and the trainer's CPU time. `notes`: what was found on the way.
absl::StatusOr<EnergyMeterEnv> MeterEnv(const ClientConfig& config, std::string* notes) {
  EnergyMeterEnv env;
  if (!config.machine_energy) {
    env.machine_cpu_time_us = [] { return MachineCpuTimeUs().value_or(0); };
  }
  FW_RETURN_IF_ERROR(TakeCalibration(config.calibration, &env, notes));
  if (config.watts_per_core > 0) {
    env.watts_per_busy_core = config.watts_per_core;
    env.watts_relative_sigma = 0;
  }
  if (!config.radio_link.empty()) {
    FW_ASSIGN_OR_RETURN(env.link, ParseRadioLink(config.radio_link));
  }
  env.simulated = SimulatedPower{.watts = config.simulated_watts};
  env.start_polling = StartThreadPollTimer;
  return env;
}

std::unique_ptr<Trainer> PortableTrainer(const ClientConfig& config, const Clock* clock) {
  PortableTrainerOptions options{.open_dataset = OpenDataset, .clock = clock};
  if (config.memory_limit_bytes > 0) options.memory_limit_bytes = config.memory_limit_bytes;
  return MakePortableTrainer(options);
}

absl::StatusOr<std::string> FolderOfThisProgram() {
  std::array<char, 4096> path;
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return absl::NotFoundError("cannot read /proc/self/exe; pass --worker-path");
  return DirName(std::string(path.data(), static_cast<size_t>(length)));
}

}  // namespace

absl::StatusOr<ClientIdentity> FindIdentity(const ClientConfig& config, const Clock& clock) {
  ClientIdentity identity;
  if (!config.insecure_subject.empty()) {
    identity.subject = config.insecure_subject;
    identity.role = config.role == "evaluator" ? Role::kEvaluator : Role::kClient;
    identity.found = absl::StrCat(identity.subject, ", INSECURE: no TLS, loopback only");
    return identity;
  }
  FW_ASSIGN_OR_RETURN(identity.tls, FilesOf(config));
  FW_ASSIGN_OR_RETURN(const TlsIdentity tls, LoadTlsIdentity(*identity.tls, clock.NowMs()));
  const std::string& role = tls.identity.role;
  if (role != "client" && role != "evaluator") {
    return absl::PermissionDeniedError(
        absl::StrCat(identity.tls->certificate, " is of the role ", role,
                     "; a client needs a certificate of the role client or evaluator"));
  }
  if (!config.role.empty() && config.role != role) {
    return absl::PermissionDeniedError(absl::StrCat("--role ", config.role, ": the certificate ",
                                                    identity.tls->certificate, " is of the role ",
                                                    role, "; drop the flag or issue another"));
  }
  identity.subject = tls.identity.id;
  identity.role = role == "evaluator" ? Role::kEvaluator : Role::kClient;
  identity.found = absl::StrCat(role, " ", identity.subject, ", valid until ",
                                UtcTime(tls.certificate.not_after_ms));
  return identity;
}

absl::StatusOr<std::vector<PublicKey>> LoadTrustedKeys(const std::vector<std::string>& files) {
  std::vector<PublicKey> keys;
  for (const std::string& file : files) {
    absl::StatusOr<PublicKey> key = PublicKey::Load(file);
    if (!key.ok()) return Annotate(key.status(), absl::StrCat("--trusted-key ", file));
    keys.push_back(*std::move(key));
  }
  return keys;
}

absl::StatusOr<std::vector<OfferedDataset>> FindDatasets(const ClientConfig& config,
                                                         std::vector<std::string>* found) {
  std::vector<OfferedDataset> datasets;
  for (const std::string& text : config.datasets) {
    std::string what;
    FW_ASSIGN_OR_RETURN(OfferedDataset dataset, FindDataset(text, config.trainer == "echo", &what));
    for (const OfferedDataset& other : datasets) {
      if (other.ref.name != dataset.ref.name) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("two datasets are called ", dataset.ref.name, "; rename one"));
    }
    datasets.push_back(std::move(dataset));
    found->push_back(std::move(what));
  }
  return datasets;
}

absl::StatusOr<std::unique_ptr<Trainer>> FindTrainer(const ClientConfig& config,
                                                     const Clock* clock) {
  if (config.trainer == "echo") return MakeEchoTrainer(clock);
  if (config.trainer == "portable") return PortableTrainer(config, clock);
  WorkerTrainerOptions options;
  options.program = config.worker_path;
  if (options.program.empty()) {
    FW_ASSIGN_OR_RETURN(const std::string folder, FolderOfThisProgram());
    options.program = absl::StrCat(folder, "/", kWorkerProgram);
  }
  if (access(options.program.c_str(), X_OK) != 0) {
    // A path that was asked for must be there.
    if (config.trainer == "auto" && config.worker_path.empty()) {
      return PortableTrainer(config, clock);
    }
    return absl::NotFoundError(absl::StrCat(
        "the trainer ", options.program,
        " is missing or not executable; build fedwatt-torch, pass --worker-path FILE, or train "
        "without LibTorch: --trainer portable"));
  }
  options.device = config.device;
  if (config.memory_limit_bytes > 0) options.memory_limit_bytes = config.memory_limit_bytes;
  return std::make_unique<WorkerTrainer>(std::move(options), clock);
}

absl::StatusOr<FoundMeter> FindMeter(const ClientConfig& config, const Clock* clock,
                                     const Trainer* trainer) {
  FoundMeter found;
  found.found = "none: energy is reported as unavailable";
  if (config.meter == "none") return found;
  std::string notes;
  FW_ASSIGN_OR_RETURN(EnergyMeterEnv env, MeterEnv(config, &notes));
  env.clock = clock;
  env.cpu_time_us = [trainer] { return SelfCpuTimeUs() + trainer->ChildCpuTimeUs(); };
  absl::StatusOr<MeterChoice> choice = ChooseEnergyMeter(config.meter, env);
  if (choice.ok()) {
    found.found = absl::StrCat(choice->why, notes);
    if (config.meter == "auto") {
      found.found += "; `fedwatt meter list` says what the others lack";
    } else if (!choice->rejected.empty()) {
      absl::StrAppend(&found.found, "; not ", absl::StrJoin(choice->rejected, "; not "));
    }
    found.meter = std::move(choice->meter);
    return found;
  }
  if (config.meter != "auto") return choice.status();
  found.found = absl::StrCat("none: ", std::string(choice.status().message()));
  return found;
}

}  // namespace fedwatt::client
