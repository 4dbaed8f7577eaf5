#pragma once

#include <cstdint>
#include <functional>
#include <memory>

// What calls a meter while its windows are open: a thread in programs, a test's own hand in tests.
namespace fedwatt {

// Calls between Resume and Pause only. One more call may be under way when Pause returns; none is
// after destruction, which waits for it.
class PollTimer {
 public:
  virtual ~PollTimer() = default;
  virtual void Resume() = 0;
  virtual void Pause() = 0;
};

// `poll` is called about every `period_us`, from a thread of the timer's. The timer starts paused.
using PollTimerFactory =
    std::function<std::unique_ptr<PollTimer>(int64_t period_us, std::function<void()> poll)>;

// A thread that sleeps while it is paused. Thread-safe.
std::unique_ptr<PollTimer> StartThreadPollTimer(int64_t period_us, std::function<void()> poll);

}  // namespace fedwatt
