#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/file.h"
#include "common/model/fleet.h"
#include "common/model/job_view.h"
#include "server/carbon/carbon_desk.h"
#include "server/driver/own_energy.h"
#include "server/driver/plugins.h"
#include "server/ledger/energy_sums.h"
#include "server/store/blob_store.h"
#include "server/store/spool.h"
#include "server/store/store.h"

// The coordinator without a transport: gRPC services and the simulator call the same methods.
namespace fedwatt {

struct CoordinatorOptions {
  std::string version;
  std::string population_key;         // secret; for pseudonyms
  int64_t long_poll_max_ms = 25'000;  // shorter than NAT and load-balancer time-outs
  int64_t retry_after_ms = 10'000;    // pace steering: base of every rejection's retry_after
  uint32_t max_jobs = 1000;
  uint32_t max_waiting_clients = 100'000;
  uint32_t fold_threads = 2;
};

// All outlive the coordinator.
struct CoordinatorDeps {
  const Clock* clock = nullptr;
  Executor* executor = nullptr;  // for callbacks, timers, folding
  Store* store = nullptr;
  BlobStore* blobs = nullptr;
  Spool* spool = nullptr;
  CarbonDesk* carbon = nullptr;     // null: grams are not counted
  OwnEnergy* own_energy = nullptr;  // null: the coordinator's own joules are unknown
  Plugins plugins = Plugins::Builtin();
};

// An upload whose header was accepted. One stream uses it, from one thread at a time.
class UploadSession {
 public:
  virtual ~UploadSession() = default;
  virtual uint64_t offset() const = 0;
  virtual absl::Status Append(uint64_t offset, std::span<const uint8_t> data) = 0;
  // Verifies, validates, and reports; `done` runs once the report is durable or refused.
  virtual void Finish(absl::AnyInvocable<void(absl::StatusOr<ReportReply>)> done) = 0;
};

struct ServerStats {
  int64_t started_ms = 0;
  uint64_t waiting_clients = 0;
  uint64_t known_clients = 0;
  uint64_t jobs_running = 0;
  uint64_t inflight_upload_bytes = 0;
};

// Snapshot after a change; `committed` when a round ended with it.
struct JobUpdate {
  uint64_t sequence = 0;
  JobView job;  // without `rounds`
  std::optional<RoundSummary> committed;
};

// Thread-safe. Errors are for the peer: they name the thing, the value, the limit, the next step,
// and nothing of other clients.
class Coordinator {
 public:
  // Loads the store, verifies the last commit's blobs of each job that runs or can be resumed
  // (DATA_LOSS names a corrupt one), resumes the attempts in flight.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(CoordinatorOptions options,
                                                            CoordinatorDeps deps);
  virtual ~Coordinator() = default;

  // ---- devices. The principal's role is kClient or kEvaluator.

  // Holds the call up to request.max_wait_ms (bounded by the option). `done` runs exactly once, on
  // the executor. The id serves CancelCheckIn (the peer went away: `done` gets CANCELLED).
  using CheckInDone = absl::AnyInvocable<void(absl::StatusOr<CheckInResponse>)>;
  virtual uint64_t CheckIn(const Principal& who, CheckInRequest request, CheckInDone done) = 0;
  virtual void CancelCheckIn(uint64_t id) = 0;

  // Only blobs that an assignment of this principal names: PERMISSION_DENIED otherwise.
  virtual absl::StatusOr<std::shared_ptr<const MappedFile>> OpenBlob(const Principal& who,
                                                                     const Digest& sha256) = 0;
  virtual absl::StatusOr<UploadOffset> UploadStatus(const Principal& who,
                                                    const std::string& assignment_id,
                                                    const Digest& sha256) = 0;
  // A refusal that is final (late, duplicate, not yours) is a ReportReply, not an error: the client
  // forgets its update. Either a session or a reply.
  struct UploadStart {
    std::unique_ptr<UploadSession> session;
    std::optional<ReportReply> refused;
  };
  virtual absl::StatusOr<UploadStart> StartUpload(const Principal& who, Report report,
                                                  uint64_t offset) = 0;
  // Reports without an update, or with one inline, whose hash is checked here. The caller's thread
  // writes the update to a file when the spool has no memory for it.
  virtual void SubmitReport(const Principal& who, Report report,
                            absl::AnyInvocable<void(absl::StatusOr<ReportReply>)> done) = 0;

  // ---- operators

  virtual ServerStats Stats() = 0;
  // Takes a bundle file with tensors; keeps its parts as blobs. Idempotent.
  virtual absl::StatusOr<std::string> AddBundle(const std::string& file_path, Digest* sha256) = 0;
  virtual absl::StatusOr<JobView> SubmitJob(const JobSpec& spec, const Digest& bundle,
                                            const std::string& request_id) = 0;
  virtual std::vector<JobView> ListJobs(bool all) = 0;
  virtual absl::StatusOr<JobView> GetJob(const std::string& id_or_name) = 0;
  // Calls `on_update` on the executor: a snapshot at once, then each change, until the job has
  // ended or Unwatch. Slow watchers get the newest snapshot; committed rounds are never dropped.
  virtual absl::StatusOr<uint64_t> WatchJob(
      const std::string& id_or_name, uint64_t after_sequence,
      std::function<void(const JobUpdate&, bool last)> on_update) = 0;
  virtual void Unwatch(uint64_t id) = 0;
  virtual absl::StatusOr<JobView> StopJob(const std::string& id_or_name,
                                          const std::string& reason) = 0;
  virtual absl::StatusOr<JobView> ResumeJob(const std::string& id_or_name) = 0;
  // Writes a bundle file with the tensors of `version` ("best", "last", a round) to `path`.
  virtual absl::Status ExportModel(const std::string& id_or_name, const std::string& version,
                                   const std::string& path) = 0;

  // The ledger of a job along `axis`. By client it reads single samples: seconds for millions.
  virtual absl::StatusOr<std::vector<EnergySum>> QueryEnergy(const std::string& id_or_name,
                                                             EnergyAxis axis,
                                                             const EnergyFilter& filter) = 0;

  // Stops timers and calls back what waits with UNAVAILABLE; nothing is lost.
  virtual void Shutdown() = 0;
};

}  // namespace fedwatt
