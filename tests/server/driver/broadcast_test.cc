#include "server/driver/broadcast.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/bounds.h"
#include "common/base/rng.h"
#include "common/codec/model_step.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/driver/model_io.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Digest Named(const std::string& name) { return Sha256Of(AsBytes(name)); }

BlobRef Blob(const std::string& name, uint64_t size) { return {Named(name), size}; }

// Version 3: a model of 1000 bytes, 250 as a whole payload, and steps of 100, 60 and 40 from
// versions 0, 1 and 2.
BroadcastState ThreeSteps() {
  BroadcastState state;
  state.version = 3;
  state.exact = Named("x3");
  state.model = Blob("b3", 1000);
  state.whole = Blob("whole 3", 250);
  state.steps = {{Named("b0"), Named("b1"), Blob("step 1", 100)},
                 {Named("b1"), Named("b2"), Blob("step 2", 60)},
                 {Named("b2"), Named("b3"), Blob("step 3", 40)}};
  return state;
}

// "step 2, step 3", by the payloads' names.
std::string WayText(const BroadcastState& state, const std::vector<std::string>& held) {
  std::vector<Digest> digests;
  for (const std::string& name : held) digests.push_back(Named(name));
  std::string text;
  Digest at{};
  for (const ModelStep& step : WayTo(state, digests)) {
    for (const char* name : {"whole 3", "step 1", "step 2", "step 3"}) {
      if (step.payload.sha256 != Named(name)) continue;
      absl::StrAppend(&text, text.empty() ? "" : ", ", name);
    }
    EXPECT_GT(step.payload.size, 0u);
    EXPECT_TRUE(text == "whole 3" ? step.base == Digest{} : step.base != Digest{});
    if (at != Digest{}) {
      EXPECT_EQ(step.base, at);
    }
    at = step.result;
  }
  if (!text.empty()) {
    EXPECT_EQ(at, state.model.sha256);
  }
  return text;
}

TEST(WayTo, ThereIsNoneForAClientThatHoldsTheModel) {
  EXPECT_EQ(WayText(ThreeSteps(), {"b3"}), "");
  EXPECT_EQ(WayText(ThreeSteps(), {"b1", "b3"}), "");
}

TEST(WayTo, AClientThatIsBehindGetsTheStepsThatItLacks) {
  EXPECT_EQ(WayText(ThreeSteps(), {"b2"}), "step 3");
  EXPECT_EQ(WayText(ThreeSteps(), {"b1"}), "step 2, step 3");
  EXPECT_EQ(WayText(ThreeSteps(), {"b0"}), "step 1, step 2, step 3");
  EXPECT_EQ(WayText(ThreeSteps(), {"b0", "another job's", "b2"}), "step 3");
}

TEST(WayTo, AClientThatHoldsNothingOfUseGetsTheWholeModel) {
  EXPECT_EQ(WayText(ThreeSteps(), {}), "whole 3");
  EXPECT_EQ(WayText(ThreeSteps(), {"another job's", "x3"}), "whole 3");
}

TEST(WayTo, TheWholeModelWhereItIsNotLargerThanTheChain) {
  BroadcastState state = ThreeSteps();
  state.whole.size = 101;
  EXPECT_EQ(WayText(state, {"b1"}), "step 2, step 3");
  EXPECT_EQ(WayText(state, {"b0"}), "whole 3");
  state.whole.size = 100;
  EXPECT_EQ(WayText(state, {"b1"}), "whole 3");
}

TEST(WayTo, TheFlatModelWhereNothingIsSmaller) {
  BroadcastState state = ThreeSteps();
  state.model.size = 250;
  EXPECT_EQ(WayText(state, {}), "");
  EXPECT_EQ(WayText(state, {"b0"}), "step 1, step 2, step 3");
  state.model.size = 40;
  EXPECT_EQ(WayText(state, {"b2"}), "");
}

TEST(BroadcastStateText, IsReadAsItWasWritten) {
  const BroadcastState state = ThreeSteps();
  const auto read = ParseBroadcastState(FormatBroadcastState(state));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, state);
  BroadcastState first = state;
  first.steps.clear();
  EXPECT_EQ(ParseBroadcastState(FormatBroadcastState(first)).value_or(state), first);
}

TEST(BroadcastStateText, RefusesWhatItCannotHaveWritten) {
  const std::string good = FormatBroadcastState(ThreeSteps());
  const std::string step1 = DigestHex(Named("step 1"));
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"fedwatt-broadcast-v1", "fedwatt-broadcast-v2"},
      {"version 3", "version -3"},
      {"version 3", "version 03"},
      {"version 3", "version 3 4"},
      {"version 3", "version 18446744073709551616"},
      {"model ", "whole "},
      {" 1000", " 99999999999999999999"},
      {" 1000", " 68719476737"},
      {"\nstep", "\nleap"},
      {step1, step1.substr(1)},
      {DigestHex(Named("b1")), DigestHex(Named("b9"))},
      {DigestHex(Named("b3")), DigestHex(Named("b9"))},
      {" 40\n", " 40\n\n"},
      {" 40\n", " 40"},
  };
  for (const auto& [from, to] : changes) {
    std::string text = good;
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const auto read = ParseBroadcastState(text);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << from << " -> " << to;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    const auto read = ParseBroadcastState(good.substr(0, size));
    // What ends with a whole line is a chain that does not lead to the model.
    EXPECT_FALSE(read.ok() && read->steps.size() > 0) << size;
  }
}

TEST(BroadcastStateText, HostileBytesGiveAnErrorOrAStateThatWouldBeWrittenSo) {
  const std::string good = FormatBroadcastState(ThreeSteps());
  Rng rng(RngKey{"job", 0, "", "hostile", 1});
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (uint64_t n = 1 + rng.UniformInt(3); n > 0; --n) {
      text[rng.UniformInt(text.size())] = static_cast<char>(rng.UniformInt(256));
    }
    const auto read = ParseBroadcastState(text);
    if (read.ok()) {
      EXPECT_EQ(FormatBroadcastState(*read), text);
    }
  }
  std::string steps = good;
  for (size_t i = 0; i < 2 * bounds::kMaxModelSteps; ++i) {
    absl::StrAppend(&steps, "step ", DigestHex(Named("b3")), " ", DigestHex(Named("b3")), " ",
                    DigestHex(Named("step 3")), " 1\n");
  }
  EXPECT_FALSE(ParseBroadcastState(steps).ok());
  EXPECT_FALSE(ParseBroadcastState(std::string(1 << 20, 'x')).ok());
}

class Broadcasts : public ::testing::Test {
 protected:
  Broadcasts() {
    const std::string dir =
        absl::StrCat(::testing::TempDir(), "/broadcasts-",
                     ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir);
    blobs_ = *OpenDirBlobStore(dir);
    setup_.id = "job-1";
    // A flag before the weights, so that they lie at an odd address.
    setup_.header.manifest =
        *Manifest::Create({{"flag", DType::kU8, {1}, TensorRole::kBuffer},
                           {"w", DType::kF32, {60, 100}, TensorRole::kTrainable},
                           {"mean", DType::kF32, {3}, TensorRole::kBuffer},
                           {"bias", DType::kF32, {50}, TensorRole::kTrainable}});
    setup_.layout = *MakeUpdateLayout(setup_.header.manifest, {}, BufferMode::kAverage);
    UseCodec("topk:fraction=0.05");
    x_ = Random(setup_.layout.coordinates, 1);
    buffers_.assign(setup_.layout.buffer_bytes, 7);
  }

  void UseCodec(const std::string& text) {
    auto codec = MakeCodec(text);
    ASSERT_TRUE(codec.ok()) << codec.status();
    setup_.down = *std::move(codec);
  }

  std::vector<float> Random(uint64_t count, float scale) {
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(rng_.Normal()) * scale;
    return values;
  }

  std::shared_ptr<const Broadcast> Opened(absl::StatusOr<BroadcastState> state) {
    EXPECT_TRUE(state.ok()) << state.status();
    auto opened = OpenBroadcast(blobs_.get(), *std::move(state));
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }

  // Of x_ and buffers_.
  std::vector<uint8_t> Flat() const {
    std::vector<uint8_t> flat(setup_.header.manifest.TotalBytes());
    ScatterTrainable(setup_.layout, x_, flat);
    for (const UpdateLayout::Piece& piece : setup_.layout.buffers) {
      std::memcpy(flat.data() + piece.model_offset, buffers_.data() + piece.offset,
                  setup_.header.manifest.tensors()[piece.tensor].Bytes());
    }
    return flat;
  }

  std::shared_ptr<const Broadcast> First() {
    return Opened(FirstBroadcast(setup_, Named("x0"), Flat(), blobs_.get()));
  }

  // x_ moves on.
  std::shared_ptr<const Broadcast> Next(const Broadcast& now, float scale) {
    const std::vector<float> change = Random(x_.size(), scale);
    for (size_t i = 0; i < x_.size(); ++i) x_[i] += change[i];
    for (uint8_t& byte : buffers_) ++byte;
    const uint64_t version = now.state.version + 1;
    return Opened(NextBroadcast(
        setup_, now, {version, Named(absl::StrCat("x", version)), x_, buffers_}, blobs_.get()));
  }

  double Missing(const Broadcast& broadcast) const {
    const std::vector<float> b = GatherTrainable(setup_.layout, broadcast.model()->bytes());
    double sum = 0;
    for (size_t i = 0; i < b.size(); ++i) sum += (x_[i] - b[i]) * (x_[i] - b[i]);
    return std::sqrt(sum);
  }

  // What a client that holds `from` (null: nothing) makes of the way to `to`.
  std::vector<uint8_t> Built(const Broadcast& to, const Broadcast* from) {
    auto builder = ModelBuilder::Create(&setup_.header.manifest, &setup_.layout);
    EXPECT_TRUE(builder.ok()) << builder.status();
    std::vector<Digest> held;
    if (from != nullptr) {
      held = {from->state.model.sha256};
      EXPECT_TRUE(builder->StartFrom(from->model()->bytes()).ok());
    }
    const std::vector<ModelStep> way = WayTo(to.state, held);
    EXPECT_FALSE(way.empty());
    for (const ModelStep& step : way) {
      const absl::Status applied = builder->Apply(to.Find(step.payload.sha256)->bytes());
      EXPECT_TRUE(applied.ok()) << applied;
      EXPECT_EQ(Sha256Of(builder->model()), step.result);
    }
    return {builder->model().begin(), builder->model().end()};
  }

  std::unique_ptr<BlobStore> blobs_;
  JobSetup setup_;
  Rng rng_{RngKey{"job", 0, "", "broadcast-test", 1}};
  std::vector<float> x_;
  std::vector<uint8_t> buffers_;
};

TEST_F(Broadcasts, TheFirstIsTheModelWithinHalfAStepAndAClientMakesTheSameBits) {
  const auto first = First();
  EXPECT_EQ(first->state.version, 0u);
  EXPECT_EQ(first->state.exact, Named("x0"));
  EXPECT_THAT(first->state.steps, IsEmpty());
  EXPECT_LT(first->state.whole.size, first->state.model.size / 2);
  const std::vector<uint8_t> flat(first->model()->bytes().begin(), first->model()->bytes().end());
  EXPECT_EQ(Built(*first, nullptr), flat);
  const std::vector<float> b = GatherTrainable(setup_.layout, flat);
  const std::vector<float> steps = *LatticeSteps(x_, 8);
  for (size_t i = 0; i < b.size(); ++i) {
    ASSERT_LE(std::fabs(b[i] - x_[i]), steps[i / kLatticeBlock] * 0.5001) << i;
  }
  std::vector<uint8_t> exact = Flat();
  ScatterTrainable(setup_.layout, b, exact);
  EXPECT_EQ(flat, exact) << "buffers travel lossless";
  EXPECT_EQ(First()->state, first->state) << "a pure function";
}

TEST_F(Broadcasts, EveryWayLeadsToTheSameBits) {
  std::vector<std::shared_ptr<const Broadcast>> versions = {First()};
  for (int i = 0; i < 6; ++i) versions.push_back(Next(*versions.back(), 0.01f));
  for (const auto& to : versions) {
    const std::vector<uint8_t> flat(to->model()->bytes().begin(), to->model()->bytes().end());
    EXPECT_EQ(Built(*to, nullptr), flat);
    for (const auto& from : versions) {
      if (from->state.version >= to->state.version) break;
      EXPECT_EQ(Built(*to, from.get()), flat)
          << "from " << from->state.version << " to " << to->state.version;
    }
  }
  std::vector<uint8_t> exact = Flat();
  const auto last = versions.back();
  ScatterTrainable(setup_.layout, GatherTrainable(setup_.layout, last->model()->bytes()), exact);
  EXPECT_TRUE(std::ranges::equal(last->model()->bytes(), exact)) << "buffers travel lossless";
}

TEST_F(Broadcasts, KeepsTheStepsThatAreTogetherSmallerThanTheWholeModel) {
  auto now = First();
  size_t most = 0;
  for (uint64_t version = 1; version <= 30; ++version) {
    now = Next(*now, 0.01f);
    EXPECT_EQ(now->state.version, version);
    uint64_t bytes = 0;
    for (const BroadcastState::Step& step : now->state.steps) bytes += step.payload.size;
    EXPECT_LT(bytes, now->state.whole.size);
    EXPECT_EQ(ParseBroadcastState(FormatBroadcastState(now->state)).value_or(BroadcastState{}),
              now->state);
    most = std::max(most, now->state.steps.size());
  }
  EXPECT_GE(most, 2u);
  EXPECT_LT(most, 30u) << "nothing was ever dropped";
  EXPECT_EQ(now->files.size(), 2 + now->state.steps.size());
}

TEST_F(Broadcasts, KeepsNoMoreStepsThanAnAssignmentMayName) {
  UseCodec("topk:fraction=0.0001");
  auto now = First();
  for (size_t i = 0; i < bounds::kMaxModelSteps + 5; ++i) now = Next(*now, 1e-3f);
  EXPECT_EQ(now->state.steps.size(), bounds::kMaxModelSteps);
  EXPECT_EQ(WayTo(now->state, {now->state.steps.front().base}).size(), bounds::kMaxModelSteps);
}

TEST_F(Broadcasts, WhatAStepMissesIsInTheNextOnes) {
  auto now = First();
  now = Next(*now, 0.1f);
  const double after_one = Missing(*now);
  for (int i = 0; i < 40; ++i) now = Next(*now, 0);
  double lattice = 0;
  const std::vector<float> steps = *LatticeSteps(x_, 8);
  for (size_t i = 0; i < x_.size(); ++i) {
    lattice += steps[i / kLatticeBlock] * steps[i / kLatticeBlock] / 4;
  }
  EXPECT_GT(after_one, 1.5 * std::sqrt(lattice)) << "the codec must lose something here";
  EXPECT_LE(Missing(*now), std::sqrt(lattice) * 1.0001) << "what is left is the lattice's";
}

TEST_F(Broadcasts, AModelThatDoesNotChangeMakesNoStep) {
  std::fill(x_.begin(), x_.end(), 0.0f);
  const auto first = First();
  const auto same =
      Opened(NextBroadcast(setup_, *first, {1, Named("x0"), x_, buffers_}, blobs_.get()));
  EXPECT_EQ(same->state.model, first->state.model);
  EXPECT_THAT(same->state.steps, IsEmpty());
}

TEST_F(Broadcasts, RefusesModelsThatCannotBeCoded) {
  const auto first = First();
  x_[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(FirstBroadcast(setup_, Named("x0"), Flat(), blobs_.get()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      NextBroadcast(setup_, *first, {1, Named("x1"), x_, buffers_}, blobs_.get()).status().code(),
      absl::StatusCode::kInvalidArgument);
  const absl::Status short_one =
      FirstBroadcast(setup_, Named("x0"), std::vector<uint8_t>(7), blobs_.get()).status();
  EXPECT_EQ(short_one.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(short_one.message()), HasSubstr("a model of 7 bytes"));
}

TEST_F(Broadcasts, OpensNoBlobThatIsGoneOrOfAnotherSize) {
  const auto first = First();
  BroadcastState other = first->state;
  other.whole.size += 1;
  EXPECT_EQ(OpenBroadcast(blobs_.get(), other).status().code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(blobs_->Remove(first->state.whole.sha256).ok());
  EXPECT_EQ(OpenBroadcast(blobs_.get(), first->state).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(first->Find(Named("x0")), nullptr);
}

}  // namespace
}  // namespace fedwatt
