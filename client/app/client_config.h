#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

// The command line of fedwatt-client, and its configuration file: TOML with the flags' long names
// as keys (`server = "10.0.0.7:7443"`, `dataset = ["a=idx:/d", "b=csv:/e.csv"]`); flags win.
namespace fedwatt::client {

struct ClientConfig {
  std::string server = "localhost:7443";

  std::string tls_dir;   // with ca.pem, NAME.pem, NAME.key
  std::string tls_name;  // NAME; empty: the only one in the folder
  std::string cert;      // instead of the folder: three files
  std::string key;
  std::string ca;
  std::string insecure_subject;  // no TLS, loopback only

  std::string state_dir = "fedwatt-client-state";
  uint64_t cache_limit_bytes = uint64_t{2} << 30;
  bool no_sync = false;

  std::vector<std::string> trusted_keys;  // files
  std::vector<std::string> datasets;
  std::map<std::string, std::string> labels;
  std::string tenant = "default";
  std::string population = "default";
  std::string role;  // empty: the certificate's
  std::string device_class;
  std::string app_version;

  std::string trainer = "auto";  // torch where it is installed, else portable
  std::string worker_path;       // empty: beside this program
  std::string device = "auto";
  uint64_t memory_limit_bytes = 0;  // 0: the trainer's default
  std::string meter = "auto";
  bool machine_energy = false;  // report the whole machine's, not this process's share of it
  double watts_per_core = 0;    // calibration of the estimate; 0: the calibration file's
  std::string calibration;      // file; empty: the host's own, if there is one
  std::string radio_link;       // wifi, lte, 3g or ethernet; empty: no model of the radio
  double simulated_watts = 5;   // of the meter `simulated`

  // When this device works (client/sdk/condition_rules.h), and what it tells of itself.
  bool require_charging = false;
  std::optional<double> min_charge_percent;
  std::optional<double> max_temperature_c;
  std::string metered = "auto";  // yes, no or auto
  std::string metered_file;
  bool allow_metered = false;
  bool require_idle = false;
  double condition_check_s = 5;
  double checkpoint_every_s = 30;  // of trainings; 0: none
  double pause_limit_s = 0;        // how long work may wait for better conditions
  uint32_t telemetry_level = 1;
  std::string sysfs_root = "/";  // of the conditions' files

  // The link as its owner knows it; unset: measured.
  std::optional<double> link_up_mbps;  // 10^6 bits per second
  std::optional<double> link_down_mbps;
  std::optional<double> joules_per_mb_up;  // per 10^6 bytes
  std::optional<double> joules_per_mb_down;

  // Many clients in this process, for load tests: NAME-0, NAME-1, ... (0: one client, NAME).
  uint32_t virtual_clients = 0;
  uint32_t virtual_first = 0;    // number of the first
  uint32_t virtual_workers = 0;  // that train at once; 0: one for each processor

  uint64_t once = 0;            // exit after so many assignments
  double exit_when_idle_s = 0;  // 0: never
  bool check = false;
  bool log_json = false;
  std::string log_level = "info";
};

struct ParsedCommandLine {
  std::optional<int> exit_code;  // set: print `text` (an error, help or version) and end with it
  std::string text;
  ClientConfig config;
};

// The configuration of virtual client `number`: with its name, its own state folder, and {i} in its
// datasets and labels replaced by the number.
ClientConfig ConfigOfVirtual(const ClientConfig& config, uint32_t number);

// `args` without the program's name. Never throws.
ParsedCommandLine ParseCommandLine(std::vector<std::string> args);

}  // namespace fedwatt::client
