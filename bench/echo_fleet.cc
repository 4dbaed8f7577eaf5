// Many clients in one process, for the benchmark: SDK sessions with the echo trainer, each with a
// channel, an identity and a state folder of its own, sharing one pool of threads. Runs until
// SIGTERM, or until its parent ends.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/sdk/grpc_transport.h"
#include "client/sdk/session.h"
#include "client/trainers/echo/echo_trainer.h"
#include "common/base/clock.h"
#include "common/base/sequential_executor.h"
#include "common/base/signals.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/base/thread_pool.h"
#include "common/crypto/ed25519.h"

namespace fedwatt::bench {
namespace {

constexpr int kThreads = 2;

struct Options {
  std::string server;
  std::string dir;
  std::string trusted_key;
  std::string tls_dir;
  std::string dataset;
  int clients = 1;
  int first = 0;
  uint64_t cache_bytes = uint64_t{1} << 30;
  bool verbose = false;
};

// Says what does not go by itself.
class Complaints final : public SessionObserver {
 public:
  explicit Complaints(bool all) : all_(all) {}

  void OnEvent(const SessionEvent& event) override {
    if (all_ || event.kind == SessionEventKind::kProblem ||
        event.kind == SessionEventKind::kDenied || event.kind == SessionEventKind::kFailed) {
      std::fprintf(stderr, "%s\n", event.ToString().c_str());
    }
  }

 private:
  const bool all_;
};

// One device. Destroyed in reverse order: the session first.
struct Device {
  explicit Device(Executor* pool) : executor(pool), work_executor(pool) {}

  SequentialExecutor executor;
  SequentialExecutor work_executor;
  std::unique_ptr<ClientTransport> transport;
  std::unique_ptr<Trainer> trainer;
  std::unique_ptr<Session> session;
};

absl::StatusOr<std::unique_ptr<Device>> OpenDevice(const Options& options, int number,
                                                   const PublicKey& key, const Clock* clock,
                                                   Executor* pool, SessionObserver* observer) {
  const std::string name = absl::StrCat("client-", number);
  auto device = std::make_unique<Device>(pool);
  GrpcTransportOptions transport;
  transport.address = options.server;
  transport.subject = name;
  if (!options.tls_dir.empty()) transport.tls = TlsFiles::In(options.tls_dir, name);
  FW_ASSIGN_OR_RETURN(device->transport, MakeGrpcTransport(transport, clock, pool));
  device->trainer = MakeEchoTrainer(clock);

  SessionOptions session;
  session.state_dir = absl::StrCat(options.dir, "/", name);
  session.cache_limit_bytes = options.cache_bytes;
  session.client_id = name;
  // Devices do not share a disk. Hundreds of clients that sync to this one would measure it.
  session.sync = false;
  session.lock_state_dir = false;
  session.trusted_keys = {key};
  OfferedDataset dataset;
  dataset.ref.name = options.dataset;
  dataset.ref.example_count_bucket = ExampleCountBucket(100);
  session.datasets = {dataset};
  FW_ASSIGN_OR_RETURN(device->session,
                      Session::Open(session, {.clock = clock,
                                              .executor = &device->executor,
                                              .work_executor = &device->work_executor,
                                              .transport = device->transport.get(),
                                              .trainer = device->trainer.get(),
                                              .observer = observer}));
  return device;
}

absl::Status Run(const Options& options) {
  FW_ASSIGN_OR_RETURN(const auto shutdown, ShutdownSignal::Install());
  FW_ASSIGN_OR_RETURN(const PublicKey key, PublicKey::Load(options.trusted_key));
  const SystemClock clock;
  Complaints complaints(options.verbose);
  ThreadPool pool(kThreads);
  std::vector<std::unique_ptr<Device>> devices;
  for (int i = 0; i < options.clients; ++i) {
    FW_ASSIGN_OR_RETURN(auto device,
                        OpenDevice(options, options.first + i, key, &clock, &pool, &complaints));
    devices.push_back(std::move(device));
  }
  for (const auto& device : devices) device->session->Start();
  shutdown->WaitForShutdown();
  // Like kill -9 to the state, which goes with the folder.
  pool.Shutdown();
  for (const auto& device : devices) device->transport->CancelAll();
  devices.clear();
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app{"Many echo clients in one process. Started by fedwatt-bench."};
  Options options;
  app.add_option("--server", options.server, "host:port of the coordinator")->required();
  app.add_option("--dir", options.dir, "folder for the clients' state")->required();
  app.add_option("--trusted-key", options.trusted_key, "public key of the job owner")->required();
  app.add_option("--tls", options.tls_dir, "folder of certificates client-N; without: no TLS");
  app.add_option("--dataset", options.dataset, "name of the dataset they offer")->required();
  app.add_option("--clients", options.clients);
  app.add_option("--first", options.first, "number of the first client");
  app.add_option("--cache-bytes", options.cache_bytes, "of each client's models");
  app.add_flag("--verbose", options.verbose, "every event of every client, on standard error");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_echo_fleet: %s\n", StatusText(status).c_str());
  return 1;
}

}  // namespace
}  // namespace fedwatt::bench

int main(int argc, char** argv) { return fedwatt::bench::Main(argc, argv); }
