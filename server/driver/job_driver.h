#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/sequential_executor.h"
#include "server/driver/attempt.h"
#include "server/driver/attempt_board.h"
#include "server/driver/blob_references.h"
#include "server/driver/broadcast.h"
#include "server/driver/candidates.h"
#include "server/driver/client_pool.h"
#include "server/driver/coordinator.h"
#include "server/driver/early_stop.h"
#include "server/driver/job_budget.h"
#include "server/driver/job_setup.h"
#include "server/driver/job_status.h"
#include "server/driver/work_queue.h"

// Runs one job: begins attempts, feeds their rounds with events and carries out the actions, on an
// executor of its own. Nothing here blocks: the store calls back, heavy work runs on the work
// queue, and both post their results here.
//
//   Recover (start-up, or a new job's first breath) -> Start -> ... -> Halt
namespace fedwatt {

// What all drivers of one coordinator share. Constant; outlives them.
struct DriverContext {
  // Answers a peer from a thread that must not wait for it: the store's.
  void Reply(ReplyDone done, absl::StatusOr<ReportReply> reply) const;

  CoordinatorOptions options;
  CoordinatorDeps deps;
  ClientPool* pool = nullptr;
  // Shared: answers on their way to clients read it, also after a shutdown.
  std::shared_ptr<AttemptBoard> board;
  WorkQueue* work = nullptr;
  BlobReferences* references = nullptr;
};

// Owned by shared_ptr. Public methods are thread-safe.
class JobDriver : public std::enable_shared_from_this<JobDriver> {
 public:
  // Reads what the store and the blobs hold of the job; blocks. DATA_LOSS names the job, the blob
  // and the file that is corrupt.
  static absl::StatusOr<std::shared_ptr<JobDriver>> Recover(const DriverContext* context,
                                                            JobRecord record,
                                                            std::shared_ptr<const JobSetup> setup);

  void Start();
  // The operator changed the record (stop, resume): act on it.
  void RecordChanged();
  // No more callbacks into the context; the log has all that is needed to go on.
  void Halt();

  // A report for an assignment of this job, checked by the intake.
  void OnReport(IncomingReport report);
  // The store knows already that `report` came too late.
  // since `now_ms`.
  void OnLateReport(AssignmentName name, Report report, int64_t now_ms);
  // The store knows already of a further report of an assignment whose first one counts: sending
  // it again cost joules.
  void OnRepeatedReport();

  const std::shared_ptr<JobStatus>& status() const { return status_; }
  const std::shared_ptr<const JobSetup>& setup() const { return setup_; }
  // Models on disk now: version -> reference; for exports and warm starts.
  std::vector<ModelRef> KeptModels() const;
  // Does the recovered attempt wait for this assignment's bytes? For sweeping the spool.
  bool WantsSpool(const std::string& assignment_id) const;

 private:
  JobDriver(const DriverContext* context, JobRecord record, std::shared_ptr<const JobSetup> setup,
            std::shared_ptr<CarbonSource> carbon);

  // ---- job_recovery.cc
  absl::Status LoadState();
  absl::Status LoadModel(const std::optional<RoundCommitted>& commit);
  absl::Status LoadBroadcast(const std::optional<RoundCommitted>& commit);
  absl::Status LoadPlugins(const std::optional<RoundCommitted>& commit);
  absl::Status ReplayLog(const std::vector<LogRecord>& log);
  void Replay(const AttemptBegan& record);
  void Replay(const ClientsAssigned& record);
  void ReplayUploads(const ClientsAssigned& record);
  void Replay(const ReportAccepted& record);
  void Replay(const ReportRefused& record);
  void Replay(const CoordinatorSpent& record);
  void Replay(const AttemptAbandoned& record);
  void Replay(const RoundCommitted& record);
  void ReferToBlobs();
  bool GoesOn() const;  // runs, or may be resumed

  struct AppliedModel;

  // ---- job_driver.cc: the job's course. On the strand.
  void OnStart();
  void Proceed();
  std::string WhyDone() const;
  bool Waits();
  std::optional<JobBudget::Pause> PauseAt(int64_t now_ms) const;
  bool EvaluationDue(uint64_t round) const;
  // The last evaluation of a job: of the exact model, which is what it ends with.
  bool EvaluatesExact(const Attempt& attempt) const;
  bool WallTimeIsOver() const { return WallTimeIsOver(NowMs()); }
  bool WallTimeIsOver(int64_t at_ms) const;
  void Begin(RoundKey key);
  void End(JobState state, const std::string& stop_reason, const std::string& reason);
  void ArmWallTimer();
  void OnWallTime();
  void OnRecordChanged();
  void Register();
  void Publish();
  RoundSummary CurrentSummary() const;
  int64_t NowMs() const { return context_->deps.clock->NowMs(); }
  // Runs `task(*this)` on the strand, unless halted by then.
  using SelfTask = absl::AnyInvocable<void(JobDriver&)>;
  void PostSelf(SelfTask task);
  uint64_t PostSelfAfter(int64_t delay_ms, SelfTask task);
  Task Bound(SelfTask task);
  bool InAttempt(const RoundKey& key) const { return attempt_ && attempt_->key() == key; }

  // ---- attempt_actions.cc: from an event to its actions. On the strand.
  void Step(const RoundEvent& event);
  void Do(const SelectClients& action);
  void Do(const PersistAssignments& action);
  void Do(const SendAssignments& action);
  void Do(const AcceptReport& action);
  void Do(const RefuseReport& action);
  void Do(const RecordFailure& action);
  void Do(const SetTimer& action);
  void Do(const ClearTimer& action);
  void Do(const Aggregate& action);
  void Do(const ApplyUpdate& action);
  void Do(const CommitRound& action);
  void Do(const AbandonRound& action);
  ClientHistory& HistoryOf(const std::string& client);
  void OpenDemand();
  void OnCandidates();
  absl::StatusOr<Selection> Select(const std::vector<Candidate>& candidates, uint32_t count);
  void SelectAgain(const std::vector<Offer>& taken);
  absl::Status ChooseUploads(const std::vector<Offer>& offers);
  std::vector<Offer> WithinBudget(std::vector<Offer> offers, const CostPredictor& predictor,
                                  const std::unordered_map<std::string, CostPrediction>& costs);
  RegionCarbon CarbonByRegion() const;
  bool EndsOrWaitsForBudget(size_t kept, const BudgetRefusal& refusal);
  void MakeFacts(const std::vector<std::string>& clients, int64_t deadline_ms);
  void PublishAttempt();
  void Resend(const std::string& client);
  Assignment MakeAssignment(uint32_t index, const Offer& offer) const;

  // ---- attempt_reports.cc. On the strand.
  void TakeReport(IncomingReport incoming);
  void TakeLate(const AssignmentName& name, const Report& report, int64_t now_ms);
  void ReloadTotals();
  void SayUnbelieved(uint32_t index, const std::vector<std::string>& flags);
  void WriteRefusal(uint32_t index, bool failed, const std::string& reason, ReportReply reply);
  void OnAccepted(uint32_t index);
  void AnswerRepeats(uint32_t index, const absl::StatusOr<ReportReply>& reply);
  void Fold(uint32_t index);
  void PostFold(const RoundKey& key, std::shared_ptr<Aggregator> aggregator,
                std::shared_ptr<FoldQueue> folds);
  void OnFolded(size_t updates, const absl::Status& folded);
  void AggregateIfReady();
  void NoteParticipation(uint32_t index, const Reservation* reservation);

  // ---- attempt_commit.cc
  struct ApplyInputs;
  absl::StatusOr<AppliedModel> Apply(ApplyInputs inputs) const;
  void OnApplied(absl::StatusOr<AppliedModel> applied);
  void OnCommitted(const RoundCommitted& commit);
  void OnTrainingCommitted(const RoundCommitted& commit);
  void OnEvaluationCommitted(const RoundCommitted& commit);
  std::vector<StoreWrite> TakenBack() const;
  RoundCommitted MakeCommit(const BlobRef& model) const;
  RoundSummary AttemptSummary(bool counts) const;
  void OpenOwnEnergy();
  void CloseOwnEnergy();
  // Adds what the coordinator spent so far to a batch, if it was not written for a while.
  void NoteOwnEnergy(std::vector<StoreWrite>* batch);
  void ArmOwnEnergyTimer();
  void WriteAbandoned(AttemptAbandoned record, AbandonCause cause);
  void OnAbandoned(const AttemptAbandoned& record, AbandonCause cause);
  void ReleaseAttempt(Outcome outcome, const std::string& reason);
  void CloseRound();
  void Retain();

  // ---- constant after construction
  const DriverContext* const context_;
  const std::shared_ptr<const JobSetup> setup_;
  const std::shared_ptr<JobStatus> status_;

  // ---- on the strand (and in Recover, before Start)
  std::unique_ptr<Strategy> strategy_;
  std::unique_ptr<Selector> selector_;
  std::string strategy_state_;  // committed
  std::string selector_state_;
  Digest strategy_blob_{};
  Digest selector_blob_{};
  ModelRef last_;
  ModelRef best_;
  std::shared_ptr<const MappedFile> base_file_;
  std::shared_ptr<const Broadcast> broadcast_;  // of last_; null: codec.down is exact
  Digest broadcast_blob_{};                     // its state's; none before the first commit
  EarlyStop early_stop_;
  JobBudget budget_;
  std::optional<BudgetRefusal> refused_;  // of the selection under way
  int64_t wait_until_ms_ = 0;             // for the next round's turn, another day, cleaner hours
  std::string wait_reason_;
  int64_t round_began_ms_ = 0;              // of the last one that was committed; 0: none was
  std::vector<ModelRef> models_;            // on disk, oldest first; version 0 is the initial one
  std::optional<RoundSummary> open_round_;  // committed, its evaluation is yet to come
  int64_t evaluation_began_ms_ = 0;
  uint64_t rounds_done_ = 0;
  uint32_t next_attempt_ = 1;
  uint32_t next_evaluation_attempt_ = 1;
  int64_t retry_at_ms_ = 0;
  std::string ending_;  // a stop reason that waits for the attempt's end
  std::string why_ending_;
  std::string failure_;  // why the last attempt gave up
  std::unordered_map<std::string, ClientHistory> history_;
  // Of history_, whose entries stay where they are: to go over them all is to wait for memory, and
  // a list of the map's own nodes makes each wait for the one before it.
  std::vector<const CostHistory*> costs_;
  std::unordered_map<std::string, uint64_t> last_assigned_;  // round, by client
  std::vector<EnergyTotal> energy_;
  uint64_t bytes_down_ = 0;
  uint64_t bytes_up_ = 0;
  std::unique_ptr<Attempt> attempt_;
  uint64_t round_timer_ = 0;
  uint64_t retry_timer_ = 0;
  uint64_t wall_timer_ = 0;
  uint64_t own_energy_timer_ = 0;
  std::optional<CoordinatorSpent> own_before_;  // the restart, on the attempt in flight

  std::atomic<bool> candidates_posted_{false};

  Mutex run_mutex_;  // held while a task of the strand runs
  bool halted_ ABSL_GUARDED_BY(run_mutex_) = false;

  mutable Mutex kept_mutex_;
  std::vector<ModelRef> kept_ ABSL_GUARDED_BY(kept_mutex_);

  SequentialExecutor strand_;  // last: ends the tasks first
};

}  // namespace fedwatt
