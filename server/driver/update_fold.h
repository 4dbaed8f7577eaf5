#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "server/aggregators/aggregator.h"
#include "server/driver/codec_policy.h"
#include "server/store/spool.h"

// From accepted updates to the sum, several in one pass: while a pass runs others arrive, and the
// next one takes them together.
namespace fedwatt {

struct JobSetup;

// An accepted update.
struct FoldEntry {
  std::string assignment_id;
  Digest sha256{};
  uint64_t bytes = 0;
  uint64_t weight = 0;
  double clip_factor = 1;
  std::shared_ptr<const UploadCodec> codec;
  std::shared_ptr<const SpooledUpdate> held;  // null: the spool has it in a file
};

// One pass. OK when all are folded; else the first update's error, with its assignment, and the sum
// is of no use. Thread-safe.
absl::Status FoldUpdates(const JobSetup& setup, Spool* spool, std::span<const FoldEntry> updates,
                         Aggregator* aggregator);

// What waits for a pass, and how many passes are under way. Thread-safe.
//
//   if (queue.Push(entry)) start a task
//   task: FoldUpdates(queue.Take()); if (queue.Passed()) start a task again
class FoldQueue {
 public:
  // Bounds the memory of one pass, whatever the number of clients: updates, and bytes that are held
  // while they are folded. One update always fits.
  static constexpr size_t kMaxUpdates = 8;
  static constexpr uint64_t kMaxHeldBytes = 32 << 20;

  explicit FoldQueue(uint32_t max_tasks) : max_tasks_(max_tasks) {}

  // True: a task has to be started for it.
  bool Push(FoldEntry entry);
  // A fair share of what waits, in order; at times empty, for other tasks took it.
  std::vector<FoldEntry> Take();
  // The task has done its pass. True: more waits, and this task has to go on with it.
  bool Passed();

 private:
  const uint32_t max_tasks_;
  Mutex mutex_;
  std::deque<FoldEntry> waiting_ ABSL_GUARDED_BY(mutex_);
  uint32_t tasks_ ABSL_GUARDED_BY(mutex_) = 0;  // started and not ended
};

}  // namespace fedwatt
