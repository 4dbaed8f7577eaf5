#include "server/cli/job_text.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/bytes.h"
#include "common/base/hex.h"
#include "common/wire/schema_words.h"
#include "server/cli/text_table.h"

namespace fedwatt::cli {
namespace {

std::string Joules(int64_t microjoules) {
  const double joules = static_cast<double>(microjoules) * 1e-6;
  if (joules >= 1e6) return absl::StrFormat("%.2f MJ", joules * 1e-6);
  if (joules >= 1e4) return absl::StrFormat("%.2f kJ", joules * 1e-3);
  return absl::StrFormat("%.*f J", joules < 10 ? 2 : 1, joules);
}

template <typename Enum>
std::string Word(const google::protobuf::EnumDescriptor* type, Enum value) {
  const auto* found = type->FindValueByNumber(static_cast<int>(value));
  return found == nullptr ? "?" : wire::EnumWord(*found);
}

constexpr size_t kMaxReasonShown = 60;

std::string Shortened(const std::string& text) {
  return text.size() <= kMaxReasonShown ? text : text.substr(0, kMaxReasonShown - 3) + "...";
}

std::string StateWord(const v1::Job& job) { return Word(v1::JobState_descriptor(), job.state()); }

std::string Percent(double share) { return absl::StrFormat("%.1f %%", share * 100); }

std::string BestText(const v1::Job& job) {
  const std::string& metric = job.spec().stop().metric();
  if (metric == "accuracy") return "accuracy " + Percent(job.best_metric());
  return absl::StrFormat("%s %.4f", metric, job.best_metric());
}

// The held-out evaluation where there is one, else what clients saw after training.
const v1::MetricSummary& BestKnown(const v1::RoundSummary& round) {
  return round.has_evaluation() ? round.evaluation() : round.train_after();
}

std::string MetricText(const v1::RoundSummary& round) {
  const v1::MetricSummary& metrics = BestKnown(round);
  std::vector<std::string> parts;
  if (metrics.has_accuracy()) parts.push_back("accuracy " + Percent(metrics.accuracy()));
  if (metrics.has_loss()) parts.push_back(absl::StrFormat("loss %.4f", metrics.loss()));
  for (const auto& [name, value] : metrics.named()) {
    parts.push_back(absl::StrFormat("%s %.4g", name, value));
  }
  if (parts.empty()) return "no metric";
  if (!round.has_evaluation()) parts.emplace_back("(on clients' own data)");
  if (!round.reason().empty()) parts.push_back("(" + round.reason() + ")");
  return absl::StrJoin(parts, "  ");
}

std::string Bytes(const v1::RoundSummary& round) {
  return absl::StrCat("up ", HumanBytes(round.bytes_up()), "  down ",
                      HumanBytes(round.bytes_down()));
}

bool HasUnavailable(const v1::Job& job) {
  return std::any_of(job.energy().begin(), job.energy().end(),
                     [](const v1::EnergyTotal& total) { return total.unavailable() > 0; });
}

}  // namespace

std::string EnergyText(const google::protobuf::RepeatedPtrField<v1::EnergyTotal>& totals) {
  std::vector<std::string> parts;
  for (const v1::EnergyTotal& total : totals) {
    const uint64_t known = total.samples() - std::min(total.samples(), total.unavailable());
    if (known == 0) {
      parts.push_back(absl::StrCat(total.samples(), " samples unavailable",
                                   total.source() == "none" ? "" : " from " + total.source()));
      continue;
    }
    std::string text =
        absl::StrCat(Joules(total.useful_uj() + total.wasted_uj()), " ",
                     Word(v1::EnergyQuality_descriptor(), total.quality()), " (", total.source(),
                     ", ", Word(v1::EnergyScope_descriptor(), total.scope()), ")");
    if (total.wasted_uj() > 0) absl::StrAppend(&text, ", ", Joules(total.wasted_uj()), " wasted");
    if (total.unavailable() > 0) {
      absl::StrAppend(&text, ", ", total.unavailable(), " samples without a figure");
    }
    parts.push_back(text);
  }
  return parts.empty() ? "none reported" : absl::StrJoin(parts, " + ");
}

std::string ShortEnergyText(const google::protobuf::RepeatedPtrField<v1::EnergyTotal>& totals) {
  std::vector<std::string> parts;
  uint64_t unavailable = 0;
  for (const v1::EnergyTotal& total : totals) {
    unavailable += total.unavailable();
    if (total.unavailable() >= total.samples()) continue;
    parts.push_back(absl::StrCat(Joules(total.useful_uj() + total.wasted_uj()), " ",
                                 Word(v1::EnergyQuality_descriptor(), total.quality()), " (",
                                 total.source(), ")"));
  }
  if (unavailable > 0) parts.push_back(absl::StrCat(unavailable, " unavailable"));
  return parts.empty() ? "no joules reported" : absl::StrJoin(parts, " + ");
}

std::string RoundLine(const v1::RoundSummary& round, uint64_t rounds_total,
                      std::optional<int64_t> left_ms) {
  const std::string head =
      absl::StrFormat("round %*d/%d", static_cast<int>(absl::StrCat(rounds_total).size()),
                      round.key().round(), rounds_total);
  if (round.phase() == "abandoned") {
    return absl::StrCat(head, round.key().evaluation() ? "  evaluation" : "",
                        "  abandoned (attempt ", round.key().attempt(), "): ", round.reason());
  }
  std::string line = absl::StrCat(head, "  ", round.phase(), "  ", round.reported(), "/",
                                  round.assigned(), " reports");
  if (round.failed() > 0) absl::StrAppend(&line, ", ", round.failed(), " failed");
  if (round.late() > 0) absl::StrAppend(&line, ", ", round.late(), " late");
  absl::StrAppend(&line, "  ", MetricText(round), "  ", Bytes(round), "  ",
                  ShortEnergyText(round.energy()));
  if (left_ms) absl::StrAppend(&line, "  left ", HumanDuration(*left_ms));
  return line;
}

std::string StatusLine(const v1::Job& job, std::optional<int64_t> left_ms) {
  const v1::RoundSummary& now = job.current();
  const bool evaluating = now.key().evaluation();
  std::string line = absl::StrCat(evaluating ? "evaluating round " : "round ", now.key().round(),
                                  "/", job.spec().rounds(), "  ", now.phase());
  if (now.key().attempt() > 1) absl::StrAppend(&line, "  attempt ", now.key().attempt());
  if (now.assigned() > 0) absl::StrAppend(&line, "  ", now.reported(), "/", now.assigned());
  if (!now.reason().empty()) absl::StrAppend(&line, "  ", now.reason());
  if (left_ms) absl::StrAppend(&line, "  left ", HumanDuration(*left_ms));
  absl::StrAppend(&line, "  up ", HumanBytes(job.bytes_up()), "  down ",
                  HumanBytes(job.bytes_down()), "  ", ShortEnergyText(job.energy()));
  return line;
}

std::string JobSummary(const v1::Job& job) {
  std::vector<std::vector<std::string>> rows = {{"job", job.id()}};
  std::string state = StateWord(job);
  if (!job.stop_reason().empty() && job.stop_reason() != state) {
    absl::StrAppend(&state, " (", job.stop_reason(), ")");
  }
  if (!job.reason().empty()) absl::StrAppend(&state, ": ", job.reason());
  rows.push_back({"state", state});
  rows.push_back({"rounds", absl::StrCat(job.rounds_done(), " of ", job.spec().rounds())});
  if (job.rounds_size() > 0) {
    rows.push_back({"last round", MetricText(*job.rounds().rbegin())});
  }
  if (job.has_best_metric()) {
    rows.push_back({"best", absl::StrFormat("%s (round %d)", BestText(job), job.best().version())});
  }
  const int64_t end_ms = job.ended_ms();
  if (end_ms > job.created_ms()) {
    rows.push_back({"time", HumanDuration(end_ms - job.created_ms())});
  }
  rows.push_back({"bytes up", HumanBytes(job.bytes_up())});
  rows.push_back({"bytes down", HumanBytes(job.bytes_down())});
  rows.push_back({"energy", EnergyText(job.energy())});
  if (HasUnavailable(job)) {
    rows.push_back(
        {"", "(unavailable: for example, a report leaves before its first upload is metered)"});
  }
  rows.push_back({"model hash", HexEncode(AsBytes(job.last().sha256()))});
  std::string out;
  for (const auto& row : rows) out += absl::StrFormat("  %-14s %s\n", row[0], row[1]);
  return out;
}

std::string JobTable(const v1::ListJobsResponse& jobs) {
  if (jobs.jobs_size() == 0) return "no jobs; submit one with `fedwatt run job.toml`\n";
  std::vector<std::vector<std::string>> rows = {
      {"job", "state", "rounds", "phase or reason", "best", "energy"}};
  for (const v1::Job& job : jobs.jobs()) {
    rows.push_back(
        {job.id(), StateWord(job), absl::StrCat(job.rounds_done(), "/", job.spec().rounds()),
         Shortened(job.state() == v1::JOB_STATE_RUNNING ? job.current().phase() : job.reason()),
         job.has_best_metric() ? BestText(job) : "-", ShortEnergyText(job.energy())});
  }
  return TextTable(rows);
}

std::string CodecText(const google::protobuf::Map<std::string, uint32_t>& codecs) {
  // A protobuf map has no order.
  const std::map<std::string, uint32_t> sorted(codecs.begin(), codecs.end());
  std::vector<std::string> parts;
  for (const auto& [codec, assignments] : sorted) {
    parts.push_back(sorted.size() == 1 ? codec : absl::StrCat(codec, " x", assignments));
  }
  return parts.empty() ? "-" : absl::StrJoin(parts, ", ");
}

std::optional<int64_t> TimeLeftMs(const v1::Job& job, int64_t first_started_ms, int64_t now_ms) {
  const uint64_t total = job.spec().rounds();
  if (job.rounds_done() == 0 || job.rounds_done() >= total || now_ms < first_started_ms) {
    return std::nullopt;
  }
  const int64_t per_round = (now_ms - first_started_ms) / static_cast<int64_t>(job.rounds_done());
  return per_round * static_cast<int64_t>(total - job.rounds_done());
}

}  // namespace fedwatt::cli
