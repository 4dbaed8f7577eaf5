#include <malloc.h>

#include <cstdlib>
#include <optional>
#include <thread>

#include "client/datasets/recent_datasets.h"
#include "client/trainers/torch/tool/commands.h"
#include "client/trainers/torch/torch_trainer.h"
#include "client/trainers/worker/worker_protocol.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace fedwatt::tool {
namespace {

constexpr int64_t kProgressIntervalUs = 200'000;

// Reads the client's messages while another thread trains.
class Inbox {
 public:
  explicit Inbox(int fd) : channel_(fd) {}

  // Thread: ends the process when the client closes the connection or sends what is no message,
  // since nobody is left who wants a result.
  void ReadForEver() {
    while (true) {
      absl::StatusOr<WorkerRequest> request = channel_.ReceiveRequest(-1);
      if (absl::IsDeadlineExceeded(request.status())) continue;  // interrupted by a signal
      if (!request.ok()) std::_Exit(0);
      if (std::holds_alternative<WorkerCancel>(*request)) {
        cancel_ = true;
        continue;
      }
      MutexLock lock(&mutex_);
      cancel_ = false;
      next_ = std::get<WorkerRun>(*std::move(request));
      arrived_.NotifyOne();
    }
  }

  WorkerRun Next() {
    MutexLock lock(&mutex_);
    while (!next_.has_value()) arrived_.Wait(&mutex_);
    WorkerRun run = *std::move(next_);
    next_.reset();
    return run;
  }

  const std::atomic<bool>& cancel() const { return cancel_; }

 private:
  WorkerChannel channel_;
  std::atomic<bool> cancel_{false};
  Mutex mutex_;
  CondVar arrived_;
  std::optional<WorkerRun> next_ ABSL_GUARDED_BY(mutex_);
};

// Tells the client how far the work is, at most every 200 ms; of the first step and of a checkpoint
// at once, so that the client can tell one that was found from one that was written.
class ProgressSender {
 public:
  ProgressSender(WorkerChannel* channel, const Clock* clock, bool evaluation)
      : channel_(channel), clock_(clock), evaluation_(evaluation) {}

  void operator()(const TrainProgress& progress) {
    const int64_t now_us = clock_->MonotonicUs();
    const bool saved = progress.steps_saved != saved_;
    const bool first_step = !stepped_ && progress.steps_done > 0;
    if (sent_ && !saved && !first_step && now_us - last_us_ < kProgressIntervalUs) return;
    sent_ = true;
    stepped_ |= first_step;
    last_us_ = now_us;
    saved_ = progress.steps_saved;
    const bool training = !evaluation_ && progress.steps_done < progress.steps_total;
    // A client that is gone ends this process by way of the inbox.
    (void)channel_->Send(WorkerEvent(WorkerProgress{progress, training ? "train" : "evaluate"}));
  }

 private:
  WorkerChannel* const channel_;
  const Clock* const clock_;
  const bool evaluation_;
  bool sent_ = false;
  bool stepped_ = false;
  int64_t last_us_ = 0;
  uint64_t saved_ = 0;
};

// A step frees and allocates tensors of megabytes again and again. Left alone, malloc returns them
// to the kernel each time: faulting them in anew took a quarter of the training time.
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // glibc's maximum
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

}  // namespace

absl::Status RunWorker(const WorkerArgs& args, const CommonArgs& common) {
  KeepFreedMemory();
  SystemClock clock;
  WorkerChannel channel(args.fd);
  Inbox inbox(args.fd);
  std::thread reader([&inbox] { inbox.ReadForEver(); });
  reader.detach();
  TorchTrainerOptions options{.open_dataset = KeepRecentDatasets(OpenDataset, args.keep_datasets),
                              .clock = &clock,
                              .device = "",
                              .allow_ops = common.allow_ops};
  std::unique_ptr<Trainer> trainer;
  while (true) {
    const WorkerRun run = inbox.Next();
    if (trainer == nullptr || run.device != options.device) {
      options.device = run.device;
      trainer = MakeTorchTrainer(options);
    }
    ProgressSender progress(&channel, &clock, run.request.kind == AssignmentKind::kEvaluate);
    absl::StatusOr<TrainResult> result =
        trainer->Run(run.request, inbox.cancel(), std::ref(progress));
    malloc_trim(0);  // until the next assignment others need it more
    const WorkerEvent answer = result.ok() ? WorkerEvent(WorkerDone{*std::move(result)})
                                           : WorkerEvent(WorkerError{result.status()});
    if (!channel.Send(answer).ok()) std::_Exit(0);
  }
}

}  // namespace fedwatt::tool
