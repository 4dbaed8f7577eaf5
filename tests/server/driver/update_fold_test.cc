#include "server/driver/update_fold.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <thread>

#include "common/base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/driver/plugins.h"
#include "server/driver/update_check.h"
#include "tests/server/driver/halving_codec.h"

namespace fedwatt::testing {
namespace {

using ::testing::HasSubstr;

// ---- the queue

FoldEntry Entry(int number, uint64_t bytes = 100, const std::string& codec = "raw_f32") {
  UploadCodec upload;
  upload.need.codec = codec;
  return {.assignment_id = std::to_string(number),
          .bytes = bytes,
          .codec = std::make_shared<const UploadCodec>(upload)};
}

std::vector<int> Numbers(const std::vector<FoldEntry>& entries) {
  std::vector<int> numbers;
  for (const FoldEntry& entry : entries) numbers.push_back(std::stoi(entry.assignment_id));
  return numbers;
}

TEST(FoldQueueTest, WhatArrivesDuringAPassIsTakenTogether) {
  FoldQueue queue(1);
  EXPECT_TRUE(queue.Push(Entry(0)));
  EXPECT_EQ(Numbers(queue.Take()), std::vector<int>{0});
  for (int i = 1; i <= 3; ++i) EXPECT_FALSE(queue.Push(Entry(i))) << "the task is under way";
  EXPECT_TRUE(queue.Passed());
  EXPECT_EQ(Numbers(queue.Take()), (std::vector<int>{1, 2, 3}));
  EXPECT_FALSE(queue.Passed());
  EXPECT_TRUE(queue.Push(Entry(4))) << "the task has ended";
}

TEST(FoldQueueTest, TasksShareWhatWaits) {
  FoldQueue queue(2);
  EXPECT_TRUE(queue.Push(Entry(0)));
  EXPECT_TRUE(queue.Push(Entry(1)));
  for (int i = 2; i < 6; ++i) EXPECT_FALSE(queue.Push(Entry(i)));
  EXPECT_EQ(Numbers(queue.Take()), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(Numbers(queue.Take()), (std::vector<int>{3, 4})) << "of what is left then";
  EXPECT_TRUE(queue.Passed());
  EXPECT_EQ(Numbers(queue.Take()), std::vector<int>{5});
  EXPECT_FALSE(queue.Passed());
  EXPECT_FALSE(queue.Passed());
}

TEST(FoldQueueTest, ATaskMayFindNothing) {
  FoldQueue queue(2);
  EXPECT_TRUE(queue.Push(Entry(0)));
  EXPECT_TRUE(queue.Push(Entry(1)));
  EXPECT_EQ(queue.Take().size() + queue.Take().size(), 2u);
  EXPECT_TRUE(queue.Take().empty());
  EXPECT_FALSE(queue.Passed());
}

TEST(FoldQueueTest, OnePassTakesNoMoreThanItsMemoryHolds) {
  FoldQueue queue(1);
  const uint64_t third = FoldQueue::kMaxHeldBytes / 3;
  const std::vector<std::pair<uint64_t, const char*>> updates = {
      {third, "eden"},     {third, "eden"}, {3 * third, "eden"},
      {5 * third, "eden"}, {1, "eden"},     {1, "eden"}};
  for (int i = 0; i < static_cast<int>(updates.size()); ++i) {
    queue.Push(Entry(i, updates[i].first, updates[i].second));
  }
  EXPECT_EQ(Numbers(queue.Take()), (std::vector<int>{0, 1}));
  EXPECT_EQ(Numbers(queue.Take()), std::vector<int>{2});
  EXPECT_EQ(Numbers(queue.Take()), std::vector<int>{3}) << "one always fits";
  EXPECT_EQ(Numbers(queue.Take()), (std::vector<int>{4, 5}));
  // What is read piece by piece is not held.
  for (int i = 0; i < 20; ++i) queue.Push(Entry(i, uint64_t{1} << 40));
  EXPECT_EQ(queue.Take().size(), FoldQueue::kMaxUpdates);
}

TEST(FoldQueueTest, EveryUpdateIsTakenOnceWhateverTheThreadsDo) {
  constexpr int kUpdates = 2000;
  FoldQueue queue(3);
  Mutex mutex;
  std::multiset<int> taken;
  std::vector<std::thread> tasks;
  const auto task = [&] {
    do {
      for (const int number : Numbers(queue.Take())) {
        MutexLock lock(&mutex);
        taken.insert(number);
      }
    } while (queue.Passed());
  };
  for (int i = 0; i < kUpdates; ++i) {
    if (queue.Push(Entry(i))) tasks.emplace_back(task);
  }
  for (std::thread& thread : tasks) thread.join();
  EXPECT_EQ(taken.size(), static_cast<size_t>(kUpdates));
  EXPECT_EQ(std::set<int>(taken.begin(), taken.end()).size(), static_cast<size_t>(kUpdates));
}

// ---- validating and folding what is in the spool

constexpr uint64_t kCoordinates = 150'000;

class FoldUpdatesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setup_.spec.bounds.max_abs_delta = 8;
    setup_.spec.bounds.max_weight = 100;
    setup_.spec.round.goal = 16;
    setup_.header.manifest = *Manifest::Create({
        {"w", DType::kF32, {static_cast<int64_t>(kCoordinates)}, TensorRole::kTrainable},
        {"mean", DType::kF32, {2}, TensorRole::kBuffer},
    });
    setup_.layout = *MakeUpdateLayout(setup_.header.manifest, {}, BufferMode::kAverage);
    spool_ = *OpenSpool({absl::StrCat(::testing::TempDir(), "/fold"), 1 << 30});
    raw_ = *MakeUploadCodec("raw_f32", setup_.layout);
    UploadCodec halving;
    halving.text = "halving";
    halving.need = {"halving", false};
    halving.codec = halving_ = std::make_shared<HalvingCodec>();
    coded_ = std::make_shared<const UploadCodec>(halving);
  }

  static std::vector<float> Values(float first) {
    std::vector<float> values(kCoordinates);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = std::ldexp(first + static_cast<float>(i % 7), -static_cast<int>(i % 5));
    }
    return values;
  }

  // Into the spool, with buffers {first, 1}.
  FoldEntry Store(const std::string& id, const std::shared_ptr<const UploadCodec>& codec,
                  const std::vector<float>& values, float first = 0) {
    std::string bytes;
    EXPECT_TRUE(codec->codec->Encode(values, {}, &bytes).ok());
    const float buffers[2] = {first, 1};
    bytes.append(reinterpret_cast<const char*>(buffers), sizeof(buffers));
    return StoreBytes(id, codec, bytes);
  }
  FoldEntry StoreBytes(const std::string& id, const std::shared_ptr<const UploadCodec>& codec,
                       const std::string& bytes) {
    const Digest sha256 = Sha256Of(AsBytes(bytes));
    spool_->Remove(id);
    auto upload = spool_->Open(id, sha256, bytes.size());
    EXPECT_TRUE(upload.ok()) << upload.status();
    EXPECT_TRUE((*upload)->Append(0, AsBytes(bytes)).ok());
    EXPECT_TRUE((*upload)->Finish().ok());
    return {id, sha256, bytes.size(), 1 + bytes.size() % 90, 1, codec};
  }

  absl::StatusOr<CheckedUpdate> Validate(const FoldEntry& entry) {
    const auto update = spool_->Read(entry.assignment_id, entry.sha256);
    EXPECT_TRUE(update.ok()) << update.status();
    return ValidateUpdate(setup_, *entry.codec, **update);
  }

  AggregateResult Fold(const std::vector<std::vector<FoldEntry>>& passes) {
    const auto aggregator = *Plugins::Builtin().MakeAggregator(setup_.Aggregation());
    for (const auto& pass : passes) {
      const absl::Status folded = FoldUpdates(setup_, spool_.get(), pass, aggregator.get());
      EXPECT_TRUE(folded.ok()) << folded;
    }
    return *std::move(*aggregator).Report();
  }

  JobSetup setup_;
  std::unique_ptr<Spool> spool_;
  std::shared_ptr<HalvingCodec> halving_;
  std::shared_ptr<const UploadCodec> raw_;
  std::shared_ptr<const UploadCodec> coded_;
};

TEST_F(FoldUpdatesTest, HowUpdatesShareAPassChangesNoBit) {
  std::vector<FoldEntry> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(Store(absl::StrCat("a/", i), i % 2 == 0 ? raw_ : coded_,
                        Values(static_cast<float>(i) / 8), static_cast<float>(i)));
  }
  const AggregateResult together = Fold({all});
  EXPECT_EQ(together.updates, 6u);
  const AggregateResult apart = Fold({{all[5]}, {}, {all[0], all[3]}, {all[4]}, {all[1], all[2]}});
  EXPECT_EQ(together.mean_delta, apart.mean_delta);
  EXPECT_EQ(together.buffers, apart.buffers);
  EXPECT_EQ(together.total_weight, apart.total_weight);
}

TEST_F(FoldUpdatesTest, WhetherAnUpdateIsInMemoryOrInAFileChangesNoBit) {
  spool_ = *OpenSpool({.dir = absl::StrCat(::testing::TempDir(), "/fold"),
                       .max_bytes = 1 << 30,
                       .max_memory_bytes = 1 << 30});
  setup_.wants_sketches = true;
  std::vector<FoldEntry> in_files;
  std::vector<FoldEntry> in_memory;
  for (int i = 0; i < 4; ++i) {
    const FoldEntry entry = Store(absl::StrCat("a/", i), i % 2 == 0 ? raw_ : coded_,
                                  Values(static_cast<float>(i) / 8), static_cast<float>(i));
    in_files.push_back(entry);
    const auto file = *spool_->Read(entry.assignment_id, entry.sha256);
    std::string bytes(file->size(), '\0');
    ASSERT_TRUE(file->ReadAt(0, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}).ok());
    in_memory.push_back(entry);
    in_memory.back().assignment_id = "no such file";
    in_memory.back().held = spool_->Hold(&bytes);
    const auto of_memory = *ValidateUpdate(setup_, *entry.codec, *in_memory.back().held);
    const auto of_file = *Validate(entry);
    EXPECT_EQ(of_memory.clip_factor, of_file.clip_factor);
    EXPECT_EQ(of_memory.sketch, of_file.sketch);
    EXPECT_EQ(of_file.sketch.size(), kSketchSize) << "asked for";
  }
  const AggregateResult expected = Fold({in_files});
  const AggregateResult held = Fold({in_memory});
  EXPECT_EQ(held.mean_delta, expected.mean_delta);
  EXPECT_EQ(held.buffers, expected.buffers);
}

TEST_F(FoldUpdatesTest, TheFirstThatFailsIsNamed) {
  const FoldEntry good = Store("a/0", raw_, Values(0));
  FoldEntry gone = good;
  gone.assignment_id = "a/1";
  FoldEntry heavy = good;
  heavy.weight = 101;
  const auto aggregator = *Plugins::Builtin().MakeAggregator(setup_.Aggregation());
  const absl::Status missing =
      FoldUpdates(setup_, spool_.get(), std::vector<FoldEntry>{good, gone}, aggregator.get());
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("a/1"));
  const absl::Status refused =
      FoldUpdates(setup_, spool_.get(), std::vector<FoldEntry>{good, heavy}, aggregator.get());
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("a/0: the update's weight is 101"));
}

TEST_F(FoldUpdatesTest, ValidatingLooksAtValuesOnlyWhereTheScanIsInDoubt) {
  const FoldEntry entry = Store("a/0", coded_, Values(0));
  halving_->counts->reads = 0;
  EXPECT_EQ(Validate(entry)->clip_factor, 1.0);
  EXPECT_EQ(halving_->counts->scans, 1);
  EXPECT_EQ(halving_->counts->reads, 0) << "the scan's bound is below max_abs_delta";
}

TEST_F(FoldUpdatesTest, AnUpperBoundAboveTheLimitIsNoOffence) {
  const FoldEntry entry = Store("a/0", coded_, Values(-3));  // at most 3
  halving_->counts->reads = 0;
  halving_->max_abs_factor = 3;
  EXPECT_EQ(Validate(entry)->clip_factor, 1.0);
  EXPECT_EQ(halving_->counts->reads, 3) << "150,000 coordinates in blocks of 65,536";
}

TEST_F(FoldUpdatesTest, TheOffenderIsNamed) {
  for (const auto& codec : {raw_, coded_}) {
    std::vector<float> values = Values(-3);
    values[123'456] = 8.5f;
    const absl::Status large = Validate(Store("a/0", codec, values)).status();
    EXPECT_EQ(large.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(large.message()), HasSubstr("\"w\"[123456] by 8.5"));
    values[77] = std::numeric_limits<float>::quiet_NaN();
    const absl::Status nan = Validate(Store("a/0", codec, values)).status();
    EXPECT_EQ(nan.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(nan.message()), HasSubstr("\"w\"[77] is nan"));
  }
}

TEST_F(FoldUpdatesTest, BytesThatNoCodecMadeAreTheClientsFault) {
  for (const size_t size : {size_t{7}, size_t{8}, size_t{11}, size_t{1000}}) {
    for (const auto& codec : {raw_, coded_}) {
      const absl::Status status =
          Validate(StoreBytes("a/0", codec, std::string(size, 'x'))).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << size << " " << status;
    }
  }
}

TEST_F(FoldUpdatesTest, TheClipFactorHasTheSameBitsEachTimeAndForEachCodec) {
  setup_.spec.bounds.max_update_norm = 1;
  const double plain = Validate(Store("a/0", raw_, Values(-3)))->clip_factor;
  EXPECT_GT(plain, 0);
  EXPECT_LT(plain, 1);
  const FoldEntry entry = Store("a/1", coded_, Values(-3));
  EXPECT_EQ(Validate(entry)->clip_factor, plain);
  spool_.reset();
  spool_ = *OpenSpool({absl::StrCat(::testing::TempDir(), "/fold"), 1 << 30});
  EXPECT_EQ(Validate(entry)->clip_factor, plain) << "after a restart";
}

}  // namespace
}  // namespace fedwatt::testing
