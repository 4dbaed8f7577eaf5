// A trainer process for worker_trainer_test: `fake_worker BEHAVIOUR --fd N`.

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "client/trainers/worker/worker_protocol.h"

namespace fedwatt {
namespace {

[[noreturn]] void HangForEver() {
  while (true) poll(nullptr, 0, -1);
}

void Serve(const std::string& behaviour, WorkerChannel& channel, const WorkerRun& run) {
  const WorkerProgress first{.progress = {1, 2, 0.5}, .stage = "train"};
  if (behaviour == "hang") HangForEver();
  if (behaviour == "die") raise(SIGKILL);
  if (behaviour == "exit") std::exit(7);
  if (behaviour == "fail") {
    (void)channel.Send(WorkerEvent(WorkerError{absl::InvalidArgumentError("bad plan")}));
    return;
  }
  (void)channel.Send(WorkerEvent(first));
  if (behaviour == "hang-in-step") HangForEver();
  if (behaviour == "burn") {
    for (int i = 0; i < 3; ++i) {
      std::thread([] {
        volatile uint64_t spun = 0;
        while (true) spun = spun + 1;
      }).detach();
    }
    while (channel.Send(WorkerEvent(first)).ok()) poll(nullptr, 0, 10);
  }
  if (behaviour == "garbage") {
    const uint32_t huge = 0x7fffffff;
    (void)!write(3, &huge, sizeof(huge));
    HangForEver();
  }
  if (behaviour == "endless") {
    while (channel.Send(WorkerEvent(first)).ok()) poll(nullptr, 0, 1);
  }
  if (behaviour == "until-cancelled") {
    const auto cancel = channel.ReceiveRequest(-1);
    const bool right = cancel.ok() && std::holds_alternative<WorkerCancel>(*cancel);
    (void)channel.Send(WorkerEvent(WorkerError{right ? absl::CancelledError("as asked")
                                                     : absl::InternalError("not a cancel")}));
    return;
  }
  if (behaviour == "allocate") {
    std::vector<char> big;
    try {
      big.resize(uint64_t{8} << 30);
    } catch (const std::bad_alloc&) {
      (void)channel.Send(WorkerEvent(WorkerError{absl::ResourceExhaustedError("no memory")}));
      return;
    }
  }
  WorkerDone done;
  done.result.weight = run.request.plan.batch_size;
  done.result.output_bytes = static_cast<uint64_t>(getpid());
  done.result.metrics.named["threads"] = std::atof(std::getenv("OPENBLAS_NUM_THREADS"));
  done.result.metrics.named["bundle"] = run.request.bundle_header_sha256[31];
  done.result.metrics.examples = run.request.dataset.options.size();
  (void)channel.Send(WorkerEvent(done));
}

int Main(const std::string& behaviour) {
  WorkerChannel channel(3);
  while (true) {
    const auto request = channel.ReceiveRequest(-1);
    if (!request.ok()) return 0;
    if (const auto* run = std::get_if<WorkerRun>(&*request)) Serve(behaviour, channel, *run);
  }
}

}  // namespace
}  // namespace fedwatt

int main(int argc, char** argv) {
  return argc == 4 && std::strcmp(argv[2], "--fd") == 0 ? fedwatt::Main(argv[1]) : 2;
}
