#include "server/cli/program.h"

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/base/suggest.h"
#include "common/base/version.h"
#include "common/transport/grpc_log.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"

namespace fedwatt::cli {
namespace {

constexpr char kExitCodes[] =
    "Exit codes: 0 done; 1 the job failed or was stopped, or doctor found a failure; 2 wrong "
    "flags\n"
    "or job file; 3 no coordinator answers; 4 not allowed or not trusted; 5 not found; 6 any "
    "other\n"
    "error; 7 the job missed one of its [targets]; 130 interrupted.";

void AddJobCommands(CLI::App& app, Action* action) {
  auto run = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Submits a job and shows it until it has ended");
  command->footer("Example: fedwatt run job.toml --key certs/owner.key --set round.goal=4");
  command->add_option("job", run->job_file, "Job file (docs/job-file.md)")->required();
  command->add_option("--set", run->set, "KEY=VALUE: replaces a key of the job file; repeatable");
  command->add_option("--bundle", run->bundle, "Model bundle, instead of the job file's");
  command->add_option("--key", run->key, "Job owner's secret key: signs the bundle");
  command->add_option("--request-id", run->request_id,
                      "The same id gives the same job: safe to repeat");
  command->add_option("--report", run->report, "Writes the job's report (JSON) here at the end");
  command->add_flag("-d,--detach", run->detach, "Submits and returns");
  command->callback([=] { *action = [=](const Context& c) { return RunJob(c, *run); }; });

  auto all = std::make_shared<bool>(false);
  command = app.add_subcommand("list", "Lists the jobs");
  command->footer("Example: fedwatt list --all");
  command->add_flag("-a,--all", *all, "Also those that have ended");
  command->callback([=] { *action = [=](const Context& c) { return ListJobs(c, *all); }; });

  auto watch = std::make_shared<WatchOptions>();
  command = app.add_subcommand("watch", "Shows a job until it has ended; Ctrl-C leaves it running");
  command->footer("Example: fedwatt watch quickstart-1 --report report.json");
  command->add_option("job", watch->job, "Id, or name if unique")->required();
  command->add_option("--report", watch->report, "Writes the job's report (JSON) here at the end");
  command->callback([=] { *action = [=](const Context& c) { return WatchJob(c, *watch); }; });

  auto stop = std::make_shared<StopOptions>();
  command = app.add_subcommand("stop", "Stops a job; what it has committed stays");
  command->footer("Example: fedwatt stop quickstart-1 --reason \"wrong data\"");
  command->add_option("job", stop->job, "Id, or name if unique")->required();
  command->add_option("--reason", stop->reason, "Kept with the job");
  command->callback([=] { *action = [=](const Context& c) { return StopJob(c, *stop); }; });

  auto resume = std::make_shared<std::string>();
  command = app.add_subcommand("resume", "Goes on with a stopped job");
  command->footer("Example: fedwatt resume quickstart-1");
  command->add_option("job", *resume, "Id, or name if unique")->required();
  command->callback([=] { *action = [=](const Context& c) { return ResumeJob(c, *resume); }; });
}

void AddCentralFlags(CLI::App* command, CentralAssumptions* central) {
  command
      ->add_option("--central-bytes-per-example", central->bytes_per_example,
                   "Of the data that central training would need")
      ->capture_default_str();
  command->add_option("--central-examples-per-device", central->examples_per_device,
                      "0: as many as clients evaluated if they took all, else 1000");
  command->add_option("--central-devices", central->devices,
                      "0: those that reported, else the largest round's");
  command
      ->add_option("--central-link", central->link,
                   "ethernet, wifi, lte or 3g: the radio that sends the data")
      ->capture_default_str();
  command
      ->add_option("--central-network-j-per-byte", central->network_j_per_byte,
                   "Joules per byte of core and fixed networks")
      ->capture_default_str();
  command->add_option("--central-pue", central->pue, "Of the data centre, at least 1")
      ->capture_default_str();
  command
      ->add_option("--central-compute-ratio", central->compute_ratio,
                   "Joules of a server for what takes a device 1 J")
      ->capture_default_str();
}

void AddReportCommand(CLI::App& app, Action* action) {
  auto report = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand(
      "report", "Shows what a job learnt and what it cost, here or as a page (docs/report.md)");
  command->footer("Example: fedwatt report quickstart-1 --html report.html");
  command->add_option("job", report->job, "Id, or name if unique")->required();
  command->add_option("-o,--output", report->output, "Also writes the job here, as JSON");
  command->add_option("--html", report->html, "Also writes a self-contained page here");
  command->add_option("--joules-per-inference", report->joules_per_inference,
                      "Your own figure (`fedwatt meter -- COMMAND`), to compare the training with");
  AddCentralFlags(command, &report->central);
  command->callback([=] { *action = [=](const Context& c) { return ReportJob(c, *report); }; });
}

void AddResultCommands(CLI::App& app, Action* action) {
  auto energy = std::make_shared<EnergyOptions>();
  CLI::App* command =
      app.add_subcommand("energy", "Shows a job's joules and grams from the ledger");
  command->footer(
      "Example: fedwatt energy quickstart-1 --by round --where use=wasted\n"
      "         fedwatt energy quickstart-1 --codecarbon -o emissions.csv");
  command->add_option("job", energy->job, "Id, or name if unique")->required();
  command->add_option("--by", energy->by, "phase, client, round, source or day")
      ->capture_default_str()
      ->check(CLI::IsMember({"phase", "client", "round", "source", "day"}));
  command->add_option("--where", energy->where,
                      "KEY=VALUE of phase, source, quality, use, party, round, client; repeatable");
  command->add_option("--since", energy->since, "2026-01-31 or 2026-01-31T10:00:00Z; whole hours");
  command->add_option("--until", energy->until, "Likewise; excluded");
  CLI::Option* csv = command->add_flag("--csv", energy->csv, "As CSV, in microjoules");
  command
      ->add_flag("--codecarbon", energy->codecarbon,
                 "As CSV by round in the columns of CodeCarbon's emissions.csv")
      ->excludes(csv);
  command->add_option("-o,--output", energy->output, "Writes here instead of standard output");
  command->callback([=] { *action = [=](const Context& c) { return ShowEnergy(c, *energy); }; });

  auto save = std::make_shared<ExportOptions>();
  command = app.add_subcommand("export", "Writes a job's model to a file");
  command->footer("Example: fedwatt export quickstart-1 --version best -o model.pt");
  command->add_option("job", save->job, "Id, or name if unique")->required();
  command->add_option("--version", save->version, "last, best, or a round's number")
      ->capture_default_str();
  command->add_option("-o,--output", save->output, "FILE.pt (TorchScript) or FILE.fwb (bundle)")
      ->capture_default_str();
  command->add_option("--torch-tool", save->torch_tool, "Path of fedwatt-torch, for FILE.pt");
  command->callback([=] { *action = [=](const Context& c) { return ExportModel(c, *save); }; });

  auto doctor = std::make_shared<DoctorOptions>();
  command = app.add_subcommand(
      "doctor", "Looks at certificates, coordinator, versions, clock, ports, disk and meters");
  command->footer("Example: fedwatt doctor --data-dir /var/lib/fedwatt --listen 0.0.0.0:7443");
  command->add_option("--data-dir", doctor->data_dir,
                      "Data folder of a coordinator of this machine");
  command->add_option("--listen", doctor->listen, "HOST:PORT that a coordinator is to use here");
  command->callback([=] { *action = [=](const Context& c) { return Doctor(c, *doctor); }; });

  auto health = std::make_shared<HealthOptions>();
  command = app.add_subcommand(
      "health", "Asks whether the coordinator serves; with any certificate of its authority");
  command->footer("Example: fedwatt health --server localhost:7443 --as coordinator --wait 30");
  command->add_option("--wait", health->wait_s, "Seconds to go on asking until it does")
      ->check(CLI::Range(0.0, 86400.0));
  command->callback([=] { *action = [=](const Context& c) { return Health(c, *health); }; });
}

void AddCertsCommands(CLI::App& app, Action* action) {
  CLI::App* certs = app.add_subcommand("certs", "Makes, issues and revokes certificates and keys");
  certs->require_subcommand(1);

  auto init = std::make_shared<CertsInitOptions>();
  CLI::App* command = certs->add_subcommand(
      "init", "Makes an authority, coordinator and operator certificates, and a job-owner key");
  command->footer("Example: fedwatt certs init --dir certs --host fl.example.org");
  command->add_option("--dir", init->dir, "Folder")->capture_default_str();
  command->add_option("--host", init->hosts, "Name or address of the coordinator; repeatable");
  command->add_option("--days", init->valid_days, "Validity")
      ->capture_default_str()
      ->check(CLI::Range(1, 3650));
  command->callback([=] { *action = [=](const Context& c) { return InitCerts(c, *init); }; });

  auto issue = std::make_shared<CertsIssueOptions>();
  command =
      certs->add_subcommand("issue", "Issues certificates, for a client unless told otherwise");
  command->footer("Example: fedwatt certs issue --id phone --count 100");
  command->add_option("--dir", issue->dir, "Folder with the authority")->capture_default_str();
  command->add_option("--role", issue->role, "client, evaluator, operator or coordinator")
      ->capture_default_str()
      ->check(CLI::IsMember({"client", "evaluator", "operator", "coordinator"}));
  command->add_option("--id", issue->id, "Identity; with --count the part before -0, -1, ...");
  command->add_option("--count", issue->count, "How many");
  command->add_option("--days", issue->valid_days, "Validity")
      ->capture_default_str()
      ->check(CLI::Range(1, 3650));
  command->add_flag("--replace", issue->replace, "Renews certificates that exist");
  command->callback([=] { *action = [=](const Context& c) { return IssueCerts(c, *issue); }; });

  auto dir = std::make_shared<std::string>("certs");
  auto what = std::make_shared<std::string>();
  command = certs->add_subcommand("revoke", "Shuts out an identity or one certificate");
  command->footer("Example: fedwatt certs revoke client-3");
  command
      ->add_option("what", *what,
                   "Identity URI, fingerprint, or name of a certificate in the folder")
      ->required();
  command->add_option("--dir", *dir, "Folder with revoked.txt")->capture_default_str();
  command->callback(
      [=] { *action = [=](const Context& c) { return RevokeCert(c, *dir, *what); }; });

  auto name = std::make_shared<std::string>("owner");
  command = certs->add_subcommand("keys", "Shows a job-owner key, and makes it if there is none");
  command->footer("Example: fedwatt certs keys --name team-b");
  command->add_option("--dir", *dir, "Folder")->capture_default_str();
  command->add_option("--name", *name, "Of the key")->capture_default_str();
  command->callback([=] { *action = [=](const Context& c) { return ShowKeys(c, *dir, *name); }; });
}

void AddCodecCommands(CLI::App& app, Action* action) {
  CLI::App* codec = app.add_subcommand("codec", "Lists and compares what compresses updates");
  codec->require_subcommand(1);

  CLI::App* command = codec->add_subcommand("list", "Lists the codecs and their defaults");
  command->footer("Example: fedwatt codec list --json");
  command->callback([=] { *action = [](const Context& c) { return ListCodecs(c); }; });

  auto compare = std::make_shared<CodecCompareOptions>();
  command = codec->add_subcommand(
      "compare", "Measures size, error and speed of codecs, also on a model's own update");
  command->footer(
      "Example: fedwatt codec compare --bundle model.fwb --codecs eden:bits=1,mode=lloyd_max,topk");
  command->add_option("--bundle", compare->bundle, "Model bundle, trained a little for its update");
  command->add_option("--codecs", compare->codecs,
                      "NAME[:KEY=VALUE,...],...; default: all, eden at several rates");
  command->add_option("--update", compare->update,
                      "Uses this update (fedwatt-torch update writes such) and trains none");
  command->add_option("--dataset", compare->dataset,
                      "name=format:path?option=value&... to train upon; default: Fashion-MNIST if "
                      "it is installed and fits the model");
  command->add_option("--size", compare->size, "Coordinates of the random vectors")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 28));
  command->add_option("--torch-tool", compare->torch_tool, "Path of fedwatt-torch");
  command->callback(
      [=] { *action = [=](const Context& c) { return CompareCodecs(c, *compare); }; });
}

void AddMeterFlags(CLI::App* command, MeterOptions* options) {
  command
      ->add_option("--meter", options->meter,
                   "auto, NAME, or NAME+NAME: others beside the first (`fedwatt meter list`)")
      ->capture_default_str();
  command
      ->add_option("--sysfs", options->sysfs_root,
                   "Folder with sys/ and proc/, for example a host's mounts in a container")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
}

void AddMeterCommands(CLI::App& app, Action* action) {
  CLI::App* meter = app.add_subcommand("meter", "Shows and uses this machine's energy meters");
  meter->require_subcommand(0, 1);
  meter->footer("Example: fedwatt meter -- make -j8");
  auto run = std::make_shared<MeterCommandOptions>();
  AddMeterFlags(meter, &run->meter);
  meter->add_option("-o,--output", run->output, "Also writes the command's figures here, as JSON");
  meter->add_option("command", run->command,
                    "-- COMMAND ARGUMENTS...: runs it, shows its joules on standard error, and "
                    "ends with its exit code (127: no such command)");
  meter->callback([=] {
    if (!meter->get_subcommands().empty()) return;
    if (run->command.empty()) throw CLI::RequiredError("list, watch, calibrate or -- COMMAND");
    *action = [=](const Context& c) { return MeasureCommand(c, *run); };
  });

  auto list = std::make_shared<MeterOptions>();
  CLI::App* command = meter->add_subcommand("list", "Every meter: what it reads, or why not");
  command->footer("Example: fedwatt meter list --json");
  AddMeterFlags(command, list.get());
  command->callback([=] { *action = [=](const Context& c) { return ListMeters(c, *list); }; });

  auto watch = std::make_shared<MeterWatchOptions>();
  command = meter->add_subcommand("watch", "Shows watts until Ctrl-C, then a summary");
  command->footer("Example: fedwatt meter watch --for 10 --interval 0.5");
  AddMeterFlags(command, &watch->meter);
  command->add_option("--interval", watch->interval_s, "Seconds between two figures")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  command->add_option("--for", watch->for_s, "Ends after so many seconds; 0: at Ctrl-C")
      ->check(CLI::Range(0.0, 1e7));
  command->callback([=] { *action = [=](const Context& c) { return WatchMeter(c, *watch); }; });

  auto calibrate = std::make_shared<MeterCalibrateOptions>();
  command = meter->add_subcommand(
      "calibrate", "Fits this host's idle watts and watts per busy core against a real meter");
  command->footer("Example: fedwatt meter calibrate --seconds 5");
  AddMeterFlags(command, &calibrate->meter);
  command->add_option("--seconds", calibrate->seconds, "Of each of the six stretches of load")
      ->capture_default_str()
      ->check(CLI::Range(0.5, 600.0));
  command->add_option("-o,--output", calibrate->output,
                      "File (default: where fedwatt-client looks, docs/energy.md)");
  command->callback(
      [=] { *action = [=](const Context& c) { return CalibrateMeter(c, *calibrate); }; });
}

void AddGlobalFlags(CLI::App& app, Context* context) {
  app.add_option("--server", context->server, "HOST:PORT of the coordinator")
      ->envname("FEDWATT_SERVER")
      ->capture_default_str();
  app.add_option("--tls-dir", context->tls_dir, "Folder with ca.pem and the operator's certificate")
      ->envname("FEDWATT_TLS_DIR")
      ->capture_default_str();
  app.add_option("--as", context->tls_name, "NAME of NAME.pem and NAME.key in it")
      ->capture_default_str();
  app.add_flag("--insecure", context->insecure, "Without TLS; loopback only, for tests");
  app.add_flag("--json", context->json, "Machine-readable output on standard output");
}

// CLI11 says "a subcommand is required" for a misspelt one; the user wants to know the nearest.
bool NamesUnknownCommand(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const CLI::Option* flag = app.get_option_no_throw(word);
    if (flag != nullptr && flag->get_items_expected_max() > 0) ++i;  // its value
    if (!word.empty() && word[0] == '-') continue;
    if (std::find(names.begin(), names.end(), word) != names.end()) return false;
    std::cerr << "error: unknown command \"" << word << "\"" << DidYouMean(word, names)
              << "; `fedwatt --help` lists them" << std::endl;
    return true;
  }
  return false;
}

}  // namespace

int Program(int argc, char** argv, const AddCommands& more) {
  ConfigureLogging({.level = LogLevel::kWarning});
  RouteGrpcLog();
  const SystemClock clock;
  const auto shutdown = ShutdownSignal::Install();
  if (!shutdown.ok()) {
    std::cerr << "error: " << shutdown.status().message() << std::endl;
    return kError;
  }
  Context context;
  context.clock = &clock;
  context.shutdown = shutdown->get();

  CLI::App app{"fedwatt: federated learning that accounts for its joules", "fedwatt"};
  app.set_version_flag("--version", std::string("fedwatt ") + kVersion);
  app.require_subcommand(1);
  app.fallthrough();  // global flags may stand behind the command
  app.footer(kExitCodes);
  Action action;
  AddGlobalFlags(app, &context);
  AddJobCommands(app, &action);
  AddReportCommand(app, &action);
  AddResultCommands(app, &action);
  AddCertsCommands(app, &action);
  AddCodecCommands(app, &action);
  AddMeterCommands(app, &action);
  if (more) more(app, &action);
  if (NamesUnknownCommand(app, argc, argv)) return kUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  return action(context);
}

}  // namespace fedwatt::cli
