#include "tests/server/round/transcript.h"

#include <map>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "server/round/round.h"

namespace fedwatt {
namespace {

using Words = std::vector<std::string>;

absl::Status Unreadable(const std::string& line) {
  return absl::InvalidArgumentError(absl::StrCat("cannot read \"", line, "\""));
}

BlobRef Blob(uint8_t first_byte) {
  BlobRef blob;
  blob.sha256.fill(first_byte);
  blob.size = 1000 + first_byte;
  return blob;
}

class Transcript {
 public:
  absl::Status Configure(const std::string& line) {
    RoundLimits limits = limits_;
    const std::map<std::string, uint32_t*> counts = {{"goal", &limits.goal},
                                                     {"assign", &limits.assign},
                                                     {"min", &limits.min_reports},
                                                     {"attempts", &limits.max_attempts},
                                                     {"attempt", &key_.attempt}};
    const std::map<std::string, int64_t*> times = {{"selection", &limits.selection_timeout_ms},
                                                   {"deadline", &limits.report_deadline_ms}};
    for (const auto& word : absl::StrSplit(line, ' ')) {
      const Words setting = absl::StrSplit(word, '=');
      const std::string& name = setting[0];
      if (name == "round" || name == "limits") continue;
      if (name == "evaluation") {
        key_.evaluation = true;
      } else if (setting.size() != 2) {
        return Unreadable(line);
      } else if (name == "backoff") {
        const Words range = absl::StrSplit(setting[1], "..");
        if (range.size() != 2 || !absl::SimpleAtoi(range[0], &limits.backoff_initial_ms) ||
            !absl::SimpleAtoi(range[1], &limits.backoff_max_ms)) {
          return Unreadable(line);
        }
      } else if (counts.contains(name)) {
        if (!absl::SimpleAtoi(setting[1], counts.at(name))) return Unreadable(line);
      } else if (!times.contains(name) || !absl::SimpleAtoi(setting[1], times.at(name))) {
        return Unreadable(line);
      }
    }
    limits_ = limits;
    round_.emplace(key_, limits_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Run(const std::string& line) {
    Words words = absl::StrSplit(line.substr(2), ' ');
    if (words[0].starts_with("@")) {
      if (!absl::SimpleAtoi(words[0].substr(1), &now_ms_)) return Unreadable(line);
      words.erase(words.begin());
    }
    if (!round_.has_value() || words.empty()) return Unreadable(line);
    if (words[0] == "resume") return Print(round_->Resume(), round_->phase());
    if (words[0] == "replay") return Replay();
    const std::optional<RoundEvent> event = Parse(words);
    if (!event.has_value()) return Unreadable(line);
    const RoundPhase before = round_->phase();
    const Round old = *round_;
    const RoundActions actions = round_->Step(*event);
    if (!(*round_ == old)) log_.push_back(*event);
    return Print(actions, before);
  }

 private:
  std::optional<RoundEvent> Parse(const Words& words) const {
    const std::string& verb = words[0];
    if (verb == "begin") return BeginAttempt{now_ms_};
    if (verb == "selected") return ClientsSelected{now_ms_, {words.begin() + 1, words.end()}};
    if (verb == "durable") return AssignmentsDurable{now_ms_};
    if (verb == "timer") return TimerFired{now_ms_};
    if (verb == "aggregated") return Aggregated{now_ms_};
    if (verb == "applied") return Applied{now_ms_, Blob(0xee)};
    if (verb == "committed") return CommitDurable{now_ms_};
    if (verb == "stop") return OperatorStopped{now_ms_};
    if (words.size() < 2) return std::nullopt;
    if (verb == "error") return RoundError{now_ms_, Rest(words, 1)};
    uint32_t number = 0;
    if (!absl::SimpleAtoi(words[1], &number)) return std::nullopt;
    if (verb == "candidates") return CandidatesChanged{now_ms_, number};
    if (verb == "left") return ClientsLeft{now_ms_, number};
    if (verb == "fail") return ClientFailed{now_ms_, number, Rest(words, 2)};
    if (verb != "report") return std::nullopt;
    uint64_t weight = 1;
    if (words.size() > 2) {
      const Words setting = absl::StrSplit(words[2], '=');
      if (setting.size() != 2 || !absl::SimpleAtoi(setting[1], &weight)) return std::nullopt;
    }
    return ReportArrived{now_ms_, number, weight, Blob(static_cast<uint8_t>(number))};
  }

  static std::string Rest(const Words& words, size_t from) {
    return absl::StrJoin(words.begin() + from, words.end(), " ");
  }

  std::string Print(const RoundActions& actions, RoundPhase before) const {
    std::string text;
    for (const RoundAction& action : actions) {
      absl::StrAppend(&text, "  ", ToString(action), "\n");
    }
    if (round_->phase() != before) {
      absl::StrAppend(&text, "  -> ", RoundPhaseName(round_->phase()), "\n");
    }
    return text.empty() ? "  nothing\n" : text;
  }

  std::string Replay() const {
    Round again(key_, limits_);
    for (const RoundEvent& event : log_) again.Step(event);
    return absl::StrCat("  ", again == *round_ ? "the same" : "different", " after ", log_.size(),
                        " events\n");
  }

  RoundKey key_{"job", 3, 1, false};
  RoundLimits limits_;
  std::optional<Round> round_;
  std::vector<RoundEvent> log_;
  int64_t now_ms_ = 0;
};

}  // namespace

absl::StatusOr<std::string> RunTranscript(const std::string& script) {
  Transcript transcript;
  std::string out;
  bool below_command = false;
  std::vector<std::string> lines = absl::StrSplit(script, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  for (const std::string& line : lines) {
    if (line.starts_with("  ")) {
      if (!below_command) return Unreadable(line);
      continue;
    }
    absl::StrAppend(&out, line, "\n");
    below_command = line.starts_with("> ");
    if (below_command) {
      FW_ASSIGN_OR_RETURN(const std::string answer, transcript.Run(line));
      out += answer;
    } else if (line.starts_with("round") || line.starts_with("limits")) {
      FW_RETURN_IF_ERROR(transcript.Configure(line));
    } else if (!line.empty() && !line.starts_with("#")) {
      return Unreadable(line);
    }
  }
  return out;
}

}  // namespace fedwatt
