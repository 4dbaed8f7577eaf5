#include "client/trainers/worker/worker_trainer.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/cpu_time.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

constexpr int kWorkerFd = 3;
constexpr int64_t kPollMs = 50;  // how soon a cancellation is seen
constexpr int64_t kDeathWaitMs = 2'000;
constexpr int64_t kTotalGraceMs = 5'000;  // for writing the result after the time limit's check

}  // namespace

// What the watchdog compares the clock with.
struct WorkerTrainer::Watch {
  int64_t step_limit_us;
  int64_t total_limit_us;
  int64_t started_us;
  int64_t last_sign_us;
  bool alive = false;  // has given a first sign
  bool cancelled = false;
};

WorkerTrainer::WorkerTrainer(WorkerTrainerOptions options, const Clock* clock)
    : options_(std::move(options)), clock_(clock) {}

WorkerTrainer::~WorkerTrainer() { EndProcess(); }

absl::Status WorkerTrainer::EnsureProcess(uint64_t memory_limit_bytes) {
  const bool fits =
      process_ && process_->child.running() && process_->memory_limit_bytes == memory_limit_bytes;
  if (fits) return absl::OkStatus();
  EndProcess();
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return absl::InternalError(absl::StrCat("no socket pair: ", std::strerror(errno)));
  }
  SubprocessOptions spawn;
  spawn.argv = {options_.program};
  spawn.argv.insert(spawn.argv.end(), options_.args.begin(), options_.args.end());
  spawn.argv.insert(spawn.argv.end(), {"--fd", absl::StrCat(kWorkerFd)});
  // One thread: fleets share cores, and equal bits need equal splits.
  spawn.env = {"OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1"};
  spawn.fds = {{pair[1], kWorkerFd}};
  spawn.max_data_bytes = memory_limit_bytes;
  auto child = Subprocess::Spawn(spawn);
  close(pair[1]);
  if (!child.ok()) {
    close(pair[0]);
    return Annotate(child.status(), "cannot start the trainer process");
  }
  process_ = std::make_unique<Process>();
  process_->child = *std::move(child);
  process_->fd = pair[0];
  process_->memory_limit_bytes = memory_limit_bytes;
  pid_ = process_->child.pid();
  return absl::OkStatus();
}

void WorkerTrainer::EndProcess() {
  if (!process_) return;
  const auto spent = ProcessCpuTimeUs(process_->child.pid());
  pid_ = 0;
  if (spent.ok()) ended_cpu_us_ += *spent;
  close(process_->fd);
  process_.reset();  // kills and reaps
}

// Why the process closed its end.
absl::Status WorkerTrainer::DeathNote() {
  const auto exit = process_->child.Wait(kDeathWaitMs);
  const uint64_t limit = process_->memory_limit_bytes;
  EndProcess();
  const std::string how = exit.ok() ? exit->ToString() : "it closed its end but still ran";
  if (exit.ok() && exit->signal == SIGXCPU) {
    return absl::InternalError(
        "the trainer process used more processor time than its limit of wall time allows one "
        "thread, and was ended: the model runs several threads at once, which it may not");
  }
  return absl::InternalError(absl::StrCat("the trainer process died while it worked: ", how,
                                          " (its memory limit is ", HumanBytes(limit),
                                          "; raise --memory-limit if the model needs more)"));
}

absl::StatusOr<TrainResult> WorkerTrainer::Run(
    const TrainRequest& request, const std::atomic<bool>& cancel,
    const std::function<void(const TrainProgress&)>& progress) {
  uint64_t memory = options_.memory_limit_bytes;
  if (request.plan.memory_limit_bytes > 0) {
    memory = std::min(memory, request.plan.memory_limit_bytes);
  }
  FW_RETURN_IF_ERROR(EnsureProcess(memory));
  return Converse(request, cancel, progress);
}

absl::StatusOr<TrainResult> WorkerTrainer::Converse(
    const TrainRequest& request, const std::atomic<bool>& cancel,
    const std::function<void(const TrainProgress&)>& progress) {
  WorkerChannel channel(process_->fd);
  if (const absl::Status sent = channel.Send(WorkerRequest(WorkerRun{request, options_.device}));
      !sent.ok()) {
    return DeathNote();
  }
  int64_t total_ms = request.plan.time_limit_ms;
  if (request.time_left_ms > 0) total_ms = std::min(total_ms, request.time_left_ms);
  FW_RETURN_IF_ERROR(process_->child.LimitCpu((total_ms + 999) / 1000 + options_.cpu_grace_s));
  const int64_t now_us = clock_->MonotonicUs();
  Watch watch{.step_limit_us = request.plan.step_time_limit_ms * 1000,
              .total_limit_us = (total_ms + kTotalGraceMs) * 1000,
              .started_us = now_us,
              .last_sign_us = now_us};
  while (true) {
    const auto event = channel.ReceiveEvent(kPollMs);
    const int64_t at_us = clock_->MonotonicUs();
    if (event.ok()) {
      watch.last_sign_us = at_us;
      watch.alive = true;
      if (const auto* step = std::get_if<WorkerProgress>(&*event)) {
        if (progress) progress(step->progress);
      } else if (const auto* done = std::get_if<WorkerDone>(&*event)) {
        return done->result;
      } else {
        return std::get<WorkerError>(*event).status;
      }
    } else if (!absl::IsDeadlineExceeded(event.status())) {
      return DeathNote();
    }
    if (cancel && !watch.cancelled) {
      watch.cancelled = true;
      if (!channel.Send(WorkerRequest(WorkerCancel{})).ok()) return DeathNote();
    }
    const int64_t silent_limit_us =
        watch.alive ? watch.step_limit_us
                    : std::max(watch.step_limit_us, options_.start_limit_ms * 1000);
    if (at_us - watch.last_sign_us > silent_limit_us) {
      EndProcess();
      return absl::DeadlineExceededError(
          absl::StrCat("the model made no progress for ", silent_limit_us / 1000,
                       " ms; the watchdog ended the trainer process (plan.step_time_limit_ms = ",
                       request.plan.step_time_limit_ms, ")"));
    }
    if (at_us - watch.started_us > watch.total_limit_us) {
      EndProcess();
      return absl::DeadlineExceededError(
          absl::StrCat("training took longer than its limit of ", total_ms,
                       " ms; the watchdog ended the trainer process (plan.time_limit_ms = ",
                       request.plan.time_limit_ms, ")"));
    }
  }
}

int64_t WorkerTrainer::ChildCpuTimeUs() const {
  const pid_t pid = pid_;
  const int64_t running = pid > 0 ? ProcessCpuTimeUs(pid).value_or(0) : 0;
  return ended_cpu_us_ + running;
}

}  // namespace fedwatt
