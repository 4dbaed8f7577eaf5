#include "tests/e2e/wait_until.h"

#include <poll.h>

#include "common/base/clock.h"

namespace fedwatt::e2e {
namespace {

constexpr int kLookAgainMs = 5;

}  // namespace

testing::AssertionResult WaitUntil(const std::string& what, const std::function<bool()>& condition,
                                   int64_t timeout_ms) {
  const SystemClock clock;
  const int64_t deadline_us = clock.MonotonicUs() + timeout_ms * 1000;
  while (!condition()) {
    if (clock.MonotonicUs() > deadline_us) {
      return testing::AssertionFailure() << "waited " << timeout_ms << " ms in vain for " << what;
    }
    poll(nullptr, 0, kLookAgainMs);
  }
  return testing::AssertionSuccess();
}

}  // namespace fedwatt::e2e
