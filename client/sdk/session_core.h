#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/assignment_store.h"
#include "client/sdk/backoff.h"
#include "client/sdk/blob_cache.h"
#include "client/sdk/boot_log.h"
#include "client/sdk/cost_log.h"
#include "client/sdk/energy_log.h"
#include "client/sdk/file_stamp.h"
#include "client/sdk/held_models.h"
#include "client/sdk/model_assembly.h"
#include "client/sdk/plan_quarantine.h"
#include "client/sdk/session.h"
#include "common/base/file.h"
#include "common/bundle/bundle.h"

// The inside of Session: everything here runs on deps.executor. One thing is under way at a time: a
// call of the transport, a task of the work executor, or a timer; each ends in a method of this
// class, which ends in Next().
//
//   session.cc         start, check in, wait, stop
//   session_conditions.cc  when the device may work, and what it tells of itself
//   session_fetch.cc   take on an assignment, download, verify
//   session_steps.cc   models that come in steps
//   session_train.cc   train, encode, fail
//   session_report.cc  report, upload, outcomes
namespace fedwatt {

class SessionCore : public std::enable_shared_from_this<SessionCore> {
 public:
  SessionCore(SessionOptions options, SessionDeps deps, FileLock lock, AssignmentStore store,
              BlobCache cache, uint64_t session_number);

  // Once, before Start.
  absl::Status Load();

  void Start();
  void Stop(absl::AnyInvocable<void()> done);
  void CancelWork(const std::string& reason);
  // Any thread: nothing more is to happen.
  void Abandon() { *training_cancel_ = true; }
  Executor* executor() const { return deps_.executor; }

 private:
  enum Blob { kBundle = 0, kModel = 1 };

  // What can be downloaded: a blob, or the payload of a step to the model.
  struct Part {
    Blob blob = kBundle;
    std::optional<size_t> step = std::nullopt;
  };

  // An assignment and what is known of it only in this process.
  struct Held {
    KeptAssignment record;
    int downloads[2] = {0, 0};    // complete ones, by Blob
    bool model_verified = false;  // this process hashed what it wrote
    uint32_t failures = 0;        // of fetching, then of sending
    bool update_trusted = false;  // written by this process, or checked since
    std::string update;           // a small one, from its encoding until it is sent
    std::shared_ptr<const Bundle> bundle;
  };

  struct Verified {
    absl::Status status;
    int damaged = -1;  // Blob
    std::shared_ptr<const Bundle> bundle;
    std::optional<AssemblyResult> assembly;
    EnergySample assembly_sample;
  };
  struct VerifyWork {
    std::string bundle_path;
    Resource bundle;
    std::shared_ptr<const Bundle> known_bundle;  // verified before
    std::string model_path;
    Resource model;
    bool check_model = false;  // by its hash
    bool training = false;
    std::optional<ModelAssembly> assembly;  // of the model, which is not there yet
    Plan plan;
    std::vector<PublicKey> trusted_keys;
    std::vector<std::string> formats;
    EnergyMeter* meter = nullptr;
    const Clock* clock = nullptr;
  };
  // The bundle that was verified last: a job's rounds share one. It stays mapped, so that no other
  // file gets its inode, hence its stamp.
  struct KnownBundle {
    Digest sha256{};
    FileStamp stamp;
    std::shared_ptr<const Bundle> bundle;  // null: not verified yet
  };
  struct Worked {
    absl::Status status;   // of the work
    absl::Status journal;  // of writing it down
    KeptAssignment record;
    EnergySample sample;
    int64_t duration_us = 0;
    bool resumed = false;      // sample and duration are of a part of the training
    uint64_t coordinates = 0;  // encoded
    std::string update;        // encoded, if it is small
    std::string problem;       // that could be gone round
  };

  // Wraps `method` as a callback for any thread. It runs on the executor, unless this session was
  // destroyed or has moved on since.
  template <typename Result>
  absl::AnyInvocable<void(Result)> Reply(void (SessionCore::*method)(Result)) {
    return [weak = weak_from_this(), executor = deps_.executor, epoch = ++epoch_,
            method](Result result) {
      executor->Post([weak, epoch, method, result = std::move(result)]() mutable {
        const std::shared_ptr<SessionCore> core = weak.lock();
        if (core == nullptr || core->epoch_ != epoch) return;
        (core.get()->*method)(std::move(result));
      });
    };
  }
  template <typename Result>
  void RunWork(absl::AnyInvocable<Result()> work, void (SessionCore::*method)(Result)) {
    working_ = true;
    deps_.work_executor->Post(
        [work = std::move(work), reply = Reply<Result>(method)]() mutable { reply(work()); });
  }

  // session.cc
  // Counts the trainings of which earlier processes died.
  void CountDeaths();
  // OK, or why this plan is not tried again.
  absl::Status CheckQuarantine(const Assignment& assignment) const;
  std::string PlanKeyOf(const Assignment& assignment) const;
  void Next();
  void Proceed(Held* held);
  void CheckIn(int64_t max_wait_ms);
  CheckInRequest MakeCheckIn(int64_t max_wait_ms) const;
  void OnCheckIn(absl::StatusOr<CheckInResponse> response);
  void Follow(const std::string& address);
  void RetryLater(const absl::Status& status);
  void Wait(SessionEvent event);
  void OnTimer(bool fired);
  void FinishStop();
  Held* NextUnfinished();
  Held* Active();
  int64_t ElapsedMs(const Held& held) const;
  void Emit(SessionEvent event) const;
  void EmitFor(SessionEventKind kind, const Held& held, const std::string& text = "") const;
  void EmitProblem(const std::string& text) const;
  void BeginTransfer(Phase phase);
  // `complete`: of a transfer that broke the time says nothing about the link.
  EnergySample EndTransfer(uint64_t bytes, bool complete);
  // Writes down how far the work has come; a failure is reported and survived.
  void Save(const Held& held);
  void Written(const Held& held, const absl::Status& status) const;

  // session_conditions.cc
  // Whether to ask for work now.
  bool MayBegin();
  // True if the conditions keep `held` from going on; that has been dealt with.
  bool HeldBack(Held* held);
  void WaitForConditions();
  // Whether `held`, whose conditions are not met, may wait for them and go on.
  bool MayPause(const Held& held);
  // From now on until something waits: looks at the conditions every condition_check_ms.
  void StartWatch();
  void Watch();
  void StopWatch();
  // True if any rule can be broken.
  bool HasConditions() const;
  void ReadConditions();
  void Say(const Verdict& verdict);
  // What of a verdict leaves the device.
  std::string TellableReason(const Verdict& verdict) const;
  DeviceTelemetry MakeTelemetry(const CostEstimate& costs) const;

  // session_fetch.cc
  void Accept(Assignment assignment);
  absl::Status TakeInline(Held* held);
  // What it cost to get that many bytes inside an assignment.
  void MeterInline(uint64_t bytes, Report* report);
  void ForgetOldest();
  void Fetch(Held* held);
  // What of the assignment is not here yet, if anything.
  std::optional<Part> NextPart(Held* held);
  absl::Status StartDownload(Held* held, const Part& part);
  // Bytes that an earlier process moved and could not write down before it was killed.
  static void CountUnmetered(Phase phase, uint64_t bytes, Report* report);
  void OnDownload(ClientTransport::DownloadResult result);
  void DownloadFailed(Held* held, const absl::Status& status);
  void Verify(Held* held);
  static Verified RunVerify(const VerifyWork& work);
  static absl::StatusOr<std::shared_ptr<const Bundle>> VerifyBundle(const VerifyWork& work,
                                                                    int* damaged);
  void OnVerified(Verified verified);
  static const Resource& BlobOf(const Assignment& assignment, Blob blob);
  static const Resource& ResourceOf(const Assignment& assignment, const Part& part);
  static std::string PartName(const Assignment& assignment, const Part& part);
  // Blobs that the assignment's work still reads.
  static std::set<Digest> PinnedBy(const Assignment& assignment);
  bool Needs(const Held& held, Blob blob) const;
  bool IsVerified(const Held& held, Blob blob) const;
  std::string BlobPath(const Held& held, Blob blob) const;

  // session_steps.cc
  absl::Status TakeInlineSteps(Held* held);
  // False, without steps, if there is no way by them.
  bool CanUseSteps(Held* held);
  // The first whose payload is not complete.
  std::optional<size_t> NextStep(const Held& held) const;
  ModelAssembly MakeAssembly(const Held& held) const;
  void AssemblyDone(Held* held, const AssemblyResult& result, const EnergySample& sample);
  // The model is to be downloaded as it is.
  void GiveUpSteps(Held* held, const absl::Status& why);
  // Forgets steps and payloads.
  void DropSteps(Held* held);

  // session_train.cc
  // Of an assignment to train: that its codec is known here and can be used.
  absl::Status CheckCodec(const Assignment& assignment) const;
  void Train(Held* held);
  void OnTrained(Worked worked);
  // Its training came to an end, whichever.
  void Survived(const Assignment& assignment);
  void Encode(Held* held);
  void OnEncoded(Worked worked);
  void Fail(Held* held, ReportStatus status, const std::string& error);
  void FailAndGoOn(Held* held, ReportStatus status, const std::string& error);
  // To be called from the trainer's thread.
  std::function<void(const TrainProgress&)> ProgressSink(const std::string& assignment_id);

  // session_report.cc
  void Send(Held* held);
  void OnUpdateChecked(absl::Status status);
  void OnUploadOffset(absl::StatusOr<UploadOffset> offset);
  void OnUpload(ClientTransport::UploadResult result);
  void OnReport(absl::StatusOr<ReportReply> reply);
  void Sent(uint64_t bytes, absl::StatusOr<ReportReply> reply);
  void SendFailed(Held* held, const absl::Status& status);
  Report MakeReport(const Held& held, uint64_t offset) const;
  // True if anything changed by it.
  bool ApplyOutcome(Held* held, Outcome outcome, const std::string& reason);

  const SessionOptions options_;
  SessionDeps deps_;
  const FileLock lock_;
  const AssignmentStore store_;
  BlobCache cache_;
  const uint64_t session_number_;
  Backoff backoff_;
  PhaseMeter meter_;  // of transfers
  UploadEnergyEstimate upload_estimate_;
  CostLog costs_;
  HeldModels models_;
  PlanQuarantine quarantine_;
  BootLog boots_;
  int64_t transfer_us_ = 0;  // when the one under way began

  std::map<std::string, Held> held_;
  KnownBundle known_bundle_;
  std::vector<std::string> problems_;  // of loading
  std::string active_;                 // id of the assignment that the thing under way is about
  Part fetching_;
  uint64_t epoch_ = 0;
  uint64_t timer_ = 0;
  bool working_ = false;   // a task of the work executor is under way
  bool training_ = false;  // and it is a training
  bool metering_ = false;  // a window of meter_ is open
  bool consult_ = false;   // check in before going on with unfinished work
  bool stopping_ = false;
  bool stopped_ = false;
  int forwards_ = 0;  // in a row
  int64_t check_in_us_ = 0;
  uint64_t sending_bytes_ = 0;  // of the inline report under way
  std::string cancel_reason_;
  DeviceState device_;  // as it was read last, at device_read_us_
  std::optional<int64_t> device_read_us_;
  Condition said_ = Condition::kNone;
  std::vector<std::string> unchecked_said_;
  bool flaws_said_ = false;
  uint64_t watch_timer_ = 0;
  int64_t conditions_wait_ms_ = 0;
  bool conditions_cut_ = false;       // the check-in under way was ended by Watch
  bool pausing_ = false;              // the training under way was ended by Watch, to go on
  std::optional<int64_t> paused_us_;  // monotonic: since when the active training waits
  const std::shared_ptr<std::atomic<bool>> training_cancel_ =
      std::make_shared<std::atomic<bool>>(false);
  std::vector<absl::AnyInvocable<void()>> on_stopped_;
  std::shared_ptr<ClientTransport> forwarded_;
};

// UNAUTHENTICATED and PERMISSION_DENIED: nothing that trying again soon would mend.
bool IsDenied(const absl::Status& status);
// Errors of a connection or of a busy server.
bool IsTransient(const absl::Status& status);

inline constexpr uint32_t kMaxFailures = 5;
inline constexpr char kTooLate[] = "its deadline passed before the work was done";

}  // namespace fedwatt
