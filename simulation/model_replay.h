#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "server/driver/job_setup.h"
#include "server/store/blob_store.h"
#include "server/store/store.h"

// Makes each committed model once more, from the initial one and the updates that were accepted,
// in another order than they came in, and compares. In an unbiased job with the weights that follow
// from the probabilities that became durable with the assignments.
namespace fedwatt {

// One thread.
class ModelReplay {
 public:
  // `dir`: for its blobs.
  static absl::StatusOr<std::unique_ptr<ModelReplay>> Create(const std::string& dir);

  // The job's setup and its first model; before the first Commit.
  void Begin(std::shared_ptr<const JobSetup> setup, const std::string& model);
  // An update's bytes, until its round is over.
  void Keep(const Digest& sha256, const std::string& bytes);

  // `accepted`: the attempt's reports by index; `codecs` and `inclusion` as of its assignments.
  // DATA_LOSS: another model came out, or an accepted update was never sent.
  absl::Status Commit(const RoundCommitted& commit,
                      const std::map<uint32_t, ReportAccepted>& accepted,
                      const std::vector<std::string>& codecs, const std::vector<double>& inclusion);

 private:
  ModelReplay() = default;

  std::unique_ptr<BlobStore> blobs_;
  std::shared_ptr<const JobSetup> setup_;
  std::unique_ptr<Strategy> strategy_;
  Plugins plugins_ = Plugins::Builtin();
  std::string model_;
  std::map<Digest, std::string> updates_;
};

}  // namespace fedwatt
