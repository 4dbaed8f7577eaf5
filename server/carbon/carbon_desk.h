#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "server/carbon/carbon_source.h"

namespace fedwatt {

// The carbon sources of one coordinator: its own, by its configuration, and the further regions
// that jobs ask it for. A job can choose the coordinator's source or the table, not a file, an
// address or a token of its own. Thread-safe.
class CarbonDesk {
 public:
  explicit CarbonDesk(CarbonConfig config) : config_(std::move(config)) {}

  // Empty words: the coordinator's own. Makes the source at the first call, which may read a file;
  // it holds figures of a service after the next Refresh. INVALID_ARGUMENT: another source than the
  // table and the configured one. A source's own errors.
  absl::StatusOr<std::shared_ptr<CarbonSource>> For(const std::string& source,
                                                    const std::string& region);

  // Asks every source again. Blocks; call it from time to time on a thread that may wait. Failures
  // are logged, once for each change.
  void Refresh(int64_t now_ms);

  const CarbonConfig& config() const { return config_; }

 private:
  struct Entry {
    std::shared_ptr<CarbonSource> source;
    std::string logged;  // the failure last logged
  };

  const CarbonConfig config_;
  Mutex mutex_;
  std::map<std::pair<std::string, std::string>, Entry> sources_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fedwatt
