#pragma once

// Plans that the process died of. A trainer in a process of its own cannot take the client with it,
// but one inside of an app can, and so can a device that runs out of memory: what kills the app at
// every start has to stop by itself.
//
// A plan is what a job has this device do: it stays the same over the job's rounds. A process that
// is killed for another reason counts as well, hence two deaths, forgotten once a training of the
// plan comes to an end, after kForgetMs, and with a new version of the SDK or the app. A checkpoint
// is no such end: a plan that gets a little further before each death kills all the same.
//
// A machine that went down meanwhile (its battery died, its owner restarted it) took every process
// with it. Such a death counts half, and not nothing: a plan that overheats or drains the device,
// or brings its kernel down, has to stop by itself, too.

#include <cstdint>
#include <map>
#include <string>

#include "common/model/fleet.h"

namespace fedwatt {

// One thread at a time.
class PlanQuarantine {
 public:
  static constexpr uint32_t kMaxDeaths = 2;  // a death across a reboot is half of one
  static constexpr int64_t kForgetMs = int64_t{7} * 24 * 3600 * 1000;
  static constexpr size_t kMaxPlans = 64;  // the oldest death is forgotten beyond it

  struct Device {
    std::string trainer;
    std::string sdk_version;
    std::string app_version;
  };
  // Of job, kind of work, bundle, data set and device.
  static std::string KeyOf(const Assignment& assignment, const Device& device);

  // `path`: a small file (small_file.h). What is not there or damaged is an empty one. `now_ms`:
  // wall clock, to forget by; what lies in the future is kept.
  static PlanQuarantine Load(const std::string& path, int64_t now_ms);

  const std::string& path() const { return path_; }
  // What the file has to hold now; the owner writes it, durably.
  std::string Content() const;

  struct Count {
    uint32_t deaths = 0;   // of the process, in a machine that went on
    uint32_t reboots = 0;  // of the machine

    bool enough() const { return 2 * deaths + reboots >= 2 * kMaxDeaths; }
    std::string ToString() const;  // "2 deaths of the process and 1 reboot"
  };
  Count Deaths(const std::string& key) const;
  // The count with this one.
  Count AddDeath(const std::string& key, bool rebooted, int64_t now_ms);
  // True if there was something to forget.
  bool Forgive(const std::string& key) { return plans_.erase(key) > 0; }

 private:
  struct Plan {
    Count count;
    int64_t last_ms = 0;
  };

  explicit PlanQuarantine(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::map<std::string, Plan> plans_;
};

}  // namespace fedwatt
