#include "server/driver/blocking_write.h"

#include <memory>
#include <optional>
#include <utility>

#include "common/base/mutex.h"

namespace fedwatt {
namespace {

struct Answer {
  Mutex mutex;
  CondVar there;
  std::optional<absl::Status> status ABSL_GUARDED_BY(mutex);
};

}  // namespace

absl::Status WaitFor(const std::function<void(absl::AnyInvocable<void(absl::Status)>)>& start) {
  const auto answer = std::make_shared<Answer>();
  start([answer](absl::Status status) {
    MutexLock lock(&answer->mutex);
    answer->status = std::move(status);
    answer->there.NotifyAll();
  });
  MutexLock lock(&answer->mutex);
  while (!answer->status) answer->there.Wait(&answer->mutex);
  return *answer->status;
}

absl::Status WriteAndWait(Store* store, std::vector<StoreWrite> batch) {
  return WaitFor([store, &batch](absl::AnyInvocable<void(absl::Status)> done) {
    store->Write(std::move(batch), std::move(done));
  });
}

}  // namespace fedwatt
