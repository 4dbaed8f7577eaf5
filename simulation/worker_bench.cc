#include "simulation/worker_bench.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/mutex.h"

namespace fedwatt {
namespace {

struct Ticket {
  TrainRequest request;
  std::atomic<bool> cancel{false};
  std::optional<absl::StatusOr<TrainResult>> result;  // guarded by the bench's mutex
};
using TicketPtr = std::shared_ptr<Ticket>;

class WorkerBench final : public TrainingBench {
 public:
  WorkerBench(std::string name, std::vector<std::string> formats, int workers,
              std::function<std::unique_ptr<Trainer>()> make)
      : name_(std::move(name)), formats_(std::move(formats)), make_(std::move(make)) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { Work(); });
  }

  ~WorkerBench() override {
    {
      MutexLock lock(&mutex_);
      closed_ = true;
      for (const auto& [id, ticket] : tickets_) ticket->cancel = true;
      changed_.NotifyAll();
    }
    for (std::thread& thread : threads_) thread.join();
  }

  std::string name() const override { return name_; }
  std::vector<std::string> artifact_formats() const override { return formats_; }
  bool needs_disk() const override { return true; }

  void Begin(const TrainRequest& request, int64_t due_ms) override {
    // A device's own buffers change with its training, which may never come to its end.
    if (!request.local_buffers_path.empty()) return;
    auto ticket = std::make_shared<Ticket>();
    ticket->request = request;
    // A device that dies has none of it.
    ticket->request.output_path = absl::StrCat(request.output_path, ".early");
    Push(due_ms, std::move(ticket));
  }

  absl::StatusOr<TrainResult> Take(const TrainRequest& request,
                                   const std::atomic<bool>& cancel) override {
    if (cancel) {
      Drop(request.assignment_id);
      return absl::CancelledError("training was cancelled");
    }
    TicketPtr ticket = Find(request.assignment_id);
    if (ticket == nullptr) {
      ticket = std::make_shared<Ticket>();
      ticket->request = request;
      Push(INT64_MIN, ticket);
    }
    absl::StatusOr<TrainResult> result = Await(ticket);
    Forget(request.assignment_id);
    if (result.ok() && ticket->request.output_path != request.output_path &&
        FileExists(ticket->request.output_path)) {
      const absl::Status moved = RenameFile(ticket->request.output_path, request.output_path);
      if (!moved.ok()) return moved;
    }
    return result;
  }

  void Drop(const std::string& assignment_id) override {
    const TicketPtr ticket = Find(assignment_id);
    if (ticket == nullptr) return;
    ticket->cancel = true;
    // Its files are the device's: nothing may write there once it is gone.
    (void)Await(ticket);
    Forget(assignment_id);
    (void)RemoveIfExists(ticket->request.output_path);
  }

 private:
  void Push(int64_t due_ms, TicketPtr ticket) {
    MutexLock lock(&mutex_);
    tickets_[ticket->request.assignment_id] = ticket;
    queue_.emplace(due_ms, std::move(ticket));
    changed_.NotifyAll();
  }

  TicketPtr Find(const std::string& id) {
    MutexLock lock(&mutex_);
    const auto found = tickets_.find(id);
    return found == tickets_.end() ? nullptr : found->second;
  }

  void Forget(const std::string& id) {
    MutexLock lock(&mutex_);
    tickets_.erase(id);
  }

  absl::StatusOr<TrainResult> Await(const TicketPtr& ticket) {
    MutexLock lock(&mutex_);
    while (!ticket->result.has_value()) changed_.Wait(&mutex_);
    return *ticket->result;
  }

  void Work() {
    const std::unique_ptr<Trainer> trainer = make_();
    while (true) {
      TicketPtr ticket;
      {
        MutexLock lock(&mutex_);
        while (queue_.empty() && !closed_) changed_.Wait(&mutex_);
        if (queue_.empty()) return;
        ticket = std::move(queue_.begin()->second);
        queue_.erase(queue_.begin());
      }
      absl::StatusOr<TrainResult> result = absl::CancelledError("training was cancelled");
      if (!ticket->cancel) {
        result = trainer->Run(ticket->request, ticket->cancel, [](const TrainProgress&) {});
      }
      MutexLock lock(&mutex_);
      ticket->result = std::move(result);
      changed_.NotifyAll();
    }
  }

  const std::string name_;
  const std::vector<std::string> formats_;
  const std::function<std::unique_ptr<Trainer>()> make_;
  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, TicketPtr> tickets_ ABSL_GUARDED_BY(mutex_);
  std::multimap<int64_t, TicketPtr> queue_ ABSL_GUARDED_BY(mutex_);  // by when they are due
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<TrainingBench> MakeWorkerBench(std::string name,
                                               std::vector<std::string> artifact_formats,
                                               int workers,
                                               std::function<std::unique_ptr<Trainer>()> make) {
  return std::make_unique<WorkerBench>(std::move(name), std::move(artifact_formats), workers,
                                       std::move(make));
}

}  // namespace fedwatt
