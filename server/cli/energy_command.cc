#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/wire/message_json.h"
#include "server/carbon/intensity_series.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/ledger_text.h"

namespace fedwatt::cli {
namespace {

// "2026-01-31" is the day's begin.
absl::StatusOr<int64_t> ReadTime(const std::string& flag, const std::string& text) {
  auto time_ms = ParseIsoTime(text.size() == 10 ? absl::StrCat(text, "T00:00:00Z") : text);
  if (!time_ms.ok()) return Annotate(time_ms.status(), flag);
  return time_ms;
}

absl::StatusOr<v1::QueryEnergyRequest> MakeRequest(const EnergyOptions& options) {
  v1::QueryEnergyRequest request;
  request.set_job(options.job);
  request.set_by(options.codecarbon ? "round" : options.by);
  for (const std::string& condition : options.where) request.add_where(condition);
  if (!options.since.empty()) {
    FW_ASSIGN_OR_RETURN(const int64_t since_ms, ReadTime("--since", options.since));
    request.set_since_ms(since_ms);
  }
  if (!options.until.empty()) {
    FW_ASSIGN_OR_RETURN(const int64_t until_ms, ReadTime("--until", options.until));
    request.set_until_ms(until_ms);
  }
  return request;
}

std::string Format(const Context& context, const EnergyOptions& options,
                   const v1::QueryEnergyResponse& answer) {
  if (options.codecarbon) return CodeCarbonCsv(answer);
  if (options.csv) return EnergyCsv(answer);
  if (!context.json) return EnergyTable(answer);
  v1::QueryEnergyResponse sums;
  *sums.mutable_sums() = answer.sums();
  sums.mutable_job()->set_id(answer.job().id());
  return absl::StrCat(wire::MessageToJson(sums), "\n");
}

}  // namespace

int ShowEnergy(const Context& context, const EnergyOptions& options) {
  const auto request = MakeRequest(options);
  if (!request.ok()) return Fail(context, request.status());
  const auto client = context.Connect();
  if (!client.ok()) return Fail(context, client.status());
  const auto answer = (*client)->QueryEnergy(*request);
  if (!answer.ok()) return Fail(context, answer.status());
  const std::string text = Format(context, options, *answer);
  if (options.output.empty()) {
    std::cout << text << std::flush;
    return kOk;
  }
  const absl::Status written = WriteFileAtomic(options.output, text);
  return written.ok() ? kOk : Fail(context, written);
}

}  // namespace fedwatt::cli
