#include "common/codec/model_step.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/hex.h"
#include "common/base/rng.h"
#include "common/codec/layout_walker.h"
#include "common/codec/varint.h"
#include "common/crypto/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

constexpr int kBits = 8;

// Trainables over three blocks of the lattice, the second not aligned in the flat model, among
// everything that is no coordinate.
std::vector<TensorSpec> MixedTensors() {
  return {{"mask", DType::kBool, {3}, TensorRole::kBuffer},
          {"a", DType::kF32, {70, 100}, TensorRole::kTrainable},
          {"mean", DType::kF32, {9}, TensorRole::kBuffer},
          {"nothing", DType::kF32, {0}, TensorRole::kTrainable},
          {"b", DType::kF32, {3000}, TensorRole::kTrainable},
          {"frozen", DType::kF32, {5}, TensorRole::kTrainable},
          {"seen", DType::kI64, {}, TensorRole::kBuffer}};
}

class ModelStepTest : public testing::Test {
 protected:
  ModelStepTest() { Use(MixedTensors(), {"frozen"}, BufferMode::kAverage); }

  void Use(std::vector<TensorSpec> tensors, const std::vector<std::string>& frozen,
           BufferMode mode) {
    manifest_ = *Manifest::Create(std::move(tensors));
    layout_ = *MakeUpdateLayout(manifest_, frozen, mode);
    flat_.resize(manifest_.TotalBytes());
    for (uint8_t& byte : flat_) byte = static_cast<uint8_t>(rng_.NextU32());
    x_ = Gaussian(0.05);
  }

  std::vector<float> Gaussian(double sigma) {
    std::vector<float> values(layout_.coordinates);
    for (float& v : values) v = static_cast<float>(sigma * rng_.Normal());
    return values;
  }

  // The other bytes are those of flat_.
  std::vector<uint8_t> Flat(std::span<const float> values) const {
    std::vector<uint8_t> flat = flat_;
    LayoutWalker(&layout_).Write(values, flat);
    return flat;
  }

  std::vector<float> Values(std::span<const uint8_t> flat) const {
    std::vector<float> values(layout_.coordinates);
    LayoutWalker(&layout_).Read(flat, values);
    return values;
  }

  std::vector<uint8_t> Buffers(std::vector<uint8_t> flat) const {
    std::vector<uint8_t> buffers;
    for (const std::span<uint8_t> part : BuffersOf(manifest_, layout_, flat)) {
      buffers.insert(buffers.end(), part.begin(), part.end());
    }
    return buffers;
  }

  // The broadcast model for x_.
  std::vector<uint8_t> Rounded() const {
    std::vector<float> b = x_;
    RoundToLattice(*LatticeSteps(x_, kBits), b);
    return Flat(b);
  }

  std::string Whole() const {
    auto whole = EncodeWholeModel(manifest_, layout_, Rounded(), *LatticeSteps(x_, kBits));
    EXPECT_TRUE(whole.ok()) << whole.status();
    return *whole;
  }

  // From `base` to x_ and the buffers of flat_.
  std::string Step(const std::string& codec, std::span<const uint8_t> base, uint64_t round) const {
    std::vector<float> e = x_;
    const std::vector<float> b = Values(base);
    for (size_t i = 0; i < e.size(); ++i) e[i] -= b[i];
    CodecContext context;
    context.job = "job";
    context.round = round;
    context.purpose = "down";
    auto step = EncodeModelStep(**MakeCodec(codec), context, layout_, e, *LatticeSteps(x_, kBits),
                                Buffers(flat_));
    EXPECT_TRUE(step.ok()) << step.status();
    return *step;
  }

  ModelBuilder Builder() const { return *ModelBuilder::Create(&manifest_, &layout_); }

  std::vector<uint8_t> Apply(const std::string& payload, std::span<const uint8_t> base) const {
    ModelBuilder builder = Builder();
    if (!base.empty()) {
      EXPECT_TRUE(builder.StartFrom(base).ok());
    }
    const absl::Status applied = builder.Apply(AsBytes(payload));
    EXPECT_TRUE(applied.ok()) << applied;
    EXPECT_TRUE(std::ranges::equal(Streamed(payload, base), builder.model()));
    return {builder.model().begin(), builder.model().end()};
  }

  std::vector<uint8_t> Streamed(const std::string& payload, std::span<const uint8_t> base) const {
    ModelBuilder builder = Builder();
    if (!base.empty()) {
      EXPECT_TRUE(builder.StartFrom(base).ok());
    }
    std::vector<uint8_t> model;
    const absl::Status streamed = builder.Stream(AsBytes(payload), Into(&model));
    EXPECT_TRUE(streamed.ok()) << streamed;
    EXPECT_TRUE(builder.model().empty());
    return model;
  }

  static ModelBuilder::Sink Into(std::vector<uint8_t>* model) {
    return [model](std::span<const uint8_t> piece) {
      model->insert(model->end(), piece.begin(), piece.end());
      return absl::OkStatus();
    };
  }

  void ExpectRefused(const std::string& payload, const std::string& why = "") const {
    const std::vector<uint8_t> base = Rounded();
    ModelBuilder builder = Builder();
    EXPECT_TRUE(builder.StartFrom(base).ok());
    const absl::Status applied = builder.Apply(AsBytes(payload));
    EXPECT_EQ(applied.code(), absl::StatusCode::kInvalidArgument) << applied;
    EXPECT_THAT(std::string(applied.message()), HasSubstr(why));
    EXPECT_TRUE(builder.model().empty()) << "no half-made model may be taken for one";
    EXPECT_TRUE(builder.StartFrom(base).ok());
    std::vector<uint8_t> ignored;
    EXPECT_EQ(builder.Stream(AsBytes(payload), Into(&ignored)), applied);
    EXPECT_TRUE(builder.model().empty());
  }

  Rng rng_{RngKey{"job", 0, "", "model-step-test", 1}};
  Manifest manifest_;
  UpdateLayout layout_;
  std::vector<uint8_t> flat_;
  std::vector<float> x_;
};

TEST_F(ModelStepTest, AWholeModelArrivesBitForBit) {
  const std::vector<uint8_t> model = Rounded();
  const std::string whole = Whole();
  EXPECT_EQ(Apply(whole, {}), model);
  EXPECT_LT(whole.size(), layout_.coordinates + 300) << "less than a byte each at 8 bits";
}

TEST_F(ModelStepTest, AWholeModelReplacesAnyOther) {
  EXPECT_EQ(Apply(Whole(), std::vector<uint8_t>(flat_.size(), 9)), Rounded());
}

TEST_F(ModelStepTest, TheBroadcastModelIsWithinHalfAStep) {
  const std::vector<float> b = Values(Apply(Whole(), {}));
  const std::vector<float> steps = *LatticeSteps(x_, kBits);
  ASSERT_EQ(steps.size(), 3u) << "blocks run across tensors";
  for (size_t i = 0; i < b.size(); ++i) {
    ASSERT_LE(std::fabs(b[i] - x_[i]), 0.5001f * steps[i / kLatticeBlock]) << i;
  }
}

TEST_F(ModelStepTest, ChainsOfStepsAndWholeModelsLeadToTheSameBits) {
  for (const CodecEntry& entry : BuiltinCodecs()) {
    std::vector<uint8_t> server = Rounded();
    ModelBuilder client = Builder();
    ASSERT_TRUE(client.Apply(AsBytes(Whole())).ok());
    for (uint64_t round = 1; round <= 4; ++round) {
      const std::vector<float> change = Gaussian(0.01);
      for (size_t i = 0; i < x_.size(); ++i) x_[i] += change[i];
      for (uint8_t& byte : flat_) ++byte;
      // Frozen tensors stay what they are: a step does not carry them.
      for (const uint64_t offset = manifest_.OffsetBytes(5); const uint64_t i : {0, 7, 19}) {
        flat_[offset + i] = server[offset + i];
      }
      const std::string step = Step(entry.name, server, round);
      ASSERT_TRUE(client.Apply(AsBytes(step)).ok()) << entry.name;
      server = Apply(step, server);
      ASSERT_TRUE(std::ranges::equal(client.model(), server)) << entry.name;
      ASSERT_EQ(Buffers(server), Buffers(flat_)) << entry.name;
      const auto whole = EncodeWholeModel(manifest_, layout_, server, *LatticeSteps(x_, kBits));
      ASSERT_TRUE(whole.ok()) << entry.name << ": " << whole.status();
      ASSERT_EQ(Apply(*whole, {}), server) << entry.name;
    }
  }
}

TEST_F(ModelStepTest, AStepLeavesFrozenTensorsAndLocalBuffersAlone) {
  Use(MixedTensors(), {"frozen"}, BufferMode::kLocal);
  ASSERT_EQ(layout_.buffer_bytes, 0u);
  const std::vector<uint8_t> base = Rounded();
  const std::vector<uint8_t> before = flat_;
  flat_.assign(flat_.size(), 0);
  const std::vector<uint8_t> after = Apply(Step("raw_f32", base, 1), base);
  flat_ = before;
  EXPECT_EQ(after, Flat(Values(after)));
}

TEST_F(ModelStepTest, WhatAStepMissesTheNextOnesBring) {
  // A codec with little loss ends where rounding x itself would. The noise of coarser ones carries
  // coordinates that are near a tie to its other side, and back again with a later step.
  struct Case {
    const char* codec;
    float most;       // steps that a coordinate is off
    double most_rms;  // rounding alone: 1 / sqrt(12) = 0.289
  };
  for (const auto& [codec, most, most_rms] :
       {Case{"raw_f32", 0.5001f, 0.295}, Case{"f16", 0.51f, 0.295},
        Case{"eden:bits=4", 0.8f, 0.295}, Case{"eden:bits=2", 1.0f, 0.32},
        Case{"eden:bits=1", 2.5f, 0.5}}) {
    x_ = Gaussian(0.05);
    std::vector<uint8_t> b = Rounded();
    const std::vector<float> change = Gaussian(0.02);
    for (size_t i = 0; i < x_.size(); ++i) x_[i] += change[i];
    for (uint64_t round = 1; round <= 40; ++round) b = Apply(Step(codec, b, round), b);
    const std::vector<float> steps = *LatticeSteps(x_, kBits);
    const std::vector<float> values = Values(b);
    double squares = 0;
    for (size_t i = 0; i < x_.size(); ++i) {
      const float missing = std::fabs(values[i] - x_[i]) / steps[i / kLatticeBlock];
      ASSERT_LE(missing, most) << codec << ", " << i;
      squares += missing * missing;
    }
    EXPECT_LE(std::sqrt(squares / static_cast<double>(x_.size())), most_rms) << codec;
  }
}

TEST_F(ModelStepTest, ModelsOfOneCoordinateAndOfWholeBlocks) {
  for (const int64_t n :
       {int64_t{1}, int64_t{4096}, int64_t{4097}, int64_t{65536}, int64_t{(1 << 18) + 3}}) {
    Use({{"w", DType::kF32, {n}, TensorRole::kTrainable}}, {}, BufferMode::kFrozen);
    EXPECT_EQ(Apply(Whole(), {}), Rounded()) << n;
    const std::vector<uint8_t> base = Rounded();
    for (float& x : x_) x *= 1.25f;
    EXPECT_EQ(Apply(Step("raw_f32", base, 1), base), Rounded()) << n;
  }
}

TEST_F(ModelStepTest, BlocksOfZerosStayZero) {
  std::fill(x_.begin(), x_.end(), 0.0f);
  EXPECT_EQ(Apply(Whole(), {}), Flat(x_));
  EXPECT_LT(Whole().size(), 400u);
  x_ = Gaussian(1);
  std::fill_n(x_.begin() + kLatticeBlock, kLatticeBlock, 0.0f);
  const std::vector<uint8_t> base = Rounded();
  EXPECT_EQ(Apply(Whole(), {}), base);
  // A block that becomes zero does so at once, whatever the codec makes of its step.
  std::fill(x_.begin(), x_.end(), 0.0f);
  EXPECT_EQ(Apply(Step("eden:bits=1", base, 1), base), Flat(x_));
}

TEST_F(ModelStepTest, EncodersRefuseWhatIsNotTheModel) {
  const std::vector<float> steps = *LatticeSteps(x_, kBits);
  EXPECT_THAT(std::string(EncodeWholeModel(manifest_, layout_, Flat(x_), steps).status().message()),
              HasSubstr("lattice"));
  std::vector<uint8_t> short_model = Rounded();
  short_model.pop_back();
  EXPECT_EQ(EncodeWholeModel(manifest_, layout_, short_model, steps).status().code(),
            absl::StatusCode::kInvalidArgument);
  const std::vector<float> fewer(steps.begin(), steps.end() - 1);
  EXPECT_EQ(EncodeWholeModel(manifest_, layout_, Rounded(), fewer).status().code(),
            absl::StatusCode::kInvalidArgument);
  const auto raw = MakeCodec("raw_f32");
  const auto encode = [&](std::span<const float> delta, std::span<const float> with,
                          std::span<const uint8_t> buffers) {
    return EncodeModelStep(**raw, {}, layout_, delta, with, buffers).status().code();
  };
  const std::vector<uint8_t> buffers = Buffers(flat_);
  EXPECT_EQ(encode(x_, steps, buffers), absl::StatusCode::kOk);
  EXPECT_EQ(encode(std::span(x_).subspan(1), steps, buffers), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(encode(x_, fewer, buffers), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(encode(x_, steps, std::span(buffers).subspan(1)), absl::StatusCode::kInvalidArgument);
}

TEST_F(ModelStepTest, AStepNeedsAModel) {
  ModelBuilder builder = Builder();
  EXPECT_TRUE(builder.model().empty());
  const std::string step = Step("raw_f32", Rounded(), 1);
  EXPECT_THAT(std::string(builder.Apply(AsBytes(step)).message()), HasSubstr("no model to step"));
  EXPECT_EQ(builder.StartFrom(std::vector<uint8_t>(3)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(builder.model().empty());
  ASSERT_TRUE(builder.Apply(AsBytes(Whole())).ok());
  EXPECT_TRUE(builder.Apply(AsBytes(step)).ok());
  // After an error too.
  EXPECT_FALSE(builder.Apply(AsBytes(step.substr(0, step.size() - 1))).ok());
  EXPECT_FALSE(builder.Apply(AsBytes(step)).ok());
}

TEST_F(ModelStepTest, AStreamedStepFollowsWhatWasApplied) {
  const std::vector<uint8_t> base = Rounded();
  const std::string whole = Whole();
  const std::string step = Step("eden", base, 1);
  ModelBuilder builder = Builder();
  std::vector<uint8_t> model;
  EXPECT_THAT(std::string(builder.Stream(AsBytes(step), Into(&model)).message()),
              HasSubstr("no model to step"));
  EXPECT_TRUE(model.empty());
  ASSERT_TRUE(builder.Apply(AsBytes(whole)).ok());
  ASSERT_TRUE(builder.Stream(AsBytes(step), Into(&model)).ok());
  EXPECT_EQ(model, Apply(step, base));
}

TEST_F(ModelStepTest, AnErrorOfTheSinkEndsTheStream) {
  const std::vector<uint8_t> base = Rounded();
  for (const std::string& payload : {Whole(), Step("eden", base, 1)}) {
    ModelBuilder builder = Builder();
    ASSERT_TRUE(builder.StartFrom(base).ok());
    int calls = 0;
    const absl::Status status = builder.Stream(AsBytes(payload), [&](std::span<const uint8_t>) {
      ++calls;
      return absl::ResourceExhaustedError("the disk is full");
    });
    EXPECT_EQ(status, absl::ResourceExhaustedError("the disk is full"));
    EXPECT_EQ(calls, 1);
    EXPECT_TRUE(builder.model().empty());
  }
}

TEST_F(ModelStepTest, APayloadOfAnotherModelIsRefused) {
  const std::string whole = Whole();
  const std::string step = Step("raw_f32", Rounded(), 1);
  Use({{"w", DType::kF32, {30, 4}, TensorRole::kTrainable}}, {}, BufferMode::kAverage);
  ExpectRefused(whole, "another model");
  ExpectRefused(step, "another model");
  // The same coordinates, other buffers.
  std::vector<TensorSpec> tensors = MixedTensors();
  tensors[2].shape = {8};
  Use(tensors, {"frozen"}, BufferMode::kAverage);
  ExpectRefused(whole, "another model");
  ExpectRefused(step, "another model");
}

TEST_F(ModelStepTest, CodecsThatThereAreNotAndStepsThatAreNotFiniteAreRefused) {
  std::string step = Step("raw_f32", Rounded(), 1);
  const size_t name = step.find("raw_f32");
  ASSERT_NE(name, std::string::npos);
  std::string other = step;
  other.replace(name, 7, "raw_f99");
  ExpectRefused(other, "raw_f99");
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    std::string broken = step;
    std::memcpy(broken.data() + name + 7 + 3, &bad, sizeof(bad));  // behind a length of 3 bytes
    ExpectRefused(broken, "not finite");
  }
}

TEST_F(ModelStepTest, EveryTruncationAndEveryAdditionIsRefused) {
  Use({{"w", DType::kF32, {300}, TensorRole::kTrainable},
       {"n", DType::kF32, {20}, TensorRole::kBuffer}},
      {}, BufferMode::kAverage);
  const std::vector<uint8_t> base = Rounded();
  for (const std::string& payload : {Whole(), Step("raw_f32", base, 1), Step("eden", base, 1)}) {
    for (size_t size = 0; size < payload.size(); ++size) ExpectRefused(payload.substr(0, size));
    ExpectRefused(payload + "x");
    ExpectRefused(payload + payload);
  }
}

TEST_F(ModelStepTest, DamagedPayloadsAreRefusedOrHarmless) {
  const std::vector<uint8_t> base = Rounded();
  for (const std::string& payload : {Whole(), Step("raw_f32", base, 1), Step("eden", base, 1)}) {
    for (int i = 0; i < 400; ++i) {
      std::string damaged = payload;
      const size_t at = i < 60 ? static_cast<size_t>(i) : rng_.UniformInt(payload.size());
      damaged[at] = static_cast<char>(damaged[at] ^ (1 + rng_.UniformInt(255)));
      ModelBuilder builder = Builder();
      ASSERT_TRUE(builder.StartFrom(base).ok());
      const absl::Status applied = builder.Apply(AsBytes(damaged));
      ModelBuilder streaming = Builder();
      ASSERT_TRUE(streaming.StartFrom(base).ok());
      std::vector<uint8_t> streamed;
      ASSERT_EQ(streaming.Stream(AsBytes(damaged), Into(&streamed)).code(), applied.code());
      if (!applied.ok()) {
        ASSERT_EQ(applied.code(), absl::StatusCode::kInvalidArgument) << applied;
        continue;
      }
      ASSERT_TRUE(std::ranges::equal(streamed, builder.model()));
      for (const float value : Values(builder.model())) ASSERT_TRUE(std::isfinite(value));
    }
  }
}

// The formats of docs/codecs.md, pinned: golden/model_*.txt hold a payload and the SHA-256 of the
// model that it makes. What other versions of zstd would write may differ; that they read this may
// not. FEDWATT_REWRITE=1 writes the files anew.
TEST_F(ModelStepTest, GoldenPayloadsMakeTheModelsThatTheyMade) {
  Use({{"w", DType::kF32, {3, 70}, TensorRole::kTrainable},
       {"seen", DType::kI64, {2}, TensorRole::kBuffer}},
      {}, BufferMode::kAverage);
  for (size_t i = 0; i < flat_.size(); ++i) flat_[i] = static_cast<uint8_t>(i);
  for (size_t i = 0; i < x_.size(); ++i) x_[i] = static_cast<float>(i * i % 211) / 64 - 1.5f;
  const std::vector<uint8_t> base = Rounded();
  const std::string whole = Whole();
  for (size_t i = 0; i < x_.size(); ++i) x_[i] += static_cast<float>(i % 7) / 128;
  for (uint8_t& byte : flat_) ++byte;
  const struct {
    const char* name;
    std::string payload;
    std::vector<uint8_t> base;
  } cases[] = {{"whole", whole, {}}, {"step", Step("f16", base, 1), base}};
  for (const auto& [name, payload, from] : cases) {
    const std::string path = absl::StrCat("tests/common/codec/golden/model_", name, ".txt");
    const auto text_of = [](const std::string& bytes, const std::vector<uint8_t>& model) {
      return absl::StrCat("model_sha256 ", DigestHex(Sha256Of(model)), "\npayload ",
                          HexEncode(AsBytes(bytes)), "\n");
    };
    if (std::getenv("FEDWATT_REWRITE") != nullptr) {
      ASSERT_TRUE(WriteFileAtomic(path, text_of(payload, Apply(payload, from))).ok());
    }
    const auto golden = ReadFile(path, 64 * 1024);
    ASSERT_TRUE(golden.ok()) << golden.status();
    const size_t at = golden->find("payload ");
    ASSERT_NE(at, std::string::npos) << path;
    const auto pinned = HexDecode(golden->substr(at + 8, golden->find('\n', at) - at - 8));
    ASSERT_TRUE(pinned.ok()) << path;
    const std::string stored(AsText(*pinned));
    EXPECT_EQ(text_of(stored, Apply(stored, from)), *golden) << path;
    EXPECT_EQ(Apply(stored, from), Apply(payload, from)) << path;
  }
}

// Of a frame that would become 64 MiB, no more is made than there are buffers.
TEST_F(ModelStepTest, ABombIsRefused) {
  const std::string step = Step("raw_f32", Rounded(), 1);
  Use({{"w", DType::kF32, {10000}, TensorRole::kTrainable},
       {"big", DType::kU8, {64 << 20}, TensorRole::kBuffer}},
      {}, BufferMode::kAverage);
  std::fill(flat_.begin(), flat_.end(), uint8_t{0});
  const std::string bomb = Step("raw_f32", flat_, 1);
  ASSERT_LT(bomb.size(), 50'000u);
  Use({{"w", DType::kF32, {10000}, TensorRole::kTrainable},
       {"big", DType::kU8, {100}, TensorRole::kBuffer}},
      {}, BufferMode::kAverage);
  // The header's number of buffers' bytes, as this model has it.
  ByteSpan rest = AsBytes(bomb).subspan(5);
  ASSERT_EQ(*TakeVarint(&rest), 10000u);
  ASSERT_EQ(*TakeVarint(&rest), uint64_t{64} << 20);
  std::string payload = bomb.substr(0, 5);
  AppendVarint(10000, &payload);
  AppendVarint(100, &payload);
  payload += AsText(rest);
  ExpectRefused(payload, "zstd");
}

}  // namespace
}  // namespace fedwatt
