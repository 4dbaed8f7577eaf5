#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/sdk/trainer.h"
#include "client/trainers/worker/worker_protocol.h"
#include "common/base/clock.h"
#include "common/base/subprocess.h"

// A trainer in a process of its own (`fedwatt-torch worker`): a model that allocates without end,
// loops for ever, takes every processor or crashes ends that process, never the client. It is
// started at the first request, kept between requests (LibTorch takes a second to load), and
// replaced after a death.
namespace fedwatt {

struct WorkerTrainerOptions {
  std::string program;                         // path of fedwatt-torch
  std::vector<std::string> args = {"worker"};  // before "--fd N"
  std::string name = "torch";
  std::vector<std::string> formats = {"torchscript"};
  std::string device = "auto";
  uint64_t memory_limit_bytes = uint64_t{4} << 30;  // RLIMIT_DATA; a plan can only lower it
  int64_t start_limit_ms = 60'000;                  // until the first sign of life of a run
  // RLIMIT_CPU of a run: its time limit and so many seconds more. What is honest works on one
  // thread (and loads on it, hence the grace); this ends a model that starts others.
  int64_t cpu_grace_s = 30;
};

// Run's thread must outlive the trainer's process: the kernel ends the process with the thread
// that started it.
class WorkerTrainer : public Trainer {
 public:
  WorkerTrainer(WorkerTrainerOptions options, const Clock* clock);
  ~WorkerTrainer() override;

  std::string name() const override { return options_.name; }
  std::vector<std::string> artifact_formats() const override { return options_.formats; }

  // Besides Trainer's errors: NOT_FOUND when `program` cannot be started, with where it was looked
  // for. Watchdog: DEADLINE_EXCEEDED when plan.step_time_limit_ms pass without progress, or
  // plan.time_limit_ms (or the assignment's time) in all; the process is killed. INTERNAL: the
  // process died, by itself or for want of memory or processor time.
  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override;

  int64_t ChildCpuTimeUs() const override;

 private:
  struct Process {
    Subprocess child;
    int fd = -1;
    uint64_t memory_limit_bytes = 0;
  };
  struct Watch;

  absl::Status EnsureProcess(uint64_t memory_limit_bytes);
  void EndProcess();
  absl::StatusOr<TrainResult> Converse(const TrainRequest& request, const std::atomic<bool>& cancel,
                                       const std::function<void(const TrainProgress&)>& progress);
  absl::Status DeathNote();

  const WorkerTrainerOptions options_;
  const Clock* const clock_;
  std::unique_ptr<Process> process_;      // touched by Run's thread only
  std::atomic<pid_t> pid_{0};             // of process_, for ChildCpuTimeUs
  std::atomic<int64_t> ended_cpu_us_{0};  // of processes that have ended
};

}  // namespace fedwatt
