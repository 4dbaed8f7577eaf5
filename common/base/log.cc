#include "common/base/log.h"

#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/suggest.h"

namespace fedwatt {
namespace {

constexpr std::array<const char*, 5> kNames = {"debug", "info", "warning", "error", "off"};
constexpr std::array<const char*, 5> kLabels = {"DEBUG", "INFO ", "WARN ", "ERROR", ""};

struct Logging {
  Mutex mutex;
  LogOptions options ABSL_GUARDED_BY(mutex);
  std::function<void(const std::string&)> test_sink ABSL_GUARDED_BY(mutex);
  spdlog::logger out ABSL_GUARDED_BY(mutex);

  Logging() : out("fedwatt", std::make_shared<spdlog::sinks::stderr_sink_st>()) {
    out.set_pattern("%v");
    out.flush_on(spdlog::level::trace);
  }
};

// Never destroyed: threads may still log while the process exits.
Logging& State() {
  static auto* const state = new Logging;
  return *state;
}

std::string Timestamp() {
  const absl::Time now = absl::FromUnixMillis(SystemClock().NowMs());
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone());
}

// A peer's text must not forge a line or move the cursor of the terminal that shows it.
bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

bool NeedsQuotes(const std::string& value) {
  return value.empty() || std::any_of(value.begin(), value.end(), [](char c) {
           return c == ' ' || c == '"' || c == '=' || IsControl(c);
         });
}

std::string OneLine(std::string text) {
  std::replace_if(text.begin(), text.end(), IsControl, ' ');
  return text;
}

std::string Quoted(const std::string& value) {
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string TextLine(const LogOptions& options, LogLevel level, const std::string& message,
                     std::initializer_list<LogField> fields) {
  std::string line = absl::StrCat(Timestamp(), " ", kLabels[static_cast<size_t>(level)], " ");
  if (!options.component.empty()) absl::StrAppend(&line, options.component, ": ");
  absl::StrAppend(&line, OneLine(message));
  for (const LogField& field : fields) {
    absl::StrAppend(&line, " ", field.key, "=",
                    OneLine(NeedsQuotes(field.value) ? Quoted(field.value) : field.value));
  }
  return line;
}

std::string JsonLine(const LogOptions& options, LogLevel level, const std::string& message,
                     std::initializer_list<LogField> fields) {
  nlohmann::ordered_json line;
  line["time"] = Timestamp();
  line["level"] = kNames[static_cast<size_t>(level)];
  if (!options.component.empty()) line["component"] = options.component;
  line["message"] = message;
  for (const LogField& field : fields) line[field.key] = field.value;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(const std::string& name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i]) return static_cast<LogLevel>(i);
  }
  const std::vector<std::string> known(kNames.begin(), kNames.end());
  return absl::InvalidArgumentError(
      absl::StrCat("unknown log level \"", name, "\"", DidYouMean(name, known)));
}

void ConfigureLogging(const LogOptions& options) {
  Logging& state = State();
  MutexLock lock(&state.mutex);
  state.options = options;
}

void Log(LogLevel level, const std::string& message, std::initializer_list<LogField> fields) {
  Logging& state = State();
  MutexLock lock(&state.mutex);
  if (level < state.options.level || level == LogLevel::kOff) return;
  const std::string line = state.options.json ? JsonLine(state.options, level, message, fields)
                                              : TextLine(state.options, level, message, fields);
  if (state.test_sink) {
    state.test_sink(line);
  } else {
    state.out.info(line);
  }
}

void SetLogSinkForTest(std::function<void(const std::string& line)> sink) {
  Logging& state = State();
  MutexLock lock(&state.mutex);
  state.test_sink = std::move(sink);
}

}  // namespace fedwatt
