#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/energy/energy_sample.h"
#include "common/model/fleet.h"

// What this device's work costs it, from what a session measures anyway: the coordinator weighs
// bytes against joules and seconds by it (CheckInRequest.costs).
//
// Each figure is a ratio of two sums, say of bytes and of seconds, and both lose kForget of
// themselves with each new measurement: the last three or so count, large transfers for more.
// Transfers below kMinTransferBytes are left out, as their time is the connection's and not the
// bytes'. What was never measured stays unknown (law 6). Joules of another meter, scope or quality
// do not add up with earlier ones: they start anew.
namespace fedwatt {

// One thread at a time.
class CostLog {
 public:
  static constexpr uint64_t kMinTransferBytes = 64 * 1024;
  static constexpr double kForget = 0.3;
  static constexpr int64_t kSaveEveryMs = 30'000;

  // `path`: a small file. What is not there or damaged is an empty log.
  static CostLog Load(const std::string& path);

  // A transfer of sample.bytes bytes that took `duration_us` of wall time; sample.phase (download
  // or upload) says which way.
  void AddTransfer(const EnergySample& sample, int64_t duration_us);
  void AddEncoding(const EnergySample& sample, uint64_t coordinates);
  // Replaces what is known of training: it is the last assignment's.
  void SetTraining(const EnergySample& sample, int64_t duration_us);

  // The mean loss of the latest model that came, on this device's data; of the model as it was
  // trained where that was not measured. Replaces what is known.
  void SetLoss(const UpdateMetrics& metrics);
  std::optional<double> mean_loss() const;

  // `stated`: what the device's owner says of its link; it stands for what was measured.
  CostEstimate Estimate(const CostEstimate& stated) const;

  // Writes the file if there is news and none was written in the last kSaveEveryMs (a kill loses so
  // much); after a failure not before there is more. `now_us`: monotonic.
  absl::Status SaveNowAndThen(int64_t now_us);
  // If there is news.
  absl::Status Save();

 private:
  struct Ratio {
    double of = 0;
    double per = 0;
    std::string kind;  // of joules: their meter, scope and quality

    bool operator==(const Ratio&) const = default;
  };

  explicit CostLog(std::string path) : path_(std::move(path)) {}

  void Add(const std::string& name, double of, double per, const std::string& kind);
  std::optional<double> Value(const std::string& name) const;

  std::string path_;
  std::map<std::string, Ratio> ratios_;
  bool changed_ = false;
  std::optional<int64_t> saved_us_;  // by SaveNowAndThen
};

// What is told of `costs`: speeds of the link that were not `stated` by the device's owner only as
// what their bucket of 3 bits stands for (common/model/telemetry.h).
CostEstimate WithCoarseLink(CostEstimate costs, const CostEstimate& stated);

}  // namespace fedwatt
