#include "client/app/event_log.h"

#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/bytes.h"
#include "common/base/log.h"

namespace fedwatt::client {
namespace {

std::string LossText(const UpdateMetrics& metrics) {
  const std::optional<LossSums>& sums = metrics.after ? metrics.after : metrics.before;
  if (!sums.has_value() || sums->examples == 0) return "unknown";
  return absl::StrFormat("%.4f", sums->loss_sum / static_cast<double>(sums->examples));
}

void LogReport(const SessionEvent& event) {
  const Report& report = *event.report;
  LogInfo("reported", {{"assignment", event.assignment_id},
                       {"examples", absl::StrCat(report.metrics.examples)},
                       {"loss", LossText(report.metrics)},
                       {"down", HumanBytes(report.metrics.bytes_down)},
                       {"up", HumanBytes(report.metrics.bytes_up)},
                       {"energy", EnergyText(report)},
                       {"outcome", event.text}});
}

void LogTransfer(const SessionEvent& event) {
  LogInfo(SessionEventName(event.kind), {{"assignment", event.assignment_id},
                                         {"what", event.text.empty() ? "update" : event.text},
                                         {"from", HumanBytes(event.bytes)},
                                         {"of", HumanBytes(event.total_bytes)}});
}

void LogAssigned(const SessionEvent& event) {
  const Assignment& assignment = *event.assignment;
  LogInfo("assigned", {{"assignment", event.assignment_id},
                       {"what", event.text},
                       {"codec", assignment.codec},
                       {"because", assignment.codec_reason}});
}

void LogPlain(const SessionEvent& event, LogLevel level) {
  if (event.assignment_id.empty() && event.text.empty()) {
    Log(level, SessionEventName(event.kind));
  } else if (event.assignment_id.empty()) {
    Log(level, SessionEventName(event.kind), {{"what", event.text}});
  } else {
    Log(level, SessionEventName(event.kind),
        {{"assignment", event.assignment_id}, {"what", event.text}});
  }
}

}  // namespace

std::string EnergyText(const Report& report) {
  std::map<std::tuple<EnergyQuality, EnergyScope, std::string>, int64_t> figures;
  std::vector<std::string> unavailable;
  for (const EnergySample& sample : report.energy) {
    if (!sample.energy_uj.has_value()) {
      unavailable.emplace_back(PhaseName(sample.phase));
      continue;
    }
    figures[{sample.quality, sample.scope, sample.source}] += *sample.energy_uj;
  }
  std::vector<std::string> parts;
  for (const auto& [kind, energy_uj] : figures) {
    const auto& [quality, scope, source] = kind;
    parts.push_back(absl::StrFormat("%.2f J %s by %s (%s)", static_cast<double>(energy_uj) * 1e-6,
                                    EnergyQualityName(quality), source, EnergyScopeName(scope)));
  }
  if (!unavailable.empty()) {
    parts.push_back(absl::StrCat("unavailable for ", absl::StrJoin(unavailable, ", ")));
  }
  return parts.empty() ? "unavailable" : absl::StrJoin(parts, " + ");
}

void LogSessionEvent(const SessionEvent& event) {
  switch (event.kind) {
    case SessionEventKind::kAssigned:
      return LogAssigned(event);
    case SessionEventKind::kReported:
      return LogReport(event);
    case SessionEventKind::kDownloading:
    case SessionEventKind::kUploading:
      return LogTransfer(event);
    case SessionEventKind::kWaiting:
    case SessionEventKind::kDenied:
      return Log(event.kind == SessionEventKind::kDenied ? LogLevel::kError : LogLevel::kInfo,
                 SessionEventName(event.kind),
                 {{"for", HumanDuration(event.delay_ms)}, {"what", event.text}});
    case SessionEventKind::kResolved:
      return LogInfo("resolved", {{"assignment", event.assignment_id},
                                  {"outcome", OutcomeName(event.outcome)},
                                  {"reason", event.text}});
    case SessionEventKind::kEncoded:
      return LogInfo("encoded",
                     {{"assignment", event.assignment_id}, {"update", HumanBytes(event.bytes)}});
    case SessionEventKind::kTrained:
      return LogInfo("trained", {{"assignment", event.assignment_id},
                                 {"examples", absl::StrCat(event.report->metrics.examples)},
                                 {"steps", absl::StrCat(event.report->metrics.steps)},
                                 {"loss", LossText(event.report->metrics)},
                                 {"what", event.text.empty() ? "in one go" : event.text}});
    case SessionEventKind::kConditions:
      return LogInfo("conditions", {{"what", event.text}});
    case SessionEventKind::kProblem:
    case SessionEventKind::kFailed:
      return LogPlain(event, LogLevel::kWarning);
    default:
      return LogPlain(event, LogLevel::kInfo);
  }
}

}  // namespace fedwatt::client
