#pragma once

// Log lines on stderr, for people or as JSON.
//
//   LogInfo("round committed", {{"job", id}, {"round", absl::StrCat(round)}});
//
//   2026-01-01T00:00:00.000Z INFO  round committed job=mnist round=3
//   {"time":"2026-01-01T00:00:00.000Z","level":"info","message":"round committed",...}
//
// Thread-safe. Messages are constant texts; what varies goes into fields.

#include <functional>
#include <initializer_list>
#include <string>

#include "absl/status/statusor.h"

namespace fedwatt {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// "debug", "info", "warning", "error", "off".
absl::StatusOr<LogLevel> ParseLogLevel(const std::string& name);

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  bool json = false;
  std::string component;  // shown on every line unless empty
};

// Call once in main, before other threads log. Without it: info and above, for people.
void ConfigureLogging(const LogOptions& options);

struct LogField {
  std::string key;
  std::string value;
};

void Log(LogLevel level, const std::string& message, std::initializer_list<LogField> fields = {});

inline void LogDebug(const std::string& message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, message, fields);
}
inline void LogInfo(const std::string& message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(const std::string& message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(const std::string& message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, message, fields);
}

// For tests: lines (without the newline) go to `sink` instead of stderr. Empty ends it.
void SetLogSinkForTest(std::function<void(const std::string& line)> sink);

}  // namespace fedwatt
