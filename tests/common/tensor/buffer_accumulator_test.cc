#include "common/tensor/buffer_accumulator.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "common/base/rng.h"
#include "common/tensor/half_float.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

// One scalar buffer of each dtype, and the trainable tensor that a layout needs.
Manifest EveryDType() {
  std::vector<TensorSpec> tensors = {{"w", DType::kF32, {1}, TensorRole::kTrainable}};
  for (int i = 1; i <= static_cast<int>(DType::kBool); ++i) {
    const auto dtype = static_cast<DType>(i);
    tensors.push_back({DTypeName(dtype), dtype, {}, TensorRole::kBuffer});
  }
  return *Manifest::Create(tensors);
}

struct Values {
  float f32;
  double f64;
  float f16;
  float bf16;
  int64_t i64;
  int32_t i32;
  int16_t i16;
  int8_t i8;
  uint8_t u8;
  uint8_t boolean;
};

template <typename T>
void Append(T value, std::vector<uint8_t>* out) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out->insert(out->end(), bytes, bytes + sizeof(T));
}

std::vector<uint8_t> Bytes(const Values& v) {
  std::vector<uint8_t> out;
  Append(v.f32, &out);
  Append(v.f64, &out);
  Append(F32ToF16(v.f16), &out);
  Append(F32ToBF16(v.bf16), &out);
  Append(v.i64, &out);
  Append(v.i32, &out);
  Append(v.i16, &out);
  Append(v.i8, &out);
  Append(v.u8, &out);
  Append(v.boolean, &out);
  return out;
}

BufferAccumulator Make(uint64_t max_weight = 1000, uint64_t max_reports = 100) {
  const Manifest manifest = EveryDType();
  const UpdateLayout layout = *MakeUpdateLayout(manifest, {}, BufferMode::kAverage);
  return *BufferAccumulator::Create(manifest, layout, max_weight, max_reports);
}

TEST(BufferAccumulatorTest, AveragesFloatsByWeightAndTakesTheMaximumOfIntegers) {
  BufferAccumulator sum = Make();
  sum.Add(Bytes({1.0f, 10.0, 1.0f, 2.0f, -5, 7, -3, -1, 200, 0}), 1);
  sum.Add(Bytes({5.0f, 50.0, 5.0f, 6.0f, -9, 8, -4, -2, 100, 2}), 3);
  const auto mean = sum.Mean();
  ASSERT_TRUE(mean.ok());
  EXPECT_EQ(*mean, Bytes({4.0f, 40.0, 4.0f, 5.0f, -5, 8, -3, -1, 200, 1}));
  EXPECT_EQ(sum.total_weight(), 4u);
}

TEST(BufferAccumulatorTest, ExtremesOfIntegersSurvive) {
  BufferAccumulator sum = Make();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  const Values least = {0, 0, 0, 0, kMin, std::numeric_limits<int32_t>::min(), -32768, -128, 0, 0};
  sum.Add(Bytes(least), 1);
  EXPECT_EQ(*sum.Mean(), Bytes(least));
}

TEST(BufferAccumulatorTest, TinyAndLargeValuesKeepTheirDigits) {
  BufferAccumulator sum = Make();
  for (int i = 0; i < 100; ++i) {
    sum.Add(Bytes({1e-9f, 4294967295.0, 6e-5f, 1e-12f, 0, 0, 0, 0, 0, 0}), 1000);
  }
  const auto mean = sum.Mean();
  ASSERT_TRUE(mean.ok());
  EXPECT_EQ(*mean, Bytes({1e-9f, 4294967295.0, 6e-5f, 1e-12f, 0, 0, 0, 0, 0, 0}));
}

TEST(BufferAccumulatorTest, NeitherOrderNorMergingChangesABit) {
  Rng rng(RngKey{"tensor", 0, "", "buffers", 1});
  std::vector<std::vector<uint8_t>> updates;
  for (int i = 0; i < 9; ++i) {
    const double x = rng.Normal() * 1e6;
    updates.push_back(Bytes({static_cast<float>(x), x * x, 1.5f, 0.25f, i, -i, 1, 2, 3, 0}));
  }
  BufferAccumulator forward = Make();
  for (size_t i = 0; i < 9; ++i) forward.Add(updates[i], i + 1);
  BufferAccumulator left = Make();
  BufferAccumulator right = Make();
  for (size_t i = 9; i-- > 0;) (i % 2 == 0 ? left : right).Add(updates[i], i + 1);
  right.MergeWith(left);
  EXPECT_EQ(*forward.Mean(), *right.Mean());
  EXPECT_EQ(right.total_weight(), 45u);
}

TEST(BufferAccumulatorTest, TheWidestBoundsDoNotOverflow) {
  BufferAccumulator sum = Make(1 << 30, 1 << 20);
  const std::vector<uint8_t> top = Bytes({4294967296.0f, -4294967296.0, 1, 1, 0, 0, 0, 0, 0, 0});
  for (int i = 0; i < 1000; ++i) sum.Add(top, 1 << 30);
  EXPECT_EQ(*sum.Mean(), top);
}

TEST(BufferAccumulatorTest, RefusesWhatIsNoStatistic) {
  const BufferAccumulator sum = Make();
  EXPECT_TRUE(sum.Validate(Bytes({})).ok());
  const auto error = [&](const Values& v) { return std::string(sum.Validate(Bytes(v)).message()); };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_THAT(error({kNan}), HasSubstr("buffer \"float32\" [0] is nan"));
  EXPECT_THAT(error({0, 1e10}), HasSubstr("buffer \"float64\" [0] is 1e+10"));
  EXPECT_THAT(error({0, 0, kInf}), HasSubstr("buffer \"float16\" [0] is inf"));
  EXPECT_THAT(error({0, 0, 0, kNan}), HasSubstr("buffer \"bfloat16\""));
  const std::vector<uint8_t> empty;
  EXPECT_THAT(std::string(sum.Validate(empty).message()),
              HasSubstr("buffers have 0 bytes, the model asks for 33"));
}

TEST(BufferAccumulatorTest, HasNoMeanOfNothing) {
  EXPECT_EQ(Make().Mean().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(BufferAccumulatorTest, RefusesMeaninglessBounds) {
  const Manifest manifest = EveryDType();
  const UpdateLayout layout = *MakeUpdateLayout(manifest, {}, BufferMode::kAverage);
  EXPECT_FALSE(BufferAccumulator::Create(manifest, layout, 0, 1).ok());
  EXPECT_FALSE(BufferAccumulator::Create(manifest, layout, 1, 0).ok());
  EXPECT_FALSE(BufferAccumulator::Create(manifest, layout, uint64_t{1} << 31, 1).ok());
}

}  // namespace
}  // namespace fedwatt
