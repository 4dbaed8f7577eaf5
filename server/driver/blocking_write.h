#pragma once

#include <functional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/store/store.h"

namespace fedwatt {

// Waits until the batch is durable or has failed; for calls that answer in their return value. Not
// on a thread that the store needs for its callbacks.
absl::Status WriteAndWait(Store* store, std::vector<StoreWrite> batch);

// The general form: waits for the callback that `start` is given.
absl::Status WaitFor(const std::function<void(absl::AnyInvocable<void(absl::Status)>)>& start);

}  // namespace fedwatt
