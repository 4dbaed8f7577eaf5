#include "client/app/client_config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/app/exit_codes.h"
#include "common/base/suggest.h"
#include "common/base/version.h"

namespace fedwatt::client {
namespace {

constexpr char kExample[] =
    "Example:\n"
    "  fedwatt-client --server fl.example.org:7443 --tls-dir certs --as client-1 \\\n"
    "    --trusted-key certs/owner.pub --state-dir /var/lib/fedwatt \\\n"
    "    --dataset \"fashion-mnist=idx:/usr/share/datasets/fashion-mnist?split=train\"\n\n";

// What the flags are parsed into before it is known to be sound.
struct Raw {
  std::vector<std::string> labels;
};

void AddConnectionFlags(CLI::App& app, ClientConfig* config) {
  app.add_option("--server", config->server, "HOST:PORT of the coordinator")
      ->envname("FEDWATT_SERVER")
      ->capture_default_str();
  app.add_option("--tls-dir", config->tls_dir, "Folder with ca.pem, NAME.pem and NAME.key")
      ->envname("FEDWATT_TLS_DIR");
  app.add_option("--as", config->tls_name, "NAME in it (default: the only one there)");
  app.add_option("--cert", config->cert, "Certificate file, instead of --tls-dir");
  app.add_option("--key", config->key, "Private key file");
  app.add_option("--ca", config->ca, "Authority's certificate file");
  app.add_option("--insecure-subject", config->insecure_subject,
                 "Without TLS, as this subject; loopback only, for tests");
  app.add_option("--role", config->role, "client | evaluator (default: the certificate's)")
      ->check(CLI::IsMember({"client", "evaluator"}));
  app.add_option("--tenant", config->tenant, "Tenant")->capture_default_str();
  app.add_option("--population", config->population, "Devices of one kind")->capture_default_str();
}

void AddWorkFlags(CLI::App& app, ClientConfig* config, Raw* raw) {
  app.add_option("--trusted-key", config->trusted_keys,
                 "Public key file whose bundles may run here (repeatable)");
  app.add_option("--dataset", config->datasets,
                 "name=format:/path?option=value&... (repeatable); just a name for --trainer echo");
  app.add_option("--label", raw->labels, "key=value that jobs can ask for (repeatable)");
  app.add_option("--trainer", config->trainer,
                 "auto | torch | portable | echo (auto: torch where fedwatt-torch is installed, "
                 "else portable, which trains models with a training graph without LibTorch)")
      ->check(CLI::IsMember({"auto", "torch", "portable", "echo"}))
      ->capture_default_str();
  app.add_option("--worker-path", config->worker_path,
                 "The program fedwatt-torch (default: beside this one)");
  app.add_option("--device", config->device, "auto | cpu | cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--memory-limit", config->memory_limit_bytes,
                 "Of the trainer, for example 2GiB (default: the trainer's)")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--checkpoint-every-s", config->checkpoint_every_s,
                 "How often training keeps in the state folder how far it has come, to go on there "
                 "after a restart; 0: never")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_option("--device-class", config->device_class, "Free text that jobs can ask for");
  app.add_option("--app-version", config->app_version, "Version of the app that embeds this");
}

void AddMeterFlags(CLI::App& app, ClientConfig* config) {
  app.add_option("--meter", config->meter,
                 "Energy meter: auto | none | NAME[+NAME...], others beside the first (`fedwatt "
                 "meter list` shows this host's)")
      ->capture_default_str();
  app.add_flag("--machine-energy", config->machine_energy,
               "Report what the whole machine uses, not this process's share of it by CPU time: "
               "for devices that do nothing else, and where a GPU does the work");
  app.add_option("--watts-per-core", config->watts_per_core,
                 "Of the estimating meter; 0: from the calibration file, else a guess")
      ->check(CLI::Range(0.0, 1000.0));
  app.add_option("--calibration", config->calibration,
                 "File of `fedwatt meter calibrate` (default: the host's own, if there is one)");
  app.add_option("--link", config->radio_link,
                 "wifi | lte | 3g | ethernet: adds the radio's estimated energy of transfers")
      ->check(CLI::IsMember({"wifi", "lte", "3g", "ethernet"}));
  app.add_option("--simulated-watts", config->simulated_watts, "Of --meter simulated")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
}

void AddConditionFlags(CLI::App& app, ClientConfig* config) {
  app.add_flag("--require-charging", config->require_charging,
               "Work on external power only (a device without a battery always has it)");
  app.add_option("--min-charge", config->min_charge_percent,
                 "Percent: below it no work on battery; begins 5 above it")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--max-temperature", config->max_temperature_c,
                 "Degrees Celsius of the hottest sensor: above it no work; begins 5 below it")
      ->check(CLI::Range(1.0, 150.0));
  app.add_option("--metered", config->metered,
                 "yes | no | auto: whether this device's network costs by the byte; then it does "
                 "not work")
      ->check(CLI::IsMember({"yes", "no", "auto"}))
      ->capture_default_str();
  app.add_option("--metered-file", config->metered_file,
                 "File that holds yes or no instead, read every few seconds");
  app.add_flag("--allow-metered", config->allow_metered, "Work on a metered network, too");
  app.add_flag("--require-idle", config->require_idle,
               "Work only while others use at most a quarter of the processors");
  app.add_option("--condition-check-s", config->condition_check_s,
                 "How often these are looked at during work, in seconds")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  app.add_option("--pause-limit-s", config->pause_limit_s,
                 "How long training that these stop is kept, to go on when they are met again; 0: "
                 "it is given up at once, so that the round need not wait")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_option("--telemetry-level", config->telemetry_level,
                 "Consent: 0 nothing of the device but the work itself; 1 to 3 also buckets of "
                 "battery, link and loss, and a round's joules and seconds")
      ->check(CLI::Range(0, 3))
      ->capture_default_str();
  app.add_option("--sysfs-root", config->sysfs_root,
                 "Where sys and proc are, from which battery, temperature and load are read")
      ->capture_default_str();
}

void AddLinkFlags(CLI::App& app, ClientConfig* config) {
  app.add_option("--link-up-mbps", config->link_up_mbps,
                 "This device's link to the coordinator in Mbit/s, for the choice of codecs "
                 "(default: measured)")
      ->check(CLI::Range(0.001, 1e6));
  app.add_option("--link-down-mbps", config->link_down_mbps, "And from it (default: measured)")
      ->check(CLI::Range(0.001, 1e6));
  app.add_option("--joules-per-mb-up", config->joules_per_mb_up,
                 "What sending 10^6 bytes costs this device, radio included, for the choice of "
                 "codecs (default: what the meter sees)")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--joules-per-mb-down", config->joules_per_mb_down,
                 "And receiving them (default: what the meter sees)")
      ->check(CLI::Range(0.0, 1e6));
}

void AddVirtualFlags(CLI::App& app, ClientConfig* config) {
  app.add_option(
         "--virtual", config->virtual_clients,
         "So many clients in this process, for load tests: NAME-0, NAME-1, ... of --as NAME "
         "(`fedwatt certs issue --id NAME --count K`), each with a certificate, a connection "
         "and a folder below --state-dir of its own; {i} in --dataset and --label is its "
         "number")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--virtual-first", config->virtual_first, "Number of the first")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str();
  app.add_option("--virtual-workers", config->virtual_workers,
                 "How many of them train at once (default: one for each processor)")
      ->check(CLI::Range(1, 1024));
}

void AddRunFlags(CLI::App& app, ClientConfig* config) {
  app.add_option("--state-dir", config->state_dir, "Where a restart finds everything")
      ->capture_default_str();
  app.add_option("--cache-limit", config->cache_limit_bytes, "Of models and bundles kept")
      ->transform(CLI::AsSizeValue(false));
  app.add_flag("--no-sync", config->no_sync,
               "Do not fsync: survives a kill, but not a loss of power");
  app.add_option("--once", config->once, "Exit after so many assignments (alone: 1)")
      ->expected(0, 1)
      ->default_str("1");
  app.add_option("--exit-when-idle-s", config->exit_when_idle_s,
                 "Exit after so many seconds without work")
      ->check(CLI::Range(0.0, 1e9));
  app.add_flag("--check", config->check,
               "Check certificate, datasets, trainer and meter, say what is found, and exit");
  app.add_option("--log-level", config->log_level, "debug | info | warning | error | off")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  app.add_flag("--log-json", config->log_json, "Log lines as JSON");
}

std::string TakeLabels(const std::vector<std::string>& labels, ClientConfig* config) {
  for (const std::string& label : labels) {
    const size_t equals = label.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::StrCat("--label ", label, ": must be key=value, for example region=north");
    }
    config->labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return "";
}

// The first thing that does not go together, or "".
std::string FindConflict(const ClientConfig& config) {
  const int files = static_cast<int>(!config.cert.empty()) + static_cast<int>(!config.key.empty()) +
                    static_cast<int>(!config.ca.empty());
  const int ways = static_cast<int>(!config.tls_dir.empty()) + static_cast<int>(files > 0) +
                   static_cast<int>(!config.insecure_subject.empty());
  if (ways == 0) {
    return "who is this client? pass --tls-dir DIR (from `fedwatt certs issue`), or --cert, --key "
           "and --ca";
  }
  if (ways > 1) return "pass only one of --tls-dir, --cert/--key/--ca and --insecure-subject";
  if (files > 0 && files < 3) return "--cert, --key and --ca go together";
  if (config.trusted_keys.empty()) {
    return "--trusted-key FILE is missing: without one no bundle may run here (`fedwatt certs "
           "keys` shows the job owner's)";
  }
  if (!config.metered_file.empty() && config.metered != "auto") {
    return "pass only one of --metered and --metered-file";
  }
  if (config.virtual_clients > 0 && config.meter != "auto" && config.meter != "none" &&
      config.meter != "simulated") {
    return absl::StrCat("--meter ", config.meter,
                        " sees this process, which all --virtual clients share; theirs are none "
                        "and simulated");
  }
  if (config.virtual_clients > 0 && !config.cert.empty()) {
    return "--virtual needs a certificate for each client: pass --tls-dir and --as";
  }
  if (config.datasets.empty()) {
    return "--dataset is missing: without data there is no work, for example --dataset "
           "\"digits=idx:/data/digits?split=train\"";
  }
  return "";
}

// CLI11 names the unknown flag; a person wants the one that was meant.
std::string ErrorText(const CLI::App& app, const CLI::ParseError& error,
                      const std::vector<std::string>& args) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back(absl::StrCat("--", name));
  }
  std::string hint;
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    for (const std::string& arg : args) {
      const std::string name = arg.substr(0, arg.find('='));
      if (name.rfind("--", 0) != 0) continue;
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      if (const auto nearest = NearestName(name, known)) {
        hint = absl::StrCat("; did you mean ", *nearest, "?");
      }
      break;
    }
  }
  return absl::StrCat("error: ", error.what(), hint, "\nfedwatt-client --help shows all flags\n");
}

}  // namespace

ClientConfig ConfigOfVirtual(const ClientConfig& config, uint32_t number) {
  const std::string text = absl::StrCat(number);
  const std::vector<std::pair<std::string, std::string>> mark = {{"{i}", text}};
  ClientConfig own = config;
  if (!config.insecure_subject.empty()) {
    own.insecure_subject = absl::StrCat(config.insecure_subject, "-", number);
  } else {
    own.tls_name = absl::StrCat(config.tls_name.empty() ? "client" : config.tls_name, "-", number);
  }
  own.state_dir = absl::StrCat(config.state_dir, "/", number);
  for (std::string& dataset : own.datasets) dataset = absl::StrReplaceAll(dataset, mark);
  for (auto& [key, value] : own.labels) value = absl::StrReplaceAll(value, mark);
  return own;
}

ParsedCommandLine ParseCommandLine(std::vector<std::string> args) {
  ParsedCommandLine parsed;
  ClientConfig& config = parsed.config;
  Raw raw;
  CLI::App app{"fedwatt-client: trains models on this device's data, which never leave it",
               "fedwatt-client"};
  app.set_version_flag("--version", absl::StrCat("fedwatt-client ", kVersion));
  app.set_config("--config", "", "TOML file with the long names of flags as keys");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.footer(absl::StrCat(kExample, kExitCodesText));
  AddConnectionFlags(app, &config);
  AddWorkFlags(app, &config, &raw);
  AddMeterFlags(app, &config);
  AddConditionFlags(app, &config);
  AddLinkFlags(app, &config);
  AddVirtualFlags(app, &config);
  AddRunFlags(app, &config);
  const std::vector<std::string> given = args;
  std::reverse(args.begin(), args.end());  // CLI11 takes the last first
  try {
    app.parse(args);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    parsed.exit_code = app.exit(error, out, err) == 0 ? kOk : kUsage;
    parsed.text = *parsed.exit_code == kOk ? out.str() : ErrorText(app, error, given);
    return parsed;
  }
  if (app.count("--once") > 0 && config.once == 0) config.once = 1;
  std::string problem = TakeLabels(raw.labels, &config);
  if (problem.empty()) problem = FindConflict(config);
  if (!problem.empty()) {
    parsed.exit_code = kUsage;
    parsed.text = absl::StrCat("error: ", problem, "\n");
  }
  return parsed;
}

}  // namespace fedwatt::client
