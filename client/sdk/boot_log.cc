#include "client/sdk/boot_log.h"

#include <sstream>

#include "absl/strings/str_cat.h"
#include "client/sdk/small_file.h"
#include "common/base/file.h"

namespace fedwatt {
namespace {

constexpr size_t kMaxBootId = 256;

}  // namespace

BootLog BootLog::Load(const std::string& path, const std::string& boot_id_file,
                      std::function<int64_t()> boot_time_us, int64_t wall_now_ms) {
  BootLog log(std::move(boot_time_us));
  log.path_ = path;
  std::istringstream(ReadFile(boot_id_file, kMaxBootId).value_or("")) >> log.id_;
  const int64_t now_us = log.boot_time_us_();
  std::istringstream last(ReadSmallFile(path).value_or(""));
  std::string last_id;
  int64_t wall_ms = 0;
  int64_t at_us = 0;
  const bool known = static_cast<bool>(last >> last_id >> wall_ms >> at_us);
  if (known && last_id == log.id_ && at_us <= now_us) {
    log.news_ = false;
    log.wall_ms_ = wall_ms;
    log.at_us_ = at_us;
    return log;
  }
  log.rebooted_ = known && !log.id_.empty() && last_id != log.id_;
  log.wall_ms_ = wall_now_ms;
  log.at_us_ = now_us;
  return log;
}

absl::Status BootLog::Save() const {
  if (!news_ || id_.empty()) return absl::OkStatus();
  return WriteSmallFile(path_, absl::StrCat(id_, " ", wall_ms_, " ", at_us_, "\n"));
}

}  // namespace fedwatt
