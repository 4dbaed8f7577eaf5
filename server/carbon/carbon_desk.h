#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "server/carbon/carbon_source.h"
#include "server/carbon/surplus_series.h"

namespace fedwatt {

// The carbon sources of one coordinator: its own, by its configuration, and the further regions
// that jobs ask it for. A job can choose the coordinator's source or the table, not a file, an
// address or a token of its own. A client that names its region is answered from those that the
// operator listed, and makes nothing. Thread-safe.
//
//   CarbonDesk desk(config); AllowClientRegions, ReadSurplus (both optional, once); For, Refresh,
//   FiguresOfClients, SurplusWatts
class CarbonDesk {
 public:
  explicit CarbonDesk(CarbonConfig config) : config_(std::move(config)) {}

  // Empty words: the coordinator's own. Makes the source at the first call, which may read a file;
  // it holds figures of a service after the next Refresh. INVALID_ARGUMENT: another source than the
  // table and the configured one. A source's own errors.
  absl::StatusOr<std::shared_ptr<CarbonSource>> For(const std::string& source,
                                                    const std::string& region);

  // Makes the sources of the regions that clients may name, the coordinator's own among them.
  // INVALID_ARGUMENT: the source knows one region only (a file), or the errors of For.
  absl::Status AllowClientRegions(const std::vector<std::string>& regions);

  // Of the regions that clients may name, as far as there is a figure now. Neither makes nor asks
  // a source.
  std::map<std::string, CarbonIntensity> FiguresOfClients(int64_t now_ms) const;

  // Surplus of renewable power by domain (surplus_series.h), read again at each Refresh; a file
  // that is broken by then leaves the last good one in force. The file's errors.
  absl::Status ReadSurplus(const std::string& path);

  // Watts by domain, as far as they are known now.
  std::map<std::string, double> SurplusWatts(int64_t now_ms) const;

  // Asks every source again. Blocks; call it from time to time on a thread that may wait. Failures
  // are logged, once for each change.
  void Refresh(int64_t now_ms);

  const CarbonConfig& config() const { return config_; }

 private:
  struct Entry {
    std::shared_ptr<CarbonSource> source;
    std::string logged;  // the failure last logged
  };

  void RefreshSurplus();

  const CarbonConfig config_;
  mutable Mutex mutex_;
  std::map<std::pair<std::string, std::string>, Entry> sources_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<CarbonSource>> of_clients_ ABSL_GUARDED_BY(mutex_);
  std::string surplus_path_ ABSL_GUARDED_BY(mutex_);
  std::optional<SurplusSeries> surplus_ ABSL_GUARDED_BY(mutex_);
  std::string surplus_logged_ ABSL_GUARDED_BY(mutex_);  // the failure last logged
};

}  // namespace fedwatt
