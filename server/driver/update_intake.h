#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/driver/attempt_board.h"
#include "server/driver/coordinator.h"
#include "server/driver/job_driver.h"
#include "server/driver/update_check.h"

// The door for reports and uploads: whose assignment is it, is it still wanted, are the bytes what
// they claim to be. Runs on the caller's threads and the work queue, never on a job's executor.
namespace fedwatt {

// Thread-safe. Replies run on threads of the executor or the store. A `done` that is dropped in a
// shutdown gets UNAVAILABLE.
class UpdateIntake {
 public:
  using FindDriver = std::function<std::shared_ptr<JobDriver>(const std::string& job)>;

  UpdateIntake(const DriverContext* context, FindDriver find_driver)
      : context_(context), find_driver_(std::move(find_driver)) {}

  void SubmitReport(const Principal& who, Report report, ReplyDone done);
  absl::StatusOr<Coordinator::UploadStart> StartUpload(const Principal& who, Report report,
                                                       uint64_t offset);
  absl::StatusOr<UploadOffset> UploadStatus(const Principal& who, const std::string& assignment_id,
                                            const Digest& sha256) const;

 private:
  class Session;

  // Whose assignment it is.
  struct Owned {
    AssignmentName name;
    std::shared_ptr<JobDriver> driver;
    std::string client;
    std::optional<SlotView> slot;  // none: not in flight and not of late; ask the store
    bool open() const;             // the attempt waits for this report
  };
  // None: there is no such assignment of this caller. With an empty slot the store decides.
  std::optional<Owned> FindOwned(const Principal& who, const std::string& assignment_id) const;

  // What to answer without a further look, for the report of an open assignment: it was accepted
  // before, or another one is being checked.
  std::optional<absl::StatusOr<ReportReply>> Known(const Owned& owned, const Report& report) const;
  // For an assignment that is closed: books the joules, once, and tells the outcome.
  void AnswerClosed(const Owned& owned, Report report, ReplyDone done) const;
  void Book(const Owned& owned, Report report, bool failed, ReportReply reply,
            ReplyDone done) const;
  // A further report of an assignment whose first one counts: what it cost to send it again.
  void BookRepeat(const Owned& owned, Report report, ReportReply reply, ReplyDone done) const;
  absl::StatusOr<ReportReply> RefuseNow(const Owned& owned, Report report,
                                        const absl::Status& verdict) const;
  absl::StatusOr<std::unique_ptr<SpoolUpload>> OpenSpool(const Report& report,
                                                         uint64_t offset) const;

  // An update of which all bytes are there: in memory, or as an upload that is to be finished.
  struct Arrived {
    std::shared_ptr<const SpooledUpdate> held;
    std::unique_ptr<SpoolUpload> upload;
  };
  absl::StatusOr<Arrived> TakeInline(Report* report) const;

  // On the work queue: verify, validate, hand over.
  static void Check(const DriverContext& context, const Owned& owned, Report report,
                    Arrived arrived, ReplyDone done);
  static void HandOver(const Owned& owned, Report report, std::shared_ptr<const SpooledUpdate> held,
                       absl::StatusOr<CheckedUpdate> checked, ReplyDone done);

  const DriverContext* const context_;
  const FindDriver find_driver_;
};

// Who calls, as the store knows it.
std::string PseudonymOf(const DriverContext& context, const Principal& who,
                        const std::string& population);

}  // namespace fedwatt
