#include "tests/e2e/deployment.h"

#include <sys/stat.h>

#include <iostream>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/hex.h"
#include "common/bundle/bundle.h"
#include "common/transport/channel.h"
#include "common/transport/tls_credentials.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/time.h"

namespace fedwatt::e2e {
namespace {

constexpr int64_t kCallMs = 5'000;
constexpr uint64_t kMaxPemBytes = 64 << 10;

void Deadline(grpc::ClientContext& context) {
  context.set_deadline(gpr_time_from_millis(kCallMs, GPR_TIMESPAN));
}

void MustRun(const std::vector<std::string>& argv, const std::string& scratch) {
  const Output output = RunToEnd({.argv = argv}, scratch);
  EXPECT_EQ(output.code, 0) << absl::StrJoin(argv, " ") << "\n" << output.ToString();
}

}  // namespace

std::string ModelHash(const v1::Job& job) { return HexEncode(AsBytes(job.last().sha256())); }

Deployment::Deployment(int clients) : certs_in_use_(certs()) {
  const std::string cli = BinDir() + "/fedwatt";
  MustRun({cli, "certs", "init", "--dir", certs()}, scratch());
  if (clients == 0) return;
  MustRun(
      {cli, "certs", "issue", "--dir", certs(), "--id", "client", "--count", absl::StrCat(clients)},
      scratch());
}

Deployment::~Deployment() {
  for (auto& [id, client] : clients_) client.Kill();
  coordinator_.Kill();
  if (testing::Test::HasFailure()) PrintLogs();
}

void Deployment::PrintLogs() const {
  std::cout << "=== coordinator\n" << coordinator_.Log();
  for (const auto& [id, client] : clients_) std::cout << "=== " << id << "\n" << client.Log();
  std::cout << "===" << std::endl;
}

CertifiedKey Deployment::Authority() const {
  return {.certificate_pem = ReadFile(certs() + "/ca.pem", kMaxPemBytes).value(),
          .key_pem = ReadFile(certs() + "/ca.key", kMaxPemBytes).value()};
}

void Deployment::AgeAuthority(int64_t days) {
  const int64_t now_ms = SystemClock().NowMs();
  InstallCertificate("ca", CreateAuthority("aged", now_ms - days * kMsPerDay, days + 90).value());
  for (const std::string role : {"coordinator", "operator"}) {
    MustRun({BinDir() + "/fedwatt", "certs", "issue", "--dir", certs(), "--role", role, "--id",
             role, "--replace"},
            scratch());
  }
}

void Deployment::InstallCertificate(const std::string& name, const CertifiedKey& pair) {
  const std::string stem = certs() + "/" + name;
  ASSERT_TRUE(WriteFileAtomic(stem + ".pem", pair.certificate_pem).ok());
  ASSERT_TRUE(WriteFileAtomic(stem + ".key", pair.key_pem, 0600).ok());
}

void Deployment::WriteBundle(const EchoBundle& bundle) {
  BundleHeader header;
  header.name = "echo";
  header.artifacts = {Artifact{.format = "echo", .version = "1"}};
  header.input_shape = {1};
  const auto parameters = static_cast<int64_t>(bundle.parameters);
  header.manifest = *Manifest::Create({{.name = "w", .shape = {parameters}}});
  const std::string artifact = "nothing to run";
  const std::vector<uint8_t> tensors(header.manifest.TotalBytes());
  std::optional<SigningKey> key;
  if (!bundle.key.empty()) key = SigningKey::Load(certs() + "/" + bundle.key + ".key").value();
  const absl::Status written = BundleWriter::Write(File(bundle.file), header, {AsBytes(artifact)},
                                                   tensors, key ? &*key : nullptr);
  ASSERT_TRUE(written.ok()) << written;
}

std::vector<std::string> Deployment::CoordinatorCommand(const std::string& listen) const {
  return {BinDir() + "/" + coordinator_program_,
          "--listen",
          listen,
          "--data-dir",
          data_dir(),
          "--tls-dir",
          certs_in_use_};
}

std::string Deployment::address() const { return absl::StrCat("127.0.0.1:", port_); }

testing::AssertionResult Deployment::StartCoordinator(const std::vector<std::string>& extra,
                                                      const std::vector<std::string>& env) {
  const std::string port_file = File("port");
  EXPECT_TRUE(RemoveIfExists(port_file).ok());
  std::vector<std::string> argv = CoordinatorCommand(address());
  argv.insert(argv.end(), {"--port-file", port_file});
  argv.insert(argv.end(), extra.begin(), extra.end());
  coordinator_ = Program(argv, File("coordinator.log"), env);
  const auto ready = WaitUntil("the coordinator to listen", [&] {
    return FileSize(port_file).value_or(0) > 0 || !coordinator_.running();
  });
  if (!ready) return ready;
  if (!coordinator_.running()) {
    return testing::AssertionFailure()
           << "the coordinator ended with exit code " << coordinator_.WaitForExit(0) << "\n"
           << coordinator_.Log();
  }
  uint32_t port = 0;
  const std::string text = ReadFile(port_file, 64).value_or("");
  if (!absl::SimpleAtoi(text, &port)) {
    return testing::AssertionFailure() << "the port file holds \"" << text << "\"";
  }
  port_ = static_cast<uint16_t>(port);
  Connect();
  return WaitUntil("the coordinator to answer", [&] { return WaitingClients() >= 0; });
}

void Deployment::KillCoordinator() { coordinator_.Kill(); }

void Deployment::Connect() {
  const absl::StatusOr<TlsIdentity> tls =
      LoadTlsIdentity(TlsFiles::In(certs_in_use_, "operator"), SystemClock().NowMs());
  ASSERT_TRUE(tls.ok()) << tls.status();
  channel_ = OpenChannel(address(), MakeChannelCredentials(*tls));
  admin_ = v1::AdminService::NewStub(channel_);
}

int Deployment::WaitingClients() {
  grpc::ClientContext context;
  Deadline(context);
  v1::ServerInfo info;
  if (!admin_->GetServerInfo(&context, v1::GetServerInfoRequest(), &info).ok()) return -1;
  return static_cast<int>(info.waiting_clients());
}

std::vector<std::string> Deployment::ClientCommand(const std::string& id,
                                                   const ClientOptions& options) const {
  std::vector<std::string> argv = {BinDir() + "/fedwatt-client",
                                   "--server",
                                   options.server.empty() ? address() : options.server,
                                   "--tls-dir",
                                   certs_in_use_,
                                   "--as",
                                   options.certificate.empty() ? id : options.certificate,
                                   "--state-dir",
                                   File("state-" + id),
                                   "--trusted-key",
                                   certs() + "/" + options.trusted_key + ".pub",
                                   "--log-json"};
  argv.insert(argv.end(), options.work.begin(), options.work.end());
  argv.insert(argv.end(), options.extra.begin(), options.extra.end());
  return argv;
}

Program& Deployment::StartClient(const std::string& id, const ClientOptions& options) {
  return clients_[id] = Program(ClientCommand(id, options), File(id + ".log"));
}

void Deployment::StartClients(int from, int count, const ClientOptions& options) {
  for (int i = from; i < from + count; ++i) StartClient(absl::StrCat("client-", i), options);
}

testing::AssertionResult Deployment::WaitForClients(int count) {
  return WaitUntil(absl::StrCat(count, " clients to wait for work"),
                   [&] { return WaitingClients() >= count; });
}

std::vector<nlohmann::json> Deployment::Events(const std::string& id,
                                               const std::string& message) const {
  std::vector<nlohmann::json> events;
  std::istringstream log(clients_.at(id).Log());
  for (std::string line; std::getline(log, line);) {
    // The last line of a client that was killed may be cut.
    nlohmann::json event = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (event.is_object() && event.value("message", "") == message) {
      events.push_back(std::move(event));
    }
  }
  return events;
}

std::map<std::string, AssignmentTrace> Deployment::Trace(const std::string& id) const {
  std::map<std::string, AssignmentTrace> trace;
  for (const auto& event : Events(id, "training")) ++trace[event.at("assignment")].started;
  for (const auto& event : Events(id, "trained")) ++trace[event.at("assignment")].trained;
  for (const auto& event : Events(id, "reported")) ++trace[event.at("assignment")].reported;
  return trace;
}

testing::AssertionResult Deployment::NobodyTrainedTwice() const {
  size_t trainings = 0;
  for (const auto& [id, client] : clients_) {
    for (const auto& [assignment, trace] : Trace(id)) {
      trainings += trace.trained;
      if (trace.started > 1 || trace.trained > 1) {
        return testing::AssertionFailure()
               << id << " began the training of " << assignment << " " << trace.started
               << " times and ended it " << trace.trained << " times";
      }
    }
  }
  if (trainings == 0) return testing::AssertionFailure() << "nobody has trained at all";
  return testing::AssertionSuccess();
}

std::vector<std::string> Deployment::CliCommand(const std::vector<std::string>& args) const {
  std::vector<std::string> argv = {BinDir() + "/fedwatt", "--server", address(), "--tls-dir",
                                   certs_in_use_};
  argv.insert(argv.end(), args.begin(), args.end());
  return argv;
}

Output Deployment::Cli(std::vector<std::string> args, int64_t timeout_ms) {
  return RunToEnd({.argv = CliCommand(args), .timeout_ms = timeout_ms}, scratch());
}

std::string Deployment::WriteJobFile(const EchoJob& job) {
  const std::string path = File(job.name + ".toml");
  const std::string text = absl::StrCat(
      "name = \"", job.name, "\"\nrounds = ", job.rounds, "\nseed = 7\n\n[model]\nbundle = \"",
      job.bundle, "\"\n\n[dataset]\nname = \"d\"\n\n[round]\ngoal = ", job.goal,
      "\nselection_timeout_s = 30\nreport_deadline_s = 60\nbackoff_initial_s = 0.2\n\n[codec]\nup "
      "= \"",
      job.codec, "\"\ndown = \"", job.codec, "\"\n");
  EXPECT_TRUE(WriteFileAtomic(path, text).ok());
  return path;
}

std::string Deployment::Submit(const EchoJob& job) {
  std::vector<std::string> args = {"run", WriteJobFile(job), "--detach", "--json"};
  for (const std::string& set : job.set) args.insert(args.end(), {"--set", set});
  const Output output = Cli(args);
  const nlohmann::json answer = output.Json();
  if (output.code != 0 || !answer.is_object()) {
    ADD_FAILURE() << "the job was refused: " << output.ToString();
    return "";
  }
  return answer.value("id", "");
}

v1::Job Deployment::Job(const std::string& id) {
  grpc::ClientContext context;
  Deadline(context);
  v1::GetJobRequest request;
  request.set_job(id);
  v1::Job job;
  if (admin_->GetJob(&context, request, &job).ok()) known_[id] = job;
  return known_[id];
}

testing::AssertionResult Deployment::WaitForJob(
    const std::string& id, const std::string& what,
    const std::function<bool(const v1::Job&)>& condition, int64_t timeout_ms) {
  const auto found = WaitUntil(
      absl::StrCat("job ", id, ": ", what), [&] { return condition(Job(id)); }, timeout_ms);
  if (found) return found;
  return testing::AssertionFailure() << found.message() << "\nthe job is\n"
                                     << known_[id].ShortDebugString();
}

testing::AssertionResult Deployment::WaitForEnd(const std::string& id, int64_t timeout_ms) {
  return WaitForJob(
      id, "the end",
      [](const v1::Job& job) {
        return job.state() == v1::JOB_STATE_COMPLETED || job.state() == v1::JOB_STATE_FAILED;
      },
      timeout_ms);
}

testing::AssertionResult Deployment::WaitForPhase(const std::string& id, const std::string& phase) {
  return WaitForJob(id, "phase " + phase,
                    [&](const v1::Job& job) { return job.current().phase() == phase; });
}

}  // namespace fedwatt::e2e
