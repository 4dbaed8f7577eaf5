#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "client/sdk/transport.h"
#include "common/base/manual_executor.h"
#include "simulation/coordinator_host.h"

// A device's way to the coordinator without a network: the same messages with the same bounds
// (common/wire/as_received.h) after the time that its link takes, and with what the plan of faults
// does to them. It answers like gRPC: a coordinator that is down or dies is UNAVAILABLE, a
// connection that breaks cancels the check-in that it held.
namespace fedwatt {

struct VirtualLink {
  double down_bytes_per_s = 1e6;
  double up_bytes_per_s = 1e6;
  int64_t latency_ms = 20;  // one way
};

// What goes over it, for the trace and the device's energy. May be called inside of calls.
struct LinkEvents {
  std::function<void(uint64_t bytes)> check_in_sent;
  std::function<void(const absl::StatusOr<CheckInResponse>& response, uint64_t bytes)>
      check_in_answered;
  std::function<void(const Report& report, uint64_t bytes)> report_sent;
  // The update goes in pieces, from that file.
  std::function<void(const Report& report, const std::string& path)> upload_begun;
  std::function<void(const MessageFault& fault)> fault;
};

// One thread. Callbacks run in tasks of the executor, never inside of calls; after destruction none
// does.
class VirtualTransport final : public ClientTransport, public CoordinatorPeer {
 public:
  VirtualTransport(CoordinatorHost* host, ManualExecutor* executor, Principal who, VirtualLink link,
                   LinkEvents events);
  ~VirtualTransport() override;

  void CheckIn(const CheckInRequest& request, Done<CheckInResponse> done) override;
  void Download(const Digest& sha256, uint64_t offset, const std::string& path,
                absl::AnyInvocable<void(DownloadResult)> done) override;
  void UploadStatus(const std::string& assignment_id, const Digest& sha256,
                    Done<UploadOffset> done) override;
  void Upload(const Report& report, uint64_t offset, const std::string& path,
              absl::AnyInvocable<void(UploadResult)> done) override;
  void SubmitReport(const Report& report, Done<ReportReply> done) override;
  void CancelAll() override;
  void Sleep() override {}

  void OnCoordinatorDied() override;

 private:
  // One call under way. Whoever ends it first takes `end`.
  struct Call {
    std::function<void(absl::Status)> fail;  // null: ended
    uint64_t number = 0;
    uint64_t check_in = 0;  // held by the coordinator's life
    uint64_t life = 0;
  };
  using CallPtr = std::shared_ptr<Call>;

  template <typename Result>
  CallPtr Begin(absl::AnyInvocable<void(Result)> done, std::function<Result(absl::Status)> failure,
                std::shared_ptr<absl::AnyInvocable<void(Result)>>* kept);
  // Takes the call: false if it has ended.
  bool End(const CallPtr& call);
  void FailLater(const CallPtr& call, int64_t delay_ms, absl::Status status);
  // Lets the call's message arrive at the coordinator, as often and as late as the fault says.
  // `act` gets the coordinator and whether its answer will be heard.
  void Send(const CallPtr& call, uint64_t bytes, std::function<void(Coordinator&, bool heard)> act);
  void Arrive(const CallPtr& call, bool heard, const std::function<void(Coordinator&, bool)>& act);
  void EndDownload(const CallPtr& call, std::shared_ptr<const MappedFile> blob, uint64_t offset,
                   const std::string& path, bool cut,
                   const std::shared_ptr<absl::AnyInvocable<void(DownloadResult)>>& done);
  void StartUpload(const CallPtr& call, Coordinator& coordinator, const Report& report,
                   uint64_t offset, const std::string& path, bool cut,
                   const std::shared_ptr<absl::AnyInvocable<void(UploadResult)>>& done);
  int64_t UpMs(uint64_t bytes) const;
  int64_t DownMs(uint64_t bytes) const;
  // Runs `task` after the delay unless this transport is gone by then.
  void Later(int64_t delay_ms, std::function<void()> task);
  template <typename Result>
  void Answer(const CallPtr& call, const std::shared_ptr<absl::AnyInvocable<void(Result)>>& done,
              int64_t delay_ms, Result result);

  CoordinatorHost* const host_;
  ManualExecutor* const executor_;
  const Principal who_;
  const VirtualLink link_;
  const LinkEvents events_;
  std::map<uint64_t, CallPtr> calls_;  // by number, hence in one order
  uint64_t next_call_ = 0;
  uint64_t peer_ = 0;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fedwatt
