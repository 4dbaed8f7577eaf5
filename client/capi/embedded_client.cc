#include "client/capi/embedded_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/capi/app_device.h"
#include "client/sdk/linux_conditions.h"
#include "common/base/boot_time.h"
#include "common/base/cpu_time.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/energy/poll_timer.h"

namespace fedwatt {
namespace {

// While another thread is inside of a tick that it began before the end.
constexpr int64_t kLookUs = 10'000;
// A host that does not tick, or an environment that asks gRPC for everything, costs no memory.
constexpr int kMaxGrpcLines = 100;

}  // namespace

// The app's, until the client is open.
struct EmbeddedClient::AppObjects {
  std::shared_ptr<AppObject<fedwatt_data_source>> data;
  std::shared_ptr<AppObject<fedwatt_trainer>> trainer;
  std::shared_ptr<AppObject<fedwatt_meter>> meter;
  std::shared_ptr<AppObject<fedwatt_conditions>> conditions;
  std::shared_ptr<AppObject<fedwatt_listener>> listener;

  explicit AppObjects(const ClientSetup& setup)
      : data(std::make_shared<AppObject<fedwatt_data_source>>(setup.data)) {
    if (setup.trainer) trainer = std::make_shared<AppObject<fedwatt_trainer>>(*setup.trainer);
    if (setup.meter) meter = std::make_shared<AppObject<fedwatt_meter>>(*setup.meter);
    if (setup.conditions) {
      conditions = std::make_shared<AppObject<fedwatt_conditions>>(*setup.conditions);
    }
    if (setup.listener) listener = std::make_shared<AppObject<fedwatt_listener>>(*setup.listener);
  }

  void TakeOver() {
    data->TakeOver();
    if (trainer) trainer->TakeOver();
    if (meter) meter->TakeOver();
    if (conditions) conditions->TakeOver();
    if (listener) listener->TakeOver();
  }
};

Handles<EmbeddedClient>& LiveClients() {
  static auto* const live = new Handles<EmbeddedClient>();  // never destroyed: see LiveTasks
  return *live;
}

EmbeddedClient::EmbeddedClient(const Clock* clock)
    : clock_(clock), loop_(clock, [this] { WakeUp(); }) {}

EmbeddedClient::~EmbeddedClient() {
  grpc_log_.reset();
  EndRunner();
  give_up_ = true;
  loop_.Finish();
  session_.reset();
  if (transport_ != nullptr) transport_->CancelAll();
  transport_.reset();
  work_.Shutdown();
}

absl::StatusOr<std::shared_ptr<EmbeddedClient>> EmbeddedClient::Open(ClientSetup setup,
                                                                     const Clock* clock) {
  std::shared_ptr<EmbeddedClient> client(new EmbeddedClient(clock));
  AppObjects objects(setup);
  FW_RETURN_IF_ERROR(client->Build(std::move(setup), &objects));
  objects.TakeOver();
  return client;
}

absl::Status EmbeddedClient::Build(ClientSetup setup, AppObjects* objects) {
  events_ = std::make_unique<AppEvents>(objects->listener);
  grpc_log_ = std::make_unique<GrpcLogTap>(
      [this](GrpcLogLevel level, const std::string& line) { TakeGrpcLine(level, line); });
  MakeTrainer(setup, *objects);
  MakeMeter(setup, *objects);
  MakeConditions(*objects);
  FW_ASSIGN_OR_RETURN(transport_, MakeGrpcTransport(setup.transport, clock_, &guarded_work_));
  FW_ASSIGN_OR_RETURN(session_, Session::Open(std::move(setup.session), MakeDeps(setup.transport)));
  return absl::OkStatus();
}

void EmbeddedClient::MakeTrainer(const ClientSetup& setup, const AppObjects& objects) {
  AppTrainerDeps deps;
  deps.data = std::make_shared<AppData>(objects.data, setup.callback_ms);
  deps.thread = &callbacks_;
  deps.give_up = &give_up_;
  deps.clock = clock_;
  if (objects.trainer != nullptr) {
    trainer_ = MakeAppTrainer(objects.trainer, std::move(deps));
  } else {
    trainer_ = MakeTorchFeedTrainer(
        {.program = setup.torch_program, .memory_limit_bytes = setup.trainer_memory_bytes},
        std::move(deps));
  }
}

void EmbeddedClient::MakeMeter(const ClientSetup& setup, const AppObjects& objects) {
  if (setup.no_meter) return;
  EnergyMeterEnv env;
  env.clock = clock_;
  env.cpu_time_us = [this] { return SelfCpuTimeUs() + trainer_->ChildCpuTimeUs(); };
  env.machine_cpu_time_us = [] { return MachineCpuTimeUs().value_or(0); };
  env.start_polling = StartThreadPollTimer;
  if (objects.meter != nullptr) env.host = HostEnergyOf(objects.meter);
  absl::StatusOr<MeterChoice> choice =
      ChooseEnergyMeter(objects.meter != nullptr ? "host" : "auto", env);
  if (choice.ok()) {
    meter_ = std::move(choice->meter);
    events_->Log(FEDWATT_INFO, absl::StrCat("meter: ", choice->why));
    return;
  }
  events_->Log(FEDWATT_WARNING, absl::StrCat("no meter, energy is reported as unavailable: ",
                                             std::string(choice.status().message())));
}

void EmbeddedClient::MakeConditions(const AppObjects& objects) {
  if (objects.conditions != nullptr) {
    conditions_ = MakeAppConditions(objects.conditions);
    return;
  }
  LinuxConditionsOptions options;
  options.clock = clock_;
  options.own_cpu_time_us = [this] { return SelfCpuTimeUs() + trainer_->ChildCpuTimeUs(); };
  conditions_ = MakeLinuxConditions(std::move(options));
}

SessionDeps EmbeddedClient::MakeDeps(const GrpcTransportOptions& transport) {
  SessionDeps deps;
  deps.clock = clock_;
  deps.executor = &loop_;
  deps.work_executor = &guarded_work_;
  deps.transport = transport_.get();
  deps.trainer = trainer_.get();
  deps.meter = meter_.get();
  deps.conditions = conditions_.get();
  deps.observer = events_.get();
  deps.boot_time_us = BootTimeUs;
  deps.connect = [this, transport](const std::string& address) -> std::shared_ptr<ClientTransport> {
    GrpcTransportOptions next = transport;
    next.address = address;
    absl::StatusOr<std::unique_ptr<ClientTransport>> made =
        MakeGrpcTransport(std::move(next), clock_, &guarded_work_);
    if (made.ok()) return *std::move(made);
    events_->Log(FEDWATT_WARNING, absl::StrCat("cannot follow the forward to ", address, ": ",
                                               StatusText(made.status())));
    return nullptr;
  };
  return deps;
}

void EmbeddedClient::TakeGrpcLine(GrpcLogLevel level, const std::string& line) {
  if (++grpc_lines_ > kMaxGrpcLines) {
    --grpc_lines_;
    return;
  }
  loop_.Post([this, level, line] {
    --grpc_lines_;
    events_->Log(level == GrpcLogLevel::kError  ? FEDWATT_WARNING
                 : level == GrpcLogLevel::kInfo ? FEDWATT_INFO
                                                : FEDWATT_DEBUG,
                 "gRPC: " + line);
  });
}

void EmbeddedClient::StartOnce() {
  {
    MutexLock lock(&mutex_);
    if (std::exchange(started_, true)) return;
  }
  session_->Start();
}

absl::StatusOr<int64_t> EmbeddedClient::Tick() {
  {
    MutexLock lock(&mutex_);
    if (background_) {
      return absl::FailedPreconditionError("the client runs in the background; do not tick it");
    }
    if (closed_) return absl::FailedPreconditionError("the client was closed");
  }
  StartOnce();
  return loop_.Run();
}

absl::Status EmbeddedClient::RunInBackground() {
  {
    MutexLock lock(&mutex_);
    if (closed_) return absl::FailedPreconditionError("the client was closed");
    if (std::exchange(background_, true)) {
      return absl::FailedPreconditionError("the client runs in the background already");
    }
    runner_ = std::thread([this] { RunLoop(); });
  }
  StartOnce();
  return absl::OkStatus();
}

void EmbeddedClient::RunLoop() {
  while (true) {
    const absl::StatusOr<int64_t> next_ms = loop_.Run();
    // A tick that began before the runner is let end.
    const bool busy = absl::IsFailedPrecondition(next_ms.status());
    if (!next_ms.ok() && !busy) {
      events_->Log(FEDWATT_ERROR,
                   absl::StrCat("the client cannot go on: ", StatusText(next_ms.status())));
      return;
    }
    MutexLock lock(&mutex_);
    if (quit_) return;
    if (!woken_) {
      if (busy) {
        changed_.WaitFor(&mutex_, kLookUs);
      } else if (*next_ms == HostLoop::kUntilWoken) {
        changed_.Wait(&mutex_);
      } else if (*next_ms > 0) {
        changed_.WaitFor(&mutex_, *next_ms * 1000);
      }
    }
    woken_ = false;
    if (quit_) return;
  }
}

void EmbeddedClient::WakeUp() {
  {
    MutexLock lock(&mutex_);
    if (background_ || closed_) {
      woken_ = true;
      changed_.NotifyAll();
      return;
    }
  }
  events_->Wake();
}

absl::Status EmbeddedClient::CancelWork(const std::string& reason) {
  session_->CancelWork(reason);
  return absl::OkStatus();
}

bool EmbeddedClient::WaitForStop(int64_t until_us) {
  while (true) {
    // With a runner the loop is busy or idle; both are well.
    const absl::StatusOr<int64_t> ran = loop_.Run();
    if (!ran.ok() && !absl::IsFailedPrecondition(ran.status())) return true;  // broken
    MutexLock lock(&mutex_);
    if (stopped_) return true;
    const int64_t left_us = until_us - clock_->MonotonicUs();
    if (left_us <= 0) return false;
    changed_.WaitFor(&mutex_, std::min(left_us, kLookUs));
    if (stopped_) return true;
  }
}

void EmbeddedClient::EndRunner() {
  {
    MutexLock lock(&mutex_);
    quit_ = true;
  }
  changed_.NotifyAll();
  if (runner_.joinable()) runner_.join();
}

absl::Status EmbeddedClient::Close(int64_t timeout_ms) {
  {
    MutexLock lock(&mutex_);
    closed_ = true;
  }
  session_->Stop([this] {
    MutexLock lock(&mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  });
  const int64_t until_us = clock_->MonotonicUs() + std::max<int64_t>(timeout_ms, 0) * 1000;
  const bool stopped = WaitForStop(until_us);
  give_up_ = true;
  EndRunner();
  grpc_log_.reset();
  loop_.Finish();
  session_.reset();
  transport_->CancelAll();
  transport_.reset();
  work_.Shutdown();
  if (stopped && !callbacks_.hangs()) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("the client is closed, but a call of the app's trainer or data source has not "
                   "come back for ",
                   timeout_ms, " ms; what it uses must stay valid until it does"));
}

}  // namespace fedwatt
