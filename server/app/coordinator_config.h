#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The command line of fedwatt-coordinator, and its configuration file: TOML with the flags' long
// names as keys (`listen = "0.0.0.0:7443"`); flags win over FEDWATT_* variables, these over the
// file.
namespace fedwatt::server {

struct CoordinatorConfig {
  std::string listen = "127.0.0.1:7443";
  std::string data_dir = "fedwatt-data";
  std::string tls_dir;  // ca.pem, coordinator.pem, coordinator.key; revoked.txt if there is one
  std::string tls_name = "coordinator";
  bool insecure = false;
  uint64_t inflight_bytes = uint64_t{128} << 20;
  uint64_t spool_bytes = 0;  // 0: nine tenths of what the disk has free
  double upload_wait_s = 30;
  double long_poll_s = 25;
  double retry_after_s = 10;
  uint32_t threads = 0;  // 0: one per processor
  uint32_t keep_days = 400;
  std::string port_file;
  std::string log_level = "info";
  bool log_json = false;
  // Grams per kilowatt-hour (docs/energy.md).
  std::string carbon_source = "table";
  std::string carbon_region;
  std::string carbon_file;
  std::string carbon_url;
  std::string carbon_token_file;
  std::vector<std::string> client_regions;  // that clients may name
  std::string surplus_file;                 // watts by power domain (docs/selection.md)
  // The coordinator's own joules.
  std::string meter = "auto";
  double pue = 1;
};

struct ParsedCommandLine {
  std::optional<int> exit_code;  // set: print `text` (an error, help or version) and end with it
  std::string text;
  CoordinatorConfig config;
};

// `args` without the program's name. Never throws.
ParsedCommandLine ParseCommandLine(std::vector<std::string> args);

}  // namespace fedwatt::server
