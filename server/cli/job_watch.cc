#include "server/cli/job_watch.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/wire/message_json.h"
#include "server/cli/exit_codes.h"
#include "server/cli/job_text.h"
#include "server/cli/targets.h"
#include "server/cli/watch_view.h"

namespace fedwatt::cli {
namespace {

constexpr int64_t kRetryMs = 200;

WatchView::Options ViewOptions(const Context& context) {
  WatchView::Options options;
  options.json = context.json;
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string(term) == "dumb";
  options.live = !context.json && !dumb && isatty(STDOUT_FILENO) != 0;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    options.columns = size.ws_col;
  return options;
}

// Ends the client's calls when the user asks for shutdown, for as long as it lives.
class CancelOnShutdown {
 public:
  CancelOnShutdown(ShutdownSignal* shutdown, AdminClient& client) {
    thread_ = std::jthread([shutdown, &client](std::stop_token stop) {
      constexpr int64_t kLookMs = 50;
      while (!stop.stop_requested()) {
        if (shutdown->WaitFor(kLookMs)) {
          client.Cancel();
          return;
        }
      }
    });
  }

 private:
  std::jthread thread_;
};

}  // namespace

absl::StatusOr<v1::Job> WatchUntilEnd(const Context& context, AdminClient& client,
                                      const std::string& job) {
  WatchView view(std::cout, context.clock, ViewOptions(context));
  const CancelOnShutdown cancel(context.shutdown, client);
  uint64_t sequence = 0;
  bool away = false;
  while (true) {
    const absl::Status status =
        client.WatchJob(job, {.after_sequence = sequence, .wait_for_coordinator = away},
                        [&](const v1::JobEvent& event) {
                          sequence = event.sequence();
                          if (std::exchange(away, false)) view.Note("the coordinator is back");
                          view.OnEvent(event);
                          return true;
                        });
    if (context.shutdown->requested()) {
      view.Finish();
      return absl::CancelledError(absl::StrCat("stopped watching; the job goes on: `fedwatt watch ",
                                               job, "` or `fedwatt stop ", job, "`"));
    }
    if (status.ok()) break;
    if (!absl::IsUnavailable(status)) {
      view.Finish();
      return status;
    }
    if (!std::exchange(away, true)) {
      view.Note("the coordinator is away; waiting for it (Ctrl-C stops watching)");
    }
    context.shutdown->WaitFor(kRetryMs);
  }
  view.Finish();
  return client.GetJob(job);
}

int EndOfJob(const Context& context, const v1::Job& job, const std::string& report_path) {
  const std::vector<TargetResult> targets = TargetResults(job);
  if (!context.json) std::cout << "\n" << JobSummary(job) << TargetText(targets);
  if (!report_path.empty()) {
    const absl::Status written = WriteFileAtomic(report_path, wire::MessageToJson(job) + "\n");
    if (!written.ok()) return Fail(context, written);
    if (!context.json) std::cout << "  report         " << report_path << std::endl;
  }
  if (job.state() != v1::JOB_STATE_COMPLETED) return kJobFailed;
  return AllPassed(targets) ? kOk : kTargetMissed;
}

}  // namespace fedwatt::cli
