#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/interrupt.h"
#include "common/base/subprocess.h"
#include "common/model/job_spec.h"
#include "common/model/job_view.h"
#include "fedwatt/v1/admin_service.grpc.pb.h"

namespace fedwatt::bench {

struct CoordinatorProcessOptions {
  std::string program;  // fedwatt-coordinator
  std::string data_dir;
  std::string tls_dir;   // certificates "coordinator" and "operator"; empty: insecure
  std::string log_path;  // its output
  std::vector<std::string> extra = {};  // more flags
};

// A real coordinator on loopback, and its admin service as blocking calls. Ended with SIGKILL on
// destruction. One thread.
class CoordinatorProcess {
 public:
  // Returns when it answers.
  static absl::StatusOr<std::unique_ptr<CoordinatorProcess>> Start(
      const CoordinatorProcessOptions& options, Interrupt* interrupt);

  const std::string& address() const { return address_; }
  pid_t pid() const { return process_.pid(); }

  absl::StatusOr<uint64_t> WaitingClients();
  // Sends the bundle and submits the job; its id.
  absl::StatusOr<std::string> Submit(const std::string& bundle_path, const JobSpec& spec);
  // Calls `on_committed` for every committed round until the job has ended. INTERNAL unless it
  // completed.
  absl::Status Watch(const std::string& job,
                     const std::function<absl::Status(const RoundSummary&)>& on_committed);

 private:
  CoordinatorProcess(std::string address, bool insecure, Subprocess process, Interrupt* interrupt)
      : address_(std::move(address)),
        insecure_(insecure),
        process_(std::move(process)),
        interrupt_(interrupt) {}

  void Prepare(grpc::ClientContext* context, int64_t timeout_ms) const;
  absl::Status UploadBundle(const std::string& path, std::string* sha256);

  const std::string address_;
  const bool insecure_;
  Subprocess process_;
  Interrupt* const interrupt_;
  std::unique_ptr<v1::AdminService::Stub> stub_;
};

}  // namespace fedwatt::bench
