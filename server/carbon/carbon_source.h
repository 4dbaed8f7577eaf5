#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/carbon/carbon_intensity.h"

// Where grams per kilowatt-hour come from: plug-ins, one line each in builtin.def.
namespace fedwatt {

struct CarbonConfig {
  std::string source = "table";
  std::string region;           // as the source spells it: "DE", "CAISO_NORTH"
  std::string path;             // file: the series
  std::string url;              // services: another base than the provider's own
  std::string token_file;       // services: read at each refresh, so that a renewed one is seen
  std::string cache_file;       // services: the last good answer, for a restart without network
  std::string ca_file;          // services: trust these authorities instead of the system's
  int64_t timeout_ms = 10'000;  // of one request
  int64_t hold_ms = 3'600'000;  // how long a figure holds where the source does not say
};

// One region as one source sees it. Thread-safe.
class CarbonSource {
 public:
  virtual ~CarbonSource() = default;

  // Asks the file or the service again. Blocks for I/O, at most about `timeout_ms`. After an error,
  // which names the source and what is wrong with its answer, the last good figures stay in force
  // and age.
  virtual absl::Status Refresh(int64_t now_ms) = 0;

  // Never blocks on I/O. UNAVAILABLE while there is no figure, never a zero; what the last Refresh
  // met is in the message, or in the note of a stale figure.
  virtual absl::StatusOr<CarbonIntensity> At(int64_t now_ms) const = 0;

  // The kind of every figure of this source; UNAVAILABLE while it does not know.
  virtual absl::StatusOr<CarbonKind> Kind() const = 0;
};

// INVALID_ARGUMENT: the configuration lacks something, or says too much.
using CarbonSourceFactory =
    std::function<absl::StatusOr<std::unique_ptr<CarbonSource>>(const CarbonConfig&)>;

// Those of builtin.def, by name.
std::map<std::string, CarbonSourceFactory> BuiltinCarbonSources();

// NOT_FOUND names the known sources and the nearest.
absl::StatusOr<std::unique_ptr<CarbonSource>> MakeCarbonSource(const CarbonConfig& config);

}  // namespace fedwatt
