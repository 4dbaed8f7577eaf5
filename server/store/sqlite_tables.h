#pragma once

#include <string>
#include <vector>

#include "server/store/sqlite_db.h"
#include "server/store/tables.h"

namespace fedwatt {

// Rows in a database of schema sqlite_schema.h. Transactions are the caller's. Reads are in
// sqlite_table_reads.cc, changes in sqlite_tables.cc, sums of
// energy and reservations in sqlite_energy.cc.
class SqliteTables final : public Tables {
 public:
  explicit SqliteTables(SqliteDb* db) : db_(db) {}

  absl::StatusOr<std::optional<JobScope>> FindJob(const std::string& job) override;
  absl::Status PutJob(const JobRecord& job) override;
  absl::StatusOr<std::vector<JobRecord>> LoadJobs() override;
  absl::Status AppendLog(const JobScope& scope, const LogRecord& record) override;
  absl::StatusOr<std::vector<LogRecord>> LoadLog(const JobScope& scope) override;
  absl::Status CompactLog(const JobScope& scope) override;
  absl::Status PutCommit(const JobScope& scope, const RoundCommitted& commit) override;
  absl::StatusOr<std::optional<RoundCommitted>> LastCommit(const JobScope& scope) override;
  absl::Status AddAssignment(const JobScope& scope, const AssignmentRecord& assignment,
                             int64_t at_ms) override;
  absl::StatusOr<std::optional<AssignmentRecord>> GetAssignment(const JobScope& scope,
                                                                const RoundKey& key,
                                                                uint32_t index) override;
  absl::Status SetAssignment(const JobScope& scope, const RoundKey& key, uint32_t index,
                             AssignmentState state, const std::string& reason) override;
  absl::Status MoveAssignments(const JobScope& scope, const RoundKey& key, AssignmentState from,
                               AssignmentState to, const std::string& reason) override;
  absl::StatusOr<std::vector<EnergySample>> LoadEnergy(const JobScope& scope, const RoundKey& key,
                                                       uint32_t index) override;
  absl::Status AddEnergy(const JobScope& scope, const EnergyRow& row) override;
  absl::StatusOr<std::vector<EnergyRow>> SettleEnergy(const JobScope& scope, const RoundKey& key,
                                                      std::optional<uint32_t> index,
                                                      EnergyUse use) override;
  absl::StatusOr<std::vector<EnergyTotal>> LoadTotals(const JobScope& scope) override;
  absl::Status PutTotals(const JobScope& scope, const std::vector<EnergyTotal>& totals) override;
  absl::Status AddSums(const JobScope& scope, const std::vector<EnergySum>& sums) override;
  absl::StatusOr<std::vector<EnergySum>> LoadSums(const JobScope& scope) override;
  absl::Status AddClientSums(const JobScope& scope, const std::vector<EnergySum>& sums,
                             int64_t at_ms) override;
  absl::StatusOr<std::vector<EnergySum>> LoadClientSums(const JobScope& scope) override;
  absl::StatusOr<std::vector<EnergySum>> SumRows(const JobScope& scope, EnergyAxis axis,
                                                 const EnergyFilter& filter) override;
  absl::Status AddReservation(const JobScope& scope, const RoundKey& key, uint32_t index,
                              const Reservation& reservation) override;
  absl::StatusOr<std::optional<BudgetEntry>> GetReservation(const JobScope& scope,
                                                            const RoundKey& key,
                                                            uint32_t index) override;
  absl::Status SetBooked(const JobScope& scope, const RoundKey& key, uint32_t index,
                         const BookedEnergy& booked) override;
  absl::Status SilenceReservations(const JobScope& scope, const RoundKey& key) override;
  absl::StatusOr<std::vector<BudgetEntry>> LoadReservations(const JobScope& scope) override;
  absl::StatusOr<std::optional<ClientHistory>> GetHistory(const JobScope& scope,
                                                          const std::string& client) override;
  absl::Status PutHistory(const JobScope& scope, const ClientHistory& history,
                          int64_t at_ms) override;
  absl::StatusOr<std::vector<ClientHistory>> LoadHistory(const JobScope& scope) override;
  absl::StatusOr<std::optional<RoundSummary>> GetRound(const JobScope& scope,
                                                       uint64_t round) override;
  absl::Status PutRound(const JobScope& scope, uint64_t round,
                        const RoundSummary& summary) override;
  absl::StatusOr<std::vector<RoundSummary>> LoadRounds(const JobScope& scope) override;
  absl::Status PutModel(const JobScope& scope, uint64_t round, const ModelRef& model) override;
  absl::StatusOr<std::vector<ModelRef>> LoadModels(const JobScope& scope) override;
  absl::Status ForgetClient(const std::string& tenant, const std::string& population,
                            const std::string& client) override;
  absl::Status PruneEnergy(int64_t before_ms) override;
  absl::Status PruneAssignments(int64_t before_ms) override;
  absl::Status PruneHistory(int64_t before_ms) override;

 private:
  absl::Status ForgetInLog(const std::string& tenant, const std::string& population,
                           const std::string& client);
  absl::Status ForgetInSums(const std::string& tenant, const std::string& population,
                            const std::string& client);

  SqliteDb* const db_;
};

}  // namespace fedwatt
