#include "client/capi/client_setup.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/capi/app_data.h"
#include "client/capi/app_device.h"
#include "client/capi/app_events.h"
#include "client/capi/app_trainer.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/transport/tls_credentials.h"

namespace fedwatt {
namespace {

constexpr int64_t kDefaultCallbackMs = 60'000;
constexpr int64_t kDefaultCheckpointMs = 30'000;
constexpr uint32_t kMaxTelemetryLevel = 3;
constexpr size_t kMaxTrustedKeys = 64;

std::string Text(const char* text) { return text == nullptr ? "" : text; }

absl::Status Missing(const char* field, const char* why) {
  return absl::InvalidArgumentError(absl::StrCat("options.", field, " is missing: ", why));
}

template <typename T>
absl::Status CheckArray(const T* items, size_t count, size_t limit, const char* field) {
  if (count > 0 && items == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("options.", field, " is NULL, but its count is ", count));
  }
  if (count <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("options.", field, ": ", count, " of them; at most ", limit));
}

absl::Status ReadIdentity(const fedwatt_options& options, const Clock& clock, ClientSetup* setup) {
  const std::string files[] = {Text(options.ca_file), Text(options.certificate_file),
                               Text(options.key_file)};
  int given = 0;
  for (const std::string& file : files) given += file.empty() ? 0 : 1;
  const std::string insecure = Text(options.insecure_subject);
  if (given == 0 && insecure.empty()) {
    return Missing("certificate_file",
                   "say who this device is with ca_file, certificate_file and "
                   "key_file, as `fedwatt certs issue` writes them");
  }
  if (given > 0 && !insecure.empty()) {
    return absl::InvalidArgumentError(
        "options.insecure_subject and certificate files are both given; leave one out");
  }
  if (given > 0 && given < 3) {
    return Missing(files[0].empty()   ? "ca_file"
                   : files[1].empty() ? "certificate_file"
                                      : "key_file",
                   "ca_file, certificate_file and key_file go together");
  }
  if (given == 0) {
    setup->session.client_id = setup->transport.subject = insecure;
    return absl::OkStatus();
  }
  setup->transport.tls = TlsFiles{files[0], files[1], files[2]};
  FW_ASSIGN_OR_RETURN(const TlsIdentity tls, LoadTlsIdentity(*setup->transport.tls, clock.NowMs()));
  if (tls.identity.role != "client" && tls.identity.role != "evaluator") {
    return absl::PermissionDeniedError(
        absl::StrCat(files[1], " is of the role ", tls.identity.role,
                     "; a client needs a certificate of the role client or evaluator"));
  }
  setup->session.client_id = setup->transport.subject = tls.identity.id;
  setup->session.role = setup->transport.role =
      tls.identity.role == "evaluator" ? Role::kEvaluator : Role::kClient;
  return absl::OkStatus();
}

absl::Status ReadTrust(const fedwatt_options& options, ClientSetup* setup) {
  FW_RETURN_IF_ERROR(
      CheckArray(options.trusted_keys, options.trusted_key_count, kMaxTrustedKeys, "trusted_keys"));
  for (size_t i = 0; i < options.trusted_key_count; ++i) {
    absl::StatusOr<PublicKey> key = PublicKey::FromPem(Text(options.trusted_keys[i]));
    if (!key.ok()) {
      return Annotate(key.status(), absl::StrCat("options.trusted_keys[", i, "]"));
    }
    setup->session.trusted_keys.push_back(*std::move(key));
  }
  if (!setup->session.trusted_keys.empty()) return absl::OkStatus();
  return Missing("trusted_keys",
                 "without one no bundle may run here (`fedwatt certs keys` shows "
                 "the job owner's)");
}

absl::Status ReadDatasets(const fedwatt_options& options, ClientSetup* setup) {
  FW_RETURN_IF_ERROR(
      CheckArray(options.datasets, options.dataset_count, bounds::kMaxOffers, "datasets"));
  for (size_t i = 0; i < options.dataset_count; ++i) {
    const std::string what = absl::StrCat("options.datasets[", i, "]");
    FW_ASSIGN_OR_RETURN(const fedwatt_dataset given, TakeStruct(options.datasets[i], what));
    OfferedDataset dataset;
    dataset.ref.name = dataset.config.name = Text(given.name);
    dataset.config.format = "app";
    dataset.ref.schema_version = given.schema_version == 0 ? 1 : given.schema_version;
    dataset.ref.example_count_bucket = ExampleCountBucket(given.examples);
    if (dataset.ref.name.empty() || dataset.ref.name.size() > bounds::kMaxNameLength) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": its name has ", dataset.ref.name.size(), " bytes; it takes 1 to ",
                       bounds::kMaxNameLength));
    }
    for (const OfferedDataset& other : setup->session.datasets) {
      if (other.ref.name != dataset.ref.name) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": two data sets are called ", dataset.ref.name));
    }
    setup->session.datasets.push_back(std::move(dataset));
  }
  if (!setup->session.datasets.empty()) return absl::OkStatus();
  return Missing("datasets", "without data there is no work");
}

absl::Status ReadObjects(const fedwatt_options& options, ClientSetup* setup) {
  FW_ASSIGN_OR_RETURN(setup->data, AppData::Check(options.data));
  setup->torch_program = Text(options.torch_program);
  setup->trainer_memory_bytes = options.trainer_memory_bytes;
  if ((options.trainer == nullptr) == setup->torch_program.empty()) {
    return absl::InvalidArgumentError(
        "options: give exactly one of trainer and torch_program: somebody has to train");
  }
  if (options.trainer != nullptr) {
    FW_ASSIGN_OR_RETURN(setup->trainer, CheckAppTrainer(options.trainer));
  } else if (access(setup->torch_program.c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("options.torch_program: ", setup->torch_program,
                     " is missing or not executable; install fedwatt-torch"));
  }
  if (options.meter != nullptr) {
    FW_ASSIGN_OR_RETURN(setup->meter, CheckAppMeter(options.meter));
  }
  setup->no_meter = options.no_meter != 0;
  if (setup->no_meter && options.meter != nullptr) {
    return absl::InvalidArgumentError("options: both meter and no_meter are given");
  }
  if (options.conditions != nullptr) {
    FW_ASSIGN_OR_RETURN(setup->conditions, CheckAppConditions(options.conditions));
  }
  if (options.listener != nullptr) {
    FW_ASSIGN_OR_RETURN(setup->listener, CheckAppListener(options.listener));
  }
  FW_ASSIGN_OR_RETURN(setup->session.rules, RulesOf(options.rules));
  return absl::OkStatus();
}

absl::Status ReadLabels(const fedwatt_options& options, ClientSetup* setup) {
  FW_RETURN_IF_ERROR(CheckArray(options.labels, options.label_count, bounds::kMaxOffers, "labels"));
  for (size_t i = 0; i < options.label_count; ++i) {
    const std::string key = Text(options.labels[i].key);
    if (key.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("options.labels[", i, "] has no key"));
    }
    setup->session.labels[key] = Text(options.labels[i].value);
  }
  return absl::OkStatus();
}

absl::Status ReadFigures(const fedwatt_options& options, ClientSetup* setup) {
  if (options.telemetry_level > kMaxTelemetryLevel) {
    return absl::InvalidArgumentError(absl::StrCat("options.telemetry_level is ",
                                                   options.telemetry_level, "; must be 0 to ",
                                                   kMaxTelemetryLevel));
  }
  if (options.long_poll_ms < 0 || options.callback_ms < 0) {
    return absl::InvalidArgumentError(absl::StrCat("options.long_poll_ms is ", options.long_poll_ms,
                                                   ", callback_ms ", options.callback_ms,
                                                   "; neither may be below 0"));
  }
  if (options.checkpoint_ms < -1 || options.pause_ms < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("options.checkpoint_ms is ", options.checkpoint_ms, " (from -1 on), pause_ms ",
                     options.pause_ms, " (from 0 on)"));
  }
  SessionOptions& session = setup->session;
  session.checkpoint_every_ms = options.checkpoint_ms == 0
                                    ? kDefaultCheckpointMs
                                    : std::max<int64_t>(options.checkpoint_ms, 0);
  session.pause_limit_ms = options.pause_ms;
  session.telemetry_level = options.telemetry_level;
  if (options.long_poll_ms > 0) session.long_poll_ms = options.long_poll_ms;
  setup->callback_ms = options.callback_ms > 0 ? options.callback_ms : kDefaultCallbackMs;
  if (options.cache_limit_bytes > 0) session.cache_limit_bytes = options.cache_limit_bytes;
  session.memory_bytes = options.trainer_memory_bytes;
  session.sync = options.no_sync == 0;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ClientSetup> ReadOptions(const fedwatt_options* given, const Clock& clock) {
  FW_ASSIGN_OR_RETURN(const fedwatt_options options, TakeStruct(given, "options"));
  ClientSetup setup;
  setup.transport.address = Text(options.server);
  if (setup.transport.address.empty()) {
    return Missing("server", "HOST:PORT of the coordinator");
  }
  SessionOptions& session = setup.session;
  session.state_dir = Text(options.state_dir);
  if (session.state_dir.empty()) return Missing("state_dir", "a folder of this client's own");
  session.app_version = Text(options.app_version);
  session.device_class = Text(options.device_class);
  if (options.tenant != nullptr) session.tenant = options.tenant;
  if (options.population != nullptr) session.population = options.population;
  FW_RETURN_IF_ERROR(ReadObjects(options, &setup));
  FW_RETURN_IF_ERROR(ReadTrust(options, &setup));
  FW_RETURN_IF_ERROR(ReadDatasets(options, &setup));
  FW_RETURN_IF_ERROR(ReadLabels(options, &setup));
  FW_RETURN_IF_ERROR(ReadFigures(options, &setup));
  FW_RETURN_IF_ERROR(ReadIdentity(options, clock, &setup));
  return setup;
}

}  // namespace fedwatt
