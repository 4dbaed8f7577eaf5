#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "client/app/client_config.h"
#include "client/sdk/session.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/signals.h"

namespace fedwatt::client {

// Decides when an agent that was not started to run for ever has done its part. Lives on the
// session's executor.
class ExitRule {
 public:
  // `once`: assignments whose outcome is known; `idle_ms`: time without work. 0: not a reason.
  ExitRule(uint64_t once, int64_t idle_ms, const Clock* clock);

  void OnEvent(const SessionEvent& event);
  // True once one of the reasons holds.
  bool Done() const;
  // What the process ends with: kRefused or kUnreachable if nothing but that ever happened.
  int exit_code() const;

 private:
  const uint64_t once_;
  const int64_t idle_ms_;
  const Clock* const clock_;
  std::set<std::string> active_;  // assigned, not yet reported or resolved
  uint64_t resolved_ = 0;
  int64_t active_us_ = 0;  // when there was work last
  bool worked_ = false;
  bool denied_ = false;  // the last thing heard
  bool unreachable_ = false;
};

// Runs fedwatt-client until `shutdown`, and returns its exit code.
int RunAgent(const ClientConfig& config, const Clock& clock, ShutdownSignal* shutdown);

// --check: one line per part on standard output.
int RunCheck(const ClientConfig& config, const Clock& clock);

}  // namespace fedwatt::client
