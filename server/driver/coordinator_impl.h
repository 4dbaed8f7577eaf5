#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "server/driver/bundle_blobs.h"
#include "server/driver/check_in.h"
#include "server/driver/coordinator.h"
#include "server/driver/job_driver.h"
#include "server/driver/update_intake.h"

namespace fedwatt {

// Wires the door, the intake and the jobs' drivers together.
class CoordinatorImpl final : public Coordinator {
 public:
  CoordinatorImpl(CoordinatorOptions options, CoordinatorDeps deps);
  ~CoordinatorImpl() override;

  absl::Status Load();

  uint64_t CheckIn(const Principal& who, CheckInRequest request, CheckInDone done) override;
  void CancelCheckIn(uint64_t id) override;
  absl::StatusOr<std::shared_ptr<const MappedFile>> OpenBlob(const Principal& who,
                                                             const Digest& sha256) override;
  absl::StatusOr<UploadOffset> UploadStatus(const Principal& who, const std::string& assignment_id,
                                            const Digest& sha256) override;
  absl::StatusOr<UploadStart> StartUpload(const Principal& who, Report report,
                                          uint64_t offset) override;
  void SubmitReport(const Principal& who, Report report,
                    absl::AnyInvocable<void(absl::StatusOr<ReportReply>)> done) override;

  ServerStats Stats() override;
  absl::StatusOr<std::string> AddBundle(const std::string& file_path, Digest* sha256) override;
  absl::StatusOr<JobView> SubmitJob(const JobSpec& spec, const Digest& bundle,
                                    const std::string& request_id) override;
  std::vector<JobView> ListJobs(bool all) override;
  absl::StatusOr<JobView> GetJob(const std::string& id_or_name) override;
  absl::StatusOr<uint64_t> WatchJob(
      const std::string& id_or_name, uint64_t after_sequence,
      std::function<void(const JobUpdate&, bool last)> on_update) override;
  void Unwatch(uint64_t id) override;
  absl::StatusOr<JobView> StopJob(const std::string& id_or_name,
                                  const std::string& reason) override;
  absl::StatusOr<JobView> ResumeJob(const std::string& id_or_name) override;
  absl::Status ExportModel(const std::string& id_or_name, const std::string& version,
                           const std::string& path) override;
  absl::StatusOr<std::vector<EnergySum>> QueryEnergy(const std::string& id_or_name, EnergyAxis axis,
                                                     const EnergyFilter& filter) override;
  void Shutdown() override;

 private:
  using DriverPtr = std::shared_ptr<JobDriver>;

  DriverPtr FindById(const std::string& id) const;
  absl::StatusOr<DriverPtr> FindJob(const std::string& id_or_name) const;
  std::vector<DriverPtr> Drivers() const;
  absl::StatusOr<JobRecord> MakeRecord(const JobSpec& spec, const BundleParts& parts,
                                       const std::string& request_id) const;
  absl::StatusOr<Digest> WarmStart(const JobSpec& spec, const Manifest& manifest) const;
  // Carbon source and budget of a job that is being submitted.
  absl::Status CheckSpending(const JobSetup& setup);
  absl::StatusOr<JobView> ChangeState(const DriverPtr& driver, JobState from, JobState to,
                                      const std::string& reason);

  DriverContext context_;
  std::unique_ptr<WorkQueue> work_;
  std::unique_ptr<BlobReferences> references_;
  std::unique_ptr<ClientPool> pool_;
  std::unique_ptr<UpdateIntake> intake_;
  std::unique_ptr<CheckInDoor> door_;
  int64_t started_ms_ = 0;
  std::atomic<uint64_t> next_id_{1};

  Mutex submit_mutex_;  // held across a whole submission; taken before mutex_
  mutable Mutex mutex_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, DriverPtr> drivers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> job_by_request_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::string> watched_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fedwatt
