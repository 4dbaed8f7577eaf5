#pragma once

// A coordinator, its operator and a fleet, as real processes over mutual TLS on loopback.
//
//   Deployment fleet;                                  // certificates by `fedwatt certs`
//   fleet.WriteBundle({.parameters = 1000});
//   ASSERT_TRUE(fleet.StartCoordinator());
//   for (int i = 0; i < 4; ++i) fleet.StartClient(absl::StrCat("client-", i));
//   const std::string job = fleet.Submit({.rounds = 3, .goal = 4});
//   ASSERT_TRUE(fleet.WaitForEnd(job));
//   EXPECT_EQ(fleet.Job(job).state(), v1::JOB_STATE_COMPLETED);
//
// Everything lives in a folder of its own. At the end all processes are killed; where a test has
// failed their logs are printed.

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/crypto/ed25519.h"
#include "common/crypto/x509.h"
#include "fedwatt/v1/admin_service.grpc.pb.h"
#include "grpcpp/channel.h"
#include "tests/common/base/temp_dir.h"
#include "tests/e2e/program.h"
#include "tests/e2e/wait_until.h"

namespace fedwatt::e2e {

// A model without meaning, for the echo trainer.
struct EchoBundle {
  std::string file = "model.fwb";
  uint64_t parameters = 1000;
  std::string key = "owner";  // whose signature: KEY.key of the certificates' folder; "": none
};

// A job over it. `set` are `--set` arguments, on top.
struct EchoJob {
  std::string name = "echo";
  std::string bundle = "model.fwb";
  uint32_t rounds = 3;
  uint32_t goal = 4;
  // Both ways. Raw: the size of what travels is the model's, so that tests know where to cut it.
  std::string codec = "raw_f32";
  std::vector<std::string> set;
};

struct ClientOptions {
  std::string server;       // empty: the coordinator
  std::string certificate;  // empty: of the client's id
  std::string trusted_key = "owner";
  std::vector<std::string> work = {"--trainer", "echo", "--dataset", "d"};
  std::vector<std::string> extra;
};

// What a client did with an assignment, from its log, over all of its runs.
struct AssignmentTrace {
  int started = 0;   // trainings begun
  int trained = 0;   // trainings done
  int reported = 0;  // reports that were acknowledged
};

class Deployment {
 public:
  // Makes an authority, certificates of coordinator and operator, `clients` of clients client-0...
  // and an owner's key.
  explicit Deployment(int clients = 4);
  ~Deployment();
  Deployment(const Deployment&) = delete;
  Deployment& operator=(const Deployment&) = delete;

  std::string File(const std::string& name) const { return dir_.File(name); }
  std::string certs() const { return File("certs"); }
  std::string data_dir() const { return File("data"); }
  CertifiedKey Authority() const;
  // Writes NAME.pem and NAME.key into the certificates' folder.
  void InstallCertificate(const std::string& name, const CertifiedKey& pair);
  // Replaces the authority by one that is `days` old, so that what it issued may have expired, and
  // renews the coordinator's and the operator's certificates.
  void AgeAuthority(int64_t days);
  // Folder of the certificates for all programs from now on; a name in File().
  void UseCertificates(const std::string& folder) { certs_in_use_ = File(folder); }

  void WriteBundle(const EchoBundle& bundle = {});

  // ---- the coordinator

  // On a free port at first, on the same one after that. Returns when it answers.
  testing::AssertionResult StartCoordinator(const std::vector<std::string>& extra = {},
                                            const std::vector<std::string>& env = {});
  // Another program in its place from now on, by its path below the folder of programs.
  void UseCoordinator(const std::string& program) { coordinator_program_ = program; }
  // The command line of it, without a port file.
  std::vector<std::string> CoordinatorCommand(const std::string& listen) const;
  // kill -9.
  void KillCoordinator();
  Program& coordinator() { return coordinator_; }
  uint16_t port() const { return port_; }
  std::string address() const;
  v1::AdminService::Stub& admin() { return *admin_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // -1 while it does not answer.
  int WaitingClients();

  // ---- clients

  // Starts it, or starts it again on its state folder.
  Program& StartClient(const std::string& id, const ClientOptions& options = {});
  std::vector<std::string> ClientCommand(const std::string& id, const ClientOptions& options) const;
  void StartClients(int from, int count, const ClientOptions& options = {});
  Program& client(const std::string& id) { return clients_.at(id); }
  testing::AssertionResult WaitForClients(int count);
  // Lines of the client's log (JSON objects) whose message is `message`.
  std::vector<nlohmann::json> Events(const std::string& id, const std::string& message) const;
  // By assignment.
  std::map<std::string, AssignmentTrace> Trace(const std::string& id) const;
  // No client has begun one assignment's training twice.
  testing::AssertionResult NobodyTrainedTwice() const;

  // ---- jobs

  // `fedwatt` with our coordinator and certificates.
  Output Cli(std::vector<std::string> args, int64_t timeout_ms = 60'000);
  std::vector<std::string> CliCommand(const std::vector<std::string>& args) const;
  // The job file's path.
  std::string WriteJobFile(const EchoJob& job);
  // `fedwatt run --detach --json`: the job's id, "" (and a failure) if it was refused.
  std::string Submit(const EchoJob& job);
  // The job as the coordinator knows it; the last known while it does not answer.
  v1::Job Job(const std::string& id);
  testing::AssertionResult WaitForJob(const std::string& id, const std::string& what,
                                      const std::function<bool(const v1::Job&)>& condition,
                                      int64_t timeout_ms = kPatienceMs);
  testing::AssertionResult WaitForEnd(const std::string& id, int64_t timeout_ms = 60'000);
  testing::AssertionResult WaitForPhase(const std::string& id, const std::string& phase);

  const std::string& scratch() const { return dir_.path(); }

 private:
  void Connect();
  void PrintLogs() const;

  TempDir dir_;
  std::string certs_in_use_;
  std::string coordinator_program_ = "fedwatt-coordinator";
  uint16_t port_ = 0;
  Program coordinator_;
  std::map<std::string, Program> clients_;
  std::map<std::string, v1::Job> known_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
};

// SHA-256 of the job's newest model, hexadecimal.
std::string ModelHash(const v1::Job& job);

}  // namespace fedwatt::e2e
