#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/carbon/carbon_source.h"
#include "server/carbon/intensity_series.h"

// What the two services that fedwatt understands have in common: one GET, a JSON answer, a cache.
namespace fedwatt {

// What a service's answer says.
struct ServiceAnswer {
  std::vector<IntensityPoint> points;
  std::string note;  // "estimated by the service"; empty: nothing to add
};

// One service. Stateless, thread-safe.
class CarbonService {
 public:
  virtual ~CarbonService() = default;
  virtual std::string name() const = 0;
  virtual CarbonKind kind() const = 0;
  virtual std::string Url(const std::string& base, const std::string& region) const = 0;
  virtual std::string TokenHeader(const std::string& token) const = 0;
  // INVALID_ARGUMENT says what in the answer is not as documented: another region, unit or signal,
  // a missing field, a figure that no grid has.
  virtual absl::StatusOr<ServiceAnswer> Parse(const std::string& body, const std::string& region,
                                              int64_t now_ms) const = 0;
};

std::unique_ptr<CarbonService> ElectricityMaps();
std::unique_ptr<CarbonService> WattTime();

// INVALID_ARGUMENT without a region or a token file.
absl::StatusOr<std::unique_ptr<CarbonSource>> MakeHttpSource(std::unique_ptr<CarbonService> service,
                                                             const CarbonConfig& config);

}  // namespace fedwatt
