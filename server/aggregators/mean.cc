// `mean`: sum n_i x_i / sum n_i over int64 fixed-point sums (law 5, common/tensor/fixed_point.h);
// buffers by common/tensor/buffer_accumulator.h.
//
// The sums are worked on in blocks, each behind its own mutex: passes of several threads follow one
// another from block to block. A pass folds all its updates into a block before it goes on to the
// next, so that the sums move through the cache once for all of them. Memory is 8 bytes a
// coordinate and one block per pass under way.
//
// An update is read once: a block is checked, then folded. Should a later block turn out bad or
// unreadable, the blocks before it are read again and folded with the opposite sign, which undoes
// them to the bit. Only if that fails too are the sums lost, and Report says so.

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/large_memory.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/model/plugin_params.h"
#include "common/tensor/buffer_accumulator.h"
#include "common/tensor/fixed_point.h"
#include "server/aggregators/aggregator.h"

namespace fedwatt {
namespace {

// Those of compressed updates: whole ones are decoded in place.
constexpr uint64_t kBlockCoordinates = 64 * 1024;

constexpr uint64_t kBlockBytes = kBlockCoordinates * sizeof(int64_t);
static_assert(LargeMemory::kReleaseBytes % kBlockBytes == 0);

class Mean final : public Aggregator {
 public:
  Mean(AggregatorConfig config, int scale, LargeMemory sums, BufferAccumulator buffers)
      : config_(std::move(config)),
        scale_(scale),
        sums_(std::move(sums)),
        blocks_((config_.layout.coordinates + kBlockCoordinates - 1) / kBlockCoordinates),
        buffers_(std::move(buffers)) {}

  absl::Status Accumulate(const UpdateView& update) override;
  std::vector<absl::Status> AccumulateMany(std::span<const UpdateView* const> updates) override;
  absl::Status MergeWith(Aggregator&& other) override;
  bool CanReport() const override;
  absl::StatusOr<AggregateResult> Report() && override;

 private:
  // One update of a pass.
  struct Entry {
    const UpdateView* update = nullptr;
    double factor = 0;
    std::vector<uint8_t> buffers;
    bool begun = false;  // has a place among max_reports
    absl::Status status;
  };

  absl::Status CheckHead(const UpdateView& update) const;
  absl::Status Begin(Entry* entry);
  absl::Status TakeBuffers(Entry* entry);
  void FoldBlocks(std::span<Entry> entries);
  absl::Status FoldBlock(const UpdateView& update, size_t block, double factor,
                         std::span<float> scratch);
  // Takes the blocks before `blocks` out again.
  void Undo(const Entry& entry, size_t blocks, std::span<float> scratch);
  void Finish(std::span<const Entry> entries);
  uint64_t BlockSize(size_t block) const {
    return std::min(kBlockCoordinates, config_.layout.coordinates - block * kBlockCoordinates);
  }
  std::span<int64_t> Sums(size_t block) const {
    return {reinterpret_cast<int64_t*>(sums_.bytes().data()) + block * kBlockCoordinates,
            BlockSize(block)};
  }

  // Constant after construction.
  const AggregatorConfig config_;
  const int scale_;

  LargeMemory sums_;           // int64: one for each coordinate
  std::vector<Mutex> blocks_;  // each guards its part of sums_

  mutable Mutex mutex_;
  absl::Status usable_ ABSL_GUARDED_BY(mutex_);
  BufferAccumulator buffers_ ABSL_GUARDED_BY(mutex_);
  uint32_t begun_ ABSL_GUARDED_BY(mutex_) = 0;  // folds under way or done
  uint32_t folded_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t total_weight_ ABSL_GUARDED_BY(mutex_) = 0;
};

absl::Status Mean::Accumulate(const UpdateView& update) {
  const UpdateView* const one = &update;
  return AccumulateMany({&one, 1}).front();
}

std::vector<absl::Status> Mean::AccumulateMany(std::span<const UpdateView* const> updates) {
  std::vector<Entry> entries(updates.size());
  for (size_t i = 0; i < updates.size(); ++i) {
    entries[i].update = updates[i];
    entries[i].status = Begin(&entries[i]);
  }
  FoldBlocks(entries);
  Finish(entries);
  std::vector<absl::Status> statuses;
  for (Entry& entry : entries) statuses.push_back(std::move(entry.status));
  return statuses;
}

absl::Status Mean::CheckHead(const UpdateView& update) const {
  if (update.weight() == 0 || update.weight() > config_.max_weight) {
    return absl::InvalidArgumentError(absl::StrCat("the update's weight is ", update.weight(),
                                                   ": must be 1 to ", config_.max_weight,
                                                   " (bounds.max_weight)"));
  }
  if (!(update.clip_factor() > 0 && update.clip_factor() <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the update's clip factor is ", update.clip_factor(), ": must be above 0 and at most 1"));
  }
  return absl::OkStatus();
}

absl::Status Mean::Begin(Entry* entry) {
  FW_RETURN_IF_ERROR(CheckHead(*entry->update));
  entry->factor = FoldFactor(entry->update->weight(), entry->update->clip_factor(), scale_);
  FW_RETURN_IF_ERROR(TakeBuffers(entry));
  MutexLock lock(&mutex_);
  FW_RETURN_IF_ERROR(usable_);
  if (begun_ >= config_.max_reports) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the sums have room for ", config_.max_reports, " updates and hold them"));
  }
  ++begun_;
  entry->begun = true;
  return absl::OkStatus();
}

absl::Status Mean::TakeBuffers(Entry* entry) {
  if (config_.layout.buffer_bytes == 0) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(entry->buffers, entry->update->ReadBuffers());
  MutexLock lock(&mutex_);
  return buffers_.Validate(entry->buffers);
}

void Mean::FoldBlocks(std::span<Entry> entries) {
  std::vector<float> scratch(std::min(kBlockCoordinates, config_.layout.coordinates));
  for (size_t block = 0; block < blocks_.size(); ++block) {
    for (Entry& entry : entries) {
      if (!entry.status.ok()) continue;
      entry.status = FoldBlock(*entry.update, block, entry.factor, scratch);
      if (!entry.status.ok()) Undo(entry, block, scratch);
    }
  }
}

absl::Status Mean::FoldBlock(const UpdateView& update, size_t block, double factor,
                             std::span<float> scratch) {
  const uint64_t begin = block * kBlockCoordinates;
  const std::span<float> delta = scratch.first(BlockSize(block));
  FW_RETURN_IF_ERROR(update.ReadDelta(begin, delta));
  F32Scanner scanner;
  scanner.Add(delta);
  const F32Stats stats = scanner.Stats();
  if (!stats.finite || stats.max_abs > config_.max_abs_delta) {
    return FindBadF32(delta, config_.max_abs_delta, begin);
  }
  MutexLock lock(&blocks_[block]);
  FoldF32(delta, factor, Sums(block));
  return absl::OkStatus();
}

void Mean::Undo(const Entry& entry, size_t blocks, std::span<float> scratch) {
  for (size_t block = 0; block < blocks; ++block) {
    const absl::Status status = FoldBlock(*entry.update, block, -entry.factor, scratch);
    if (status.ok()) continue;
    MutexLock lock(&mutex_);
    usable_ = absl::DataLossError(
        absl::StrCat("the sums hold part of an update that could not be taken out again (",
                     StatusText(status), "); aggregate all updates anew"));
    return;
  }
}

void Mean::Finish(std::span<const Entry> entries) {
  MutexLock lock(&mutex_);
  for (const Entry& entry : entries) {
    if (!entry.status.ok()) {
      if (entry.begun) --begun_;
      continue;
    }
    if (config_.layout.buffer_bytes > 0) buffers_.Add(entry.buffers, entry.update->weight());
    total_weight_ += entry.update->weight();
    ++folded_;
  }
}

absl::Status Mean::MergeWith(Aggregator&& other) {
  auto* const from = dynamic_cast<Mean*>(&other);
  if (from == nullptr || from == this || from->scale_ != scale_ ||
      from->config_.manifest != config_.manifest ||
      from->config_.layout.coordinates != config_.layout.coordinates ||
      from->config_.layout.buffer_bytes != config_.layout.buffer_bytes) {
    return absl::InvalidArgumentError(
        "only another mean of the same model and bounds can be merged");
  }
  MutexLock lock(&mutex_);
  MutexLock other_lock(&from->mutex_);
  FW_RETURN_IF_ERROR(usable_);
  FW_RETURN_IF_ERROR(from->usable_);
  if (from->folded_ > config_.max_reports - folded_) {
    return absl::ResourceExhaustedError(absl::StrCat("the sums have room for ", config_.max_reports,
                                                     " updates, not for ", folded_, " + ",
                                                     from->folded_));
  }
  for (size_t i = 0; i < blocks_.size(); ++i) {
    MutexLock block_lock(&blocks_[i]);
    MutexLock from_lock(&from->blocks_[i]);
    AddI64(from->Sums(i), Sums(i));
  }
  from->sums_ = LargeMemory();
  if (from->folded_ > 0) buffers_.MergeWith(from->buffers_);
  begun_ += from->folded_;
  folded_ += from->folded_;
  total_weight_ += from->total_weight_;
  from->usable_ = absl::FailedPreconditionError("these sums were merged into others");
  return absl::OkStatus();
}

bool Mean::CanReport() const {
  MutexLock lock(&mutex_);
  return usable_.ok() && folded_ > 0;
}

absl::StatusOr<AggregateResult> Mean::Report() && {
  MutexLock lock(&mutex_);
  FW_RETURN_IF_ERROR(usable_);
  if (folded_ == 0) return absl::FailedPreconditionError("no update was folded yet");
  AggregateResult result;
  result.total_weight = total_weight_;
  result.updates = folded_;
  if (config_.layout.buffer_bytes > 0) {
    FW_ASSIGN_OR_RETURN(result.buffers, buffers_.Mean());
  }
  const double divisor = FoldFactor(total_weight_, 1, scale_);
  // Sums are freed as the mean grows, so that both never exist whole.
  result.mean_delta.reserve(config_.layout.coordinates);
  PreferHugePages(result.mean_delta.data(), config_.layout.coordinates * sizeof(float));
  for (size_t i = 0; i < blocks_.size(); ++i) {
    MutexLock block_lock(&blocks_[i]);
    const size_t begin = result.mean_delta.size();
    result.mean_delta.resize(begin + BlockSize(i));
    ToMeanF32(Sums(i), divisor, std::span<float>(result.mean_delta).subspan(begin));
    const size_t done = (i + 1) * kBlockBytes;
    const size_t rest = done % LargeMemory::kReleaseBytes;
    if (rest == 0) sums_.Release(done - LargeMemory::kReleaseBytes, done);
  }
  usable_ = absl::FailedPreconditionError("these sums were reported");
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Aggregator>> MakeMean(const AggregatorConfig& config) {
  FW_RETURN_IF_ERROR(ReadParams("aggregator", config.plugin, {}).status());
  FW_ASSIGN_OR_RETURN(const int scale,
                      ChooseScale(config.max_abs_delta, config.max_weight, config.max_reports));
  FW_ASSIGN_OR_RETURN(BufferAccumulator buffers,
                      BufferAccumulator::Create(config.manifest, config.layout, config.max_weight,
                                                config.max_reports));
  FW_ASSIGN_OR_RETURN(LargeMemory sums,
                      LargeMemory::Create(config.layout.coordinates * sizeof(int64_t)));
  return std::make_unique<Mean>(config, scale, std::move(sums), std::move(buffers));
}

}  // namespace fedwatt
