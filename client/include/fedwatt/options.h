#pragma once

#include <fedwatt/data_source.h>
#include <fedwatt/device_conditions.h>
#include <fedwatt/energy_meter.h>
#include <fedwatt/listener.h>
#include <fedwatt/trainer.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fedwatt {

// A data set that this device offers to jobs by name.
struct OfferedDataset {
  std::string name;
  uint64_t examples = 0;  // the coordinator learns their number's bit length only
  uint32_t schema_version = 1;
};

struct ClientOptions {
  std::string server;  // required: host:port

  // Who this device is: three files in PEM, read before each connection, so that a renewed
  // certificate is used without a restart. The identity is the certificate's SAN URI.
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  // Instead: no TLS, as this subject. Loopback only, for tests.
  std::string insecure_subject;

  std::string state_dir;  // required: a folder of this client's own; created, locked
  uint64_t cache_limit_bytes = uint64_t{2} << 30;  // of models kept
  bool sync = true;  // survive a loss of power, not only the end of the process

  std::vector<std::string> trusted_keys;  // required: in PEM; whose bundles may run here
  std::vector<OfferedDataset> datasets;   // required: at least one
  std::shared_ptr<DataSource> data;       // required

  // Exactly one of these two.
  std::shared_ptr<Trainer> trainer;
  std::string torch_program;          // path of fedwatt-torch (fedwatt/torch_trainer.h)
  uint64_t trainer_memory_bytes = 0;  // limit of that process; 0: 4 GiB

  std::shared_ptr<EnergyMeter> meter;            // null: this host's own, if it has one
  bool no_meter = false;                         // none at all
  std::shared_ptr<DeviceConditions> conditions;  // null: this host's sensors
  DeviceRules rules;
  std::shared_ptr<Listener> listener;  // may be null

  std::string app_version;
  std::string tenant = "default";
  std::string population = "default";
  std::string device_class;
  std::map<std::string, std::string> labels;
  // The user's consent: 0 nothing of the device but the work itself; 1 to 3 also buckets of battery
  // and link, and a round's joules and seconds.
  uint32_t telemetry_level = 0;
  int64_t long_poll_ms = 20'000;  // how long a check-in may be held open
  int64_t callback_ms = 60'000;   // the data source may take so long for one batch
  // How often training keeps in the state folder how far it has come, so that it goes on there
  // after the process ended in the middle; -1: never.
  int64_t checkpoint_ms = 30'000;
  // How long training that the rules stop is kept, if it has come to a checkpoint, to go on when
  // they are met again; 0: it is given up at once, so that the round need not wait.
  int64_t pause_ms = 0;
};

}  // namespace fedwatt
