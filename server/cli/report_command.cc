#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/wire/message_json.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/report_view.h"

namespace fedwatt::cli {
namespace {

constexpr size_t kPipeColumns = 120;

// Absent where this coordinator cannot say, which the report then says in words.
absl::StatusOr<std::optional<v1::QueryEnergyResponse>> Ask(AdminClient& client,
                                                           const std::string& job,
                                                           const std::string& by) {
  v1::QueryEnergyRequest request;
  request.set_job(job);
  request.set_by(by);
  auto answer = client.QueryEnergy(request);
  if (answer.ok()) return std::optional<v1::QueryEnergyResponse>(*std::move(answer));
  if (absl::IsUnimplemented(answer.status()) || absl::IsResourceExhausted(answer.status())) {
    return std::optional<v1::QueryEnergyResponse>();
  }
  return answer.status();
}

absl::StatusOr<LedgerAnswers> AskLedger(AdminClient& client, const std::string& job) {
  LedgerAnswers answers;
  FW_ASSIGN_OR_RETURN(answers.by_phase, Ask(client, job, "phase"));
  FW_ASSIGN_OR_RETURN(answers.by_client, Ask(client, job, "client"));
  FW_ASSIGN_OR_RETURN(answers.by_round, Ask(client, job, "round"));
  return answers;
}

absl::Status CheckOptions(const ReportOptions& options) {
  FW_RETURN_IF_ERROR(CheckAssumptions(options.central));
  const double joules = options.joules_per_inference.value_or(1);
  if (std::isfinite(joules) && joules > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("--joules-per-inference = %g: expected a number above 0", joules));
}

absl::StatusOr<ReportView> MakeView(AdminClient& client, const ReportOptions& options) {
  FW_RETURN_IF_ERROR(CheckOptions(options));
  FW_ASSIGN_OR_RETURN(const v1::Job job, client.GetJob(options.job));
  FW_ASSIGN_OR_RETURN(const LedgerAnswers ledger, AskLedger(client, job.id()));
  ReportView view{.data = ArrangeReport(job, ledger),
                  .targets = TargetResults(job),
                  .joules_per_inference = options.joules_per_inference};
  view.central = EstimateCentral(view.data, options.central);
  return view;
}

bool SpeaksUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string lower = absl::AsciiStrToLower(value);
    return absl::StrContains(lower, "utf-8") || absl::StrContains(lower, "utf8");
  }
  return false;
}

// Scripts get every round, in letters that every encoding has.
TerminalOptions OptionsOfTerminal() {
  if (isatty(STDOUT_FILENO) == 0) return {.columns = kPipeColumns, .all_rounds = true};
  TerminalOptions options{.unicode = SpeaksUtf8()};
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    options.columns = size.ws_col;
  }
  return options;
}

}  // namespace

int ReportJob(const Context& context, const ReportOptions& options) {
  const auto client = context.Connect();
  if (!client.ok()) return Fail(context, client.status());
  const auto view = MakeView(**client, options);
  if (!view.ok()) return Fail(context, view.status());
  const std::string json = wire::MessageToJson(view->data.job) + "\n";
  absl::Status written;
  if (!options.output.empty()) written.Update(WriteFileAtomic(options.output, json));
  if (!options.html.empty()) written.Update(WriteFileAtomic(options.html, ReportPage(*view)));
  if (!written.ok()) return Fail(context, written);
  std::cout << (context.json ? json : ReportText(*view, OptionsOfTerminal()));
  if (!context.json && !options.html.empty()) std::cout << "\npage: " << options.html << "\n";
  std::cout << std::flush;
  const bool complete = view->data.job.state() == v1::JOB_STATE_COMPLETED;
  return complete && !AllPassed(view->targets) ? kTargetMissed : kOk;
}

}  // namespace fedwatt::cli
