#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/fleet.h"
#include "common/model/job_spec.h"
#include "common/model/job_view.h"
#include "common/tensor/update_sketch.h"
#include "server/carbon/carbon_intensity.h"
#include "server/ledger/budget_book.h"
#include "server/ledger/energy_sums.h"
#include "server/prediction/cost_history.h"
#include "server/round/round.h"

// What the coordinator must not forget: jobs, the log of the attempts in flight, assignments and
// their outcomes, commits, energy. Blobs live beside it (blob_store.h, spool.h).
//
// Every row starts with tenant and population. Clients appear as pseudonyms only:
// HMAC(population key, subject) in hex (pseudonym.h).
namespace fedwatt {

struct JobRecord {
  std::string id;  // "<name>-<n>"
  JobSpec spec;
  std::string request_id;
  Digest bundle_sha256{};  // blob: the bundle file without tensors
  Digest initial_model{};  // blob: flat tensors of version 0
  JobState state = JobState::kRunning;
  std::string reason;
  std::string stop_reason;
  int64_t created_ms = 0;
  int64_t ended_ms = 0;
};

// The log of the round attempts since the job's last commit. Replaying `event`s into a Round
// restores it.
struct AttemptBegan {
  RoundKey key;
  RoundLimits limits;
  int64_t now_ms = 0;
};
struct ClientsAssigned {
  RoundKey key;
  std::vector<std::string> clients;  // pseudonyms; position = index of the assignment
  std::vector<double> inclusion;     // may be empty
  std::string selector_state;        // after the selection
  std::vector<std::string> codecs;   // of uploads, by index; empty: codec.up for all
  std::vector<std::string> codec_reasons;
  std::vector<EnergyForecast> forecasts;  // by index: what each reserves; empty: nothing
  std::optional<CarbonIntensity> carbon;  // now
  int64_t now_ms = 0;
  std::vector<std::string> device_classes;  // by index; may be empty
};
struct ReportAccepted {
  RoundKey key;
  uint32_t index = 0;
  Report report;  // without inline bytes
  double clip_factor = 1;
  int64_t now_ms = 0;
  std::string device_class;
  UpdateSketch sketch;  // empty: the job's selector wants none
};
struct ReportRefused {  // late, over-selected, failed, invalid: its energy is wasted
  RoundKey key;
  uint32_t index = 0;
  bool failed = false;  // the client failed (else: refused)
  std::string reason;
  std::optional<Report> report;
  int64_t now_ms = 0;
};
struct CoordinatorSpent {  // on the attempt, since it began
  RoundKey key;
  std::vector<EnergySample> samples;
  int64_t now_ms = 0;
};
struct AttemptAbandoned {
  RoundKey key;
  std::string reason;
  int64_t retry_at_ms = 0;
  bool give_up = false;
  int64_t now_ms = 0;
  RoundSummary summary;
  std::vector<EnergySample> coordinator;  // its own joules since the attempt began
  std::optional<CarbonIntensity> carbon;  // for them
};
struct RoundCommitted {
  RoundKey key;
  ModelRef model;           // for evaluations: the model evaluated
  Digest strategy_state{};  // blobs; zero digest: none
  Digest selector_state{};
  Digest codec_state{};
  uint64_t rng_counter = 0;
  RoundSummary summary;
  std::optional<double> best_metric;  // of the job, after this round
  ModelRef best;
  int64_t now_ms = 0;
  std::vector<EnergySample> coordinator;  // its own joules since the attempt began
  std::optional<CarbonIntensity> carbon;  // for them
};
using LogRecord = std::variant<AttemptBegan, ClientsAssigned, ReportAccepted, ReportRefused,
                               AttemptAbandoned, RoundCommitted, CoordinatorSpent>;

enum class AssignmentState { kAssigned = 1, kReported, kCommitted, kRefused, kAbandoned };

struct AssignmentRecord {
  std::string id;
  RoundKey key;
  uint32_t index = 0;
  std::string client;  // pseudonym
  AssignmentState state = AssignmentState::kAssigned;
  std::string reason;        // of the state
  std::string codec;         // of its update; empty: an evaluation, or the job's codec.up
  std::string codec_reason;  // why this codec
};

// What is known of one client in one job; feeds selectors.
struct ClientHistory {
  std::string client;
  uint64_t participations = 0;
  uint64_t last_round = 0;
  std::optional<LossSums> last_loss;
  std::optional<double> last_seconds;
  CostHistory cost;
  UpdateSketch sketch;  // of its last update; empty: none is known
};

// A reservation and what became of it; without `booked` its assignment is still open.
struct BudgetEntry {
  Reservation reservation;
  std::optional<BookedEnergy> booked;
};

enum class EnergyUse { kPending = 1, kUseful, kWasted };

struct PutJob {
  JobRecord job;
};
// Appends to the log and keeps the tables that follow from it (assignments, energy, history,
// rounds) in step: one record, one truth.
struct AppendLog {
  LogRecord record;
};
using StoreWrite = std::variant<PutJob, AppendLog>;

// Thread-safe. Implementations: SqliteStore (sqlite_store.h), MemoryStore (memory_store.h, for
// tests and simulation; can lose what was not yet durable).
class Store {
 public:
  virtual ~Store() = default;

  // Applies the batch, all or nothing, after all earlier batches; `done` runs on a thread of the
  // store once the batch is durable (or failed: RESOURCE_EXHAUSTED with path and free bytes when
  // the disk is full, then nothing of it is applied). Batches are committed in groups.
  virtual void Write(std::vector<StoreWrite> batch,
                     absl::AnyInvocable<void(absl::Status)> done) = 0;

  // Reads see all durable batches. They may block; not for gRPC threads' hot path.
  virtual absl::StatusOr<std::vector<JobRecord>> LoadJobs() = 0;
  // Records of the job since its last training commit, oldest first (evaluations included).
  virtual absl::StatusOr<std::vector<LogRecord>> LoadLog(const std::string& job) = 0;
  virtual absl::StatusOr<std::optional<RoundCommitted>> LastCommit(const std::string& job) = 0;
  // Training commits, oldest first, for retention and `warm_start_version = "<round>"`.
  virtual absl::StatusOr<std::vector<ModelRef>> LoadModels(const std::string& job) = 0;
  // Summaries of committed rounds in order; the evaluation of a round is merged into it.
  virtual absl::StatusOr<std::vector<RoundSummary>> LoadRounds(const std::string& job) = 0;
  virtual absl::StatusOr<std::vector<ClientHistory>> LoadHistory(const std::string& job) = 0;
  virtual absl::StatusOr<std::optional<AssignmentRecord>> FindAssignment(const std::string& id) = 0;
  virtual absl::StatusOr<std::vector<EnergyTotal>> EnergyTotals(const std::string& job) = 0;
  // The ledger of attempts that have ended: what GroupEnergy makes of its cells. Questions of
  // clients that also ask for phases, rounds or times are answered from single samples: slower
  // where there are millions, and of those that retention has left.
  virtual absl::StatusOr<std::vector<EnergySum>> EnergySums(const std::string& job, EnergyAxis axis,
                                                            const EnergyFilter& filter) = 0;
  // All reservations of the job, to rebuild its budget book.
  virtual absl::StatusOr<std::vector<BudgetEntry>> LoadReservations(const std::string& job) = 0;

  // Removes what is known of one client (assignments keep their counts, without the name).
  virtual absl::Status ForgetClient(const std::string& tenant, const std::string& population,
                                    const std::string& client) = 0;
};

}  // namespace fedwatt
