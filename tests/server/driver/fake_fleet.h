#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/manual_executor.h"
#include "common/codec/codec.h"
#include "server/driver/coordinator.h"

// Devices without a transport: they call a Coordinator as gRPC's adapters would, on a
// ManualExecutor. They behave like the SDK: a report is kept until its outcome is known, and
// offered again after every kind of failure; a model is made from the one they hold where the
// coordinator names a way, and is refused when it is not the one that the assignment names.
namespace fedwatt::testing {

// What a client makes of an assignment. By default a delta that depends on (job, round, client)
// alone, so that a job's models do not depend on how often anything was cut off.
struct FakeWork {
  Report report;
  std::string update;
};

class FakeClient {
 public:
  struct Options {
    std::string name;
    Role role = Role::kClient;
    std::string dataset = "digits";
    uint64_t examples = 100;
    std::string population = "default";
    std::string tenant = "default";
    std::map<std::string, std::string> labels;
    uint64_t memory_bytes = 1 << 30;
    std::string sdk_version = "1.0.0";
    int64_t max_wait_ms = 20'000;
    std::vector<std::string> codecs = {"raw_f32"};
    size_t models_kept = 2;
  };

  FakeClient(Options options, ManualExecutor* executor, FakeClock* clock);

  // Null: the coordinator is away. Every call under way is forgotten, as by a broken connection.
  void Attach(Coordinator* coordinator);
  // Checks in, works, reports, and again.
  void Run();
  void Stop() { running_ = false; }

  // Replaces the default; nullopt: never reports.
  std::function<std::optional<FakeWork>(const Assignment&)> train;
  // Milliseconds of training.
  int64_t train_ms = 0;
  // Sends the update as a stream of chunks of so many bytes; 0: inline.
  size_t chunk_bytes = 0;
  // The last word on what a check-in says.
  std::function<void(CheckInRequest*)> amend;

  const Options& options() const { return options_; }
  Principal principal() const;
  CheckInRequest Request() const;
  FakeWork DefaultWork(const Assignment& assignment) const;

  std::map<std::string, int> trainings;           // by assignment id
  std::map<std::string, OutcomeNotice> outcomes;  // final ones
  std::vector<ReportReply> replies;
  std::vector<absl::Status> errors;
  std::vector<Rejection> rejections;
  std::vector<Assignment> assignments;
  // Flat models, newest first; what the next check-in says it holds.
  std::vector<std::pair<Digest, std::vector<uint8_t>>> models;

 private:
  struct Kept {
    FakeWork work;
    HoldingStage stage = HoldingStage::kWorking;
  };

  void CheckIn();
  void OnResponse(absl::StatusOr<CheckInResponse> response);
  void Learn(const OutcomeNotice& notice);
  void Work(const Assignment& assignment);
  // The model that the assignment names; adds the bytes it took to *received.
  absl::StatusOr<std::vector<uint8_t>> ObtainModel(const Assignment& assignment,
                                                   uint64_t* received);
  absl::StatusOr<std::vector<uint8_t>> FollowSteps(const Assignment& assignment,
                                                   uint64_t* received);
  absl::StatusOr<std::vector<uint8_t>> Fetch(const Resource& resource, uint64_t* received);
  const std::vector<uint8_t>* HeldModel(const Digest& sha256) const;
  void Send(const std::string& id);
  void Stream(const std::string& id, const FakeWork& work);
  void OnReply(const std::string& id, absl::StatusOr<ReportReply> reply);
  void Later(int64_t delay_ms, std::function<void()> task);

  const Options options_;
  ManualExecutor* const executor_;
  FakeClock* const clock_;
  Coordinator* coordinator_ = nullptr;
  uint64_t epoch_ = 0;
  bool running_ = false;
  std::map<std::string, Kept> kept_;
};

}  // namespace fedwatt::testing
