#include "server/app/coordinator_config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/suggest.h"
#include "common/base/version.h"
#include "server/app/exit_codes.h"

namespace fedwatt::server {
namespace {

constexpr char kFooter[] =
    "Example:\n"
    "  fedwatt certs init --dir certs --host fl.example.org\n"
    "  fedwatt-coordinator --listen 0.0.0.0:7443 --tls-dir certs --data-dir /var/lib/fedwatt\n\n"
    "Exit codes: 0 stopped as asked; 2 wrong flags; 3 cannot listen there; 4 certificate unfit;\n"
    "5 data folder in use; 6 data damaged or of a newer version; 7 other errors; 130, 143 killed\n"
    "by a second Ctrl-C or SIGTERM.";

void AddPlaceFlags(CLI::App& app, CoordinatorConfig* config) {
  app.add_option("--listen", config->listen, "HOST:PORT; port 0 takes a free one")
      ->envname("FEDWATT_LISTEN")
      ->capture_default_str();
  app.add_option("--data-dir", config->data_dir, "Where everything is kept; made if missing")
      ->envname("FEDWATT_DATA_DIR")
      ->capture_default_str();
  app.add_option("--tls-dir", config->tls_dir,
                 "Folder with ca.pem, NAME.pem, NAME.key, revoked.txt")
      ->envname("FEDWATT_TLS_DIR");
  app.add_option("--as", config->tls_name, "NAME in it")->capture_default_str();
  app.add_flag("--insecure", config->insecure,
               "Without TLS, believing whoever calls: loopback only, for tests");
  app.add_option("--port-file", config->port_file,
                 "Writes the port here once calls are answered, for scripts");
}

void AddLimitFlags(CLI::App& app, CoordinatorConfig* config) {
  app.add_option("--inflight-bytes", config->inflight_bytes,
                 "Memory for transfers: half of it for what gRPC buffers, a quarter for chunks "
                 "of uploads, beyond which streams wait, a quarter for small updates, beyond "
                 "which they go to files")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("128MiB");
  app.add_option("--spool-bytes", config->spool_bytes,
                 "Disk for uploads in flight (default: nine tenths of what is free)")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--upload-wait-s", config->upload_wait_s,
                 "How long an upload waits for memory before it is told to come back")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  app.add_option("--long-poll-s", config->long_poll_s,
                 "How long a check-in is held open; keep it below the NAT time-outs of the field")
      ->check(CLI::Range(0.0, 300.0))
      ->capture_default_str();
  app.add_option("--retry-after-s", config->retry_after_s,
                 "Wait between the long polls of clients without work: a tenth of it while a job "
                 "lacks clients, three times as much when no job could use them")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  app.add_option("--threads", config->threads, "Worker threads (default: one per processor)")
      ->check(CLI::Range(0, 1024));
  app.add_option("--keep-days", config->keep_days,
                 "Rows that name a client are kept so long; 0: for ever")
      ->capture_default_str();
}

void AddCarbonFlags(CLI::App& app, CoordinatorConfig* config) {
  app.add_option("--carbon-source", config->carbon_source,
                 "table | file | electricity_maps | watttime: grams per kilowatt-hour")
      ->check(CLI::IsMember({"table", "file", "electricity_maps", "watttime"}))
      ->capture_default_str();
  app.add_option("--carbon-region", config->carbon_region,
                 "Where the devices are, as the source spells it: DE, CAISO_NORTH");
  app.add_option("--carbon-file", config->carbon_file,
                 "With file: a series as CSV or JSON (docs/energy.md)");
  app.add_option("--carbon-token-file", config->carbon_token_file,
                 "With a service: file that holds its token; read at each request");
  app.add_option("--carbon-url", config->carbon_url,
                 "With a service: another address than its own, such as a mirror's");
  app.add_option(
      "--client-region", config->client_regions,
      "A region that clients may name as theirs (--label region=FR); repeatable. Selector "
      "\"joule\" then prefers those where the grid is cleaner");
  app.add_option("--surplus-file", config->surplus_file,
                 "CSV of time,domain,watts: renewable power to spare, for selector \"fedzero\"");
}

void AddMeterFlags(CLI::App& app, CoordinatorConfig* config) {
  app.add_option(
         "--meter", config->meter,
         "auto, off, or a meter that `fedwatt meter list` shows: the coordinator's own joules")
      ->capture_default_str();
  app.add_option("--pue", config->pue,
                 "Power usage effectiveness of this site: multiplies the coordinator's own joules")
      ->check(CLI::Range(1.0, 10.0))
      ->capture_default_str();
}

void AddLogFlags(CLI::App& app, CoordinatorConfig* config) {
  app.add_option("--log-level", config->log_level, "debug | info | warning | error | off")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  app.add_flag("--log-json", config->log_json, "Log lines as JSON");
}

std::string FindConflict(const CoordinatorConfig& config) {
  if (config.insecure && !config.tls_dir.empty()) {
    return "pass only one of --tls-dir and --insecure";
  }
  if (!config.insecure && config.tls_dir.empty()) {
    return "--tls-dir is missing: `fedwatt certs init` makes one (or --insecure, for tests on "
           "loopback)";
  }
  return "";
}

// CLI11 names the unknown flag; a person wants the one that was meant.
std::string Hint(const CLI::App& app, const std::vector<std::string>& args) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back(absl::StrCat("--", name));
  }
  for (const std::string& arg : args) {
    const std::string name = arg.substr(0, arg.find('='));
    const bool unknown =
        name.rfind("--", 0) == 0 && std::find(known.begin(), known.end(), name) == known.end();
    if (unknown) return DidYouMean(name, known);
  }
  return "";
}

}  // namespace

ParsedCommandLine ParseCommandLine(std::vector<std::string> args) {
  ParsedCommandLine parsed;
  CLI::App app("The fedwatt coordinator: schedules federated rounds and books their joules",
               "fedwatt-coordinator");
  app.set_version_flag("--version", absl::StrCat("fedwatt-coordinator ", kVersion));
  app.set_config("--config", "", "Configuration file (TOML)");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.footer(kFooter);
  AddPlaceFlags(app, &parsed.config);
  AddLimitFlags(app, &parsed.config);
  AddCarbonFlags(app, &parsed.config);
  AddMeterFlags(app, &parsed.config);
  AddLogFlags(app, &parsed.config);
  const std::vector<std::string> given = args;
  std::reverse(args.begin(), args.end());  // as CLI11 wants vectors
  try {
    app.parse(std::move(args));
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const bool asked = app.exit(error, out, err) == 0;
    parsed.exit_code = asked ? kOk : kUsage;
    parsed.text = asked ? out.str()
                        : absl::StrCat("error: ", error.what(), Hint(app, given),
                                       "\nfedwatt-coordinator --help shows all flags\n");
    return parsed;
  }
  if (const std::string conflict = FindConflict(parsed.config); !conflict.empty()) {
    parsed.exit_code = kUsage;
    parsed.text = absl::StrCat("error: ", conflict, "\n");
  }
  return parsed;
}

}  // namespace fedwatt::server
