#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/rng.h"
#include "common/model/fleet.h"
#include "common/model/job_spec.h"
#include "common/model/telemetry.h"
#include "server/prediction/cost_prediction.h"

// Selectors choose who takes part.
namespace fedwatt {

// An eligible client that waits. What is empty is unknown, which is not zero: selectors treat it as
// usual, never as free. Figures may be absurd, they come from clients: selectors bound them.
struct Candidate {
  std::string client;  // subject
  std::string device_class;
  uint32_t example_count_bucket = 0;
  uint64_t participations = 0;  // in this job
  uint64_t last_round = 0;      // of this job in which it reported; 0: never
  std::optional<LossSums> last_loss;
  std::optional<double> last_seconds;
  DeviceTelemetry telemetry = {};
  std::optional<CostPrediction> cost = {};      // of the assignment that it would get
  std::optional<double> carbon_g_per_kwh = {};  // where it is, now
  // Of its last update (common/tensor/update_sketch.h); empty: unknown. Lives as long as the call.
  std::span<const float> sketch = {};
  std::string power_domain = {};  // whose surplus it can use; empty: none is known
};

struct SelectionRequest {
  RoundKey key;
  uint32_t count = 0;
  std::span<const Candidate> candidates;  // of distinct `client`, in any order
  // Surplus of renewable power by domain, watts. A domain that is not here: unknown.
  std::map<std::string, double> surplus_watts = {};
};

struct Selection {
  std::vector<size_t> chosen;  // indices into candidates, distinct, at most `count`
  // Of each chosen one, in (0, 1]; empty when the selector's choice has no inclusion probability.
  std::vector<double> inclusion;
};

// Used by one job's executor only.
class Selector {
 public:
  virtual ~Selector() = default;
  // `rng` is keyed by (job, round, attempt). Equal requests and states give equal selections, in
  // whatever order the candidates stand: min(count, candidates.size()) clients, fewer only if the
  // selector has its reasons. FAILED_PRECONDITION: there are candidates and none may take part; the
  // message counts the reasons.
  virtual absl::StatusOr<Selection> Select(const SelectionRequest& request, Rng& rng) = 0;
  // Committed with the round; restored before the next Select, also before that of a further
  // attempt. Holds no client's name: what is forgotten of a client must not live on in here.
  virtual std::string SaveState() const { return ""; }
  virtual absl::Status LoadState(const std::string& state);  // INVALID_ARGUMENT: not ours
  // Reports are to be weighed by their inverse inclusion probabilities, none more than so many
  // times the least (unbiased_weights.h). Empty: as they are.
  virtual std::optional<double> UnbiasedClip() const { return std::nullopt; }
  // Candidates' sketches are of use to it.
  virtual bool WantsSketches() const { return false; }
};

// INVALID_ARGUMENT: a parameter is unknown, missing or out of range; the message names the nearest.
using SelectorFactory = std::function<absl::StatusOr<std::unique_ptr<Selector>>(const PluginSpec&)>;

// Those of builtin.def, by name.
std::map<std::string, SelectorFactory> BuiltinSelectors();

}  // namespace fedwatt
