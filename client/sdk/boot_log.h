#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"

// The boots of this machine, as far as a state folder saw them: whether it was started anew since
// the folder's last use, and a time that nobody can set.
namespace fedwatt {

// One thread at a time.
class BootLog {
 public:
  // `path`: a small file of the state folder. `boot_id_file`: one line that is another one after
  // each boot (/proc/sys/kernel/random/boot_id). What is not there or damaged: nothing is known.
  // `boot_time_us`: common/base/boot_time.h, or a fake. `wall_ms`: the wall clock now.
  static BootLog Load(const std::string& path, const std::string& boot_id_file,
                      std::function<int64_t()> boot_time_us, int64_t wall_ms);

  // The machine was started anew since the folder's last use; false where that is not known.
  bool rebooted() const { return rebooted_; }

  // The wall clock as it was at the folder's first use in this boot, plus the boot time that has
  // passed since: differences are durations, also between processes of one boot, over suspensions
  // and over any change of the wall clock. Across a boot only the wall clock knows, and may be
  // wrong.
  int64_t NowMs() const { return wall_ms_ + (boot_time_us_() - at_us_) / 1000; }

  // Writes this boot down, if that is news.
  absl::Status Save() const;

 private:
  explicit BootLog(std::function<int64_t()> boot_time_us)
      : boot_time_us_(std::move(boot_time_us)) {}

  std::function<int64_t()> boot_time_us_;
  std::string path_;
  std::string id_;  // of this boot; empty: not known
  bool rebooted_ = false;
  bool news_ = true;
  int64_t wall_ms_ = 0;  // at this boot time:
  int64_t at_us_ = 0;
};

}  // namespace fedwatt
