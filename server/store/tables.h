#pragma once

// The rows behind a Store, without any meaning: projection.h says what a record changes in them,
// once for every kind of store. Internal to server/store.
//
// One thread at a time. Errors are those of the medium; a memory never has any.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/store/store.h"

namespace fedwatt {

// The first columns of every key.
struct JobScope {
  std::string tenant;
  std::string population;
  std::string job;
};

// The index under which an attempt's row of the coordinator's own energy stands.
inline constexpr uint32_t kCoordinatorIndex = UINT32_MAX;

struct EnergyRow {
  RoundKey key;
  uint32_t index = 0;  // of the assignment
  uint32_t part = 0;   // of its rows, in the order in which they were booked
  std::string client;  // pseudonym; empty once forgotten
  EnergySample sample;
  EnergyUse use = EnergyUse::kPending;
  int64_t at_ms = 0;
  std::string carbon;  // kind of the grams; empty: no figure
  int64_t micrograms = 0;
  int64_t stale_micrograms = 0;
};

// The cell of a settled row; names no client.
EnergySum CellOf(const EnergyRow& row);

class Tables {
 public:
  virtual ~Tables() = default;

  // ---- jobs
  virtual absl::StatusOr<std::optional<JobScope>> FindJob(const std::string& job) = 0;
  virtual absl::Status PutJob(const JobRecord& job) = 0;          // inserts or replaces
  virtual absl::StatusOr<std::vector<JobRecord>> LoadJobs() = 0;  // by time of creation, id

  // ---- the log
  virtual absl::Status AppendLog(const JobScope& scope, const LogRecord& record) = 0;
  virtual absl::StatusOr<std::vector<LogRecord>> LoadLog(const JobScope& scope) = 0;
  // Drops the training records, and those of every evaluation (by its round) that has ended:
  // committed or given up.
  virtual absl::Status CompactLog(const JobScope& scope) = 0;
  virtual absl::Status PutCommit(const JobScope& scope, const RoundCommitted& commit) = 0;
  virtual absl::StatusOr<std::optional<RoundCommitted>> LastCommit(const JobScope& scope) = 0;

  // ---- assignments
  // Does nothing if there is one of this key and index.
  virtual absl::Status AddAssignment(const JobScope& scope, const AssignmentRecord& assignment,
                                     int64_t at_ms) = 0;
  virtual absl::StatusOr<std::optional<AssignmentRecord>> GetAssignment(const JobScope& scope,
                                                                        const RoundKey& key,
                                                                        uint32_t index) = 0;
  virtual absl::Status SetAssignment(const JobScope& scope, const RoundKey& key, uint32_t index,
                                     AssignmentState state, const std::string& reason) = 0;
  // All of the attempt that are in `from`.
  virtual absl::Status MoveAssignments(const JobScope& scope, const RoundKey& key,
                                       AssignmentState from, AssignmentState to,
                                       const std::string& reason) = 0;

  // ---- energy
  // Of one assignment, by part: phase, source, quality, scope, energy, bytes and duration.
  virtual absl::StatusOr<std::vector<EnergySample>> LoadEnergy(const JobScope& scope,
                                                               const RoundKey& key,
                                                               uint32_t index) = 0;
  // Of an assignment and a part that there is none of yet.
  virtual absl::Status AddEnergy(const JobScope& scope, const EnergyRow& row) = 0;
  // Gives the attempt's pending samples, or those of one assignment, their use, and returns their
  // rows, as far as sums need them.
  virtual absl::StatusOr<std::vector<EnergyRow>> SettleEnergy(const JobScope& scope,
                                                              const RoundKey& key,
                                                              std::optional<uint32_t> index,
                                                              EnergyUse use) = 0;
  virtual absl::StatusOr<std::vector<EnergyTotal>> LoadTotals(const JobScope& scope) = 0;
  virtual absl::Status PutTotals(const JobScope& scope, const std::vector<EnergyTotal>& totals) = 0;
  // Adds to the cells, whose labels name no client.
  virtual absl::Status AddSums(const JobScope& scope, const std::vector<EnergySum>& sums) = 0;
  virtual absl::StatusOr<std::vector<EnergySum>> LoadSums(const JobScope& scope) = 0;
  // The same by client: labels without round, phase and hour, yet with `evaluation`. `at_ms`: when
  // it was last added to.
  virtual absl::Status AddClientSums(const JobScope& scope, const std::vector<EnergySum>& sums,
                                     int64_t at_ms) = 0;
  virtual absl::StatusOr<std::vector<EnergySum>> LoadClientSums(const JobScope& scope) = 0;
  // What GroupEnergy makes of the settled rows.
  virtual absl::StatusOr<std::vector<EnergySum>> SumRows(const JobScope& scope, EnergyAxis axis,
                                                         const EnergyFilter& filter) = 0;

  // ---- reservations
  // Does nothing if there is one of this key and index.
  virtual absl::Status AddReservation(const JobScope& scope, const RoundKey& key, uint32_t index,
                                      const Reservation& reservation) = 0;
  virtual absl::StatusOr<std::optional<BudgetEntry>> GetReservation(const JobScope& scope,
                                                                    const RoundKey& key,
                                                                    uint32_t index) = 0;
  virtual absl::Status SetBooked(const JobScope& scope, const RoundKey& key, uint32_t index,
                                 const BookedEnergy& booked) = 0;
  // Books every open reservation of the attempt whole, by silence.
  virtual absl::Status SilenceReservations(const JobScope& scope, const RoundKey& key) = 0;
  virtual absl::StatusOr<std::vector<BudgetEntry>> LoadReservations(const JobScope& scope) = 0;

  // ---- what is known of clients, rounds and models
  virtual absl::StatusOr<std::optional<ClientHistory>> GetHistory(const JobScope& scope,
                                                                  const std::string& client) = 0;
  virtual absl::Status PutHistory(const JobScope& scope, const ClientHistory& history,
                                  int64_t at_ms) = 0;
  virtual absl::StatusOr<std::vector<ClientHistory>> LoadHistory(const JobScope& scope) = 0;
  virtual absl::StatusOr<std::optional<RoundSummary>> GetRound(const JobScope& scope,
                                                               uint64_t round) = 0;
  virtual absl::Status PutRound(const JobScope& scope, uint64_t round,
                                const RoundSummary& summary) = 0;
  virtual absl::StatusOr<std::vector<RoundSummary>> LoadRounds(const JobScope& scope) = 0;
  virtual absl::Status PutModel(const JobScope& scope, uint64_t round, const ModelRef& model) = 0;
  virtual absl::StatusOr<std::vector<ModelRef>> LoadModels(const JobScope& scope) = 0;

  // ---- forgetting
  // Blanks the client's name in assignments, energy, reservations and log, adds its sums to those
  // of all who are forgotten, and drops its history.
  virtual absl::Status ForgetClient(const std::string& tenant, const std::string& population,
                                    const std::string& client) = 0;
  // Rows of before that time: settled energy; assignments whose outcome is final; history, and
  // with it the sums of clients that were not heard of since.
  virtual absl::Status PruneEnergy(int64_t before_ms) = 0;
  virtual absl::Status PruneAssignments(int64_t before_ms) = 0;
  virtual absl::Status PruneHistory(int64_t before_ms) = 0;
};

}  // namespace fedwatt
