#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/capi/app_events.h"
#include "client/capi/app_trainer.h"
#include "client/capi/callback_thread.h"
#include "client/capi/client_setup.h"
#include "client/capi/handles.h"
#include "client/capi/host_loop.h"
#include "client/sdk/grpc_log.h"
#include "client/sdk/grpc_transport.h"
#include "client/sdk/session.h"
#include "common/base/thread_pool.h"

namespace fedwatt {

// What is behind a fedwatt_client: a session with everything that it needs, in a process that is
// somebody else's. Thread-safe.
//
// Threads: the loop is the host's (Tick) or one of ours (RunInBackground); one for what blocks
// (hashing, encoding, waiting for training); one for the app's data source and trainer.
class EmbeddedClient {
 public:
  // `clock` outlives it. The errors of fedwatt_client_open. The app's objects are its own until
  // this succeeds.
  static absl::StatusOr<std::shared_ptr<EmbeddedClient>> Open(ClientSetup setup,
                                                              const Clock* clock);
  // Of one that was never opened, or closed.
  ~EmbeddedClient();

  absl::StatusOr<int64_t> Tick();
  absl::Status RunInBackground();
  absl::Status CancelWork(const std::string& reason);
  fedwatt_counts counts() const { return events_->counts(); }

  // See fedwatt_client_close. Once.
  absl::Status Close(int64_t timeout_ms);

 private:
  explicit EmbeddedClient(const Clock* clock);

  struct AppObjects;
  absl::Status Build(ClientSetup setup, AppObjects* objects);
  void MakeTrainer(const ClientSetup& setup, const AppObjects& objects);
  void MakeMeter(const ClientSetup& setup, const AppObjects& objects);
  void MakeConditions(const AppObjects& objects);
  SessionDeps MakeDeps(const GrpcTransportOptions& transport);
  // Into the app's log, by way of the loop: a thread of gRPC's must not run an app's function.
  void TakeGrpcLine(GrpcLogLevel level, const std::string& line);
  void StartOnce();
  void WakeUp();
  void RunLoop();
  void EndRunner();
  // True if the session has stopped by then.
  bool WaitForStop(int64_t until_us);

  const Clock* const clock_;
  std::unique_ptr<AppEvents> events_;
  HostLoop loop_;
  std::atomic<int> grpc_lines_{0};  // on their way to the log
  std::atomic<bool> give_up_{false};
  CallbackThread callbacks_;
  std::unique_ptr<Trainer> trainer_;
  // One thread for the trainer's whole life: the kernel ends a worker with the thread that started
  // it.
  ThreadPool work_{1};
  GuardedExecutor guarded_work_{&work_, &loop_};
  std::unique_ptr<EnergyMeter> meter_;
  std::unique_ptr<DeviceConditions> conditions_;
  std::unique_ptr<ClientTransport> transport_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<GrpcLogTap> grpc_log_;

  Mutex mutex_;
  CondVar changed_;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool background_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool quit_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread runner_;
};

// The clients that are open in this process.
Handles<EmbeddedClient>& LiveClients();

}  // namespace fedwatt
