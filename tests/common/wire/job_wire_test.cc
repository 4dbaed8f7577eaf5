#include "common/wire/job_wire.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

v1::JobSpec Least() {
  v1::JobSpec spec;
  spec.set_name("mnist");
  spec.mutable_dataset()->set_name("fashion-mnist");
  spec.mutable_round()->set_goal(8);
  return spec;
}

TEST(JobWireTest, AbsentFieldsTakeTheDefaultsOfTheStruct) {
  const auto spec = wire::FromProto(Least());
  ASSERT_TRUE(spec.ok()) << spec.status();
  JobSpec expected;
  expected.name = "mnist";
  expected.dataset.name = "fashion-mnist";
  expected.round.goal = 8;
  v1::JobSpec a;
  v1::JobSpec b;
  wire::ToProto(*spec, &a);
  wire::ToProto(expected, &b);
  EXPECT_EQ(a.DebugString(), b.DebugString());
  EXPECT_EQ(spec->selector.name, "uniform");
  EXPECT_EQ(spec->codec.up, "eden:bits=2");
  EXPECT_EQ(spec->codec.down, "eden:bits=2");
  EXPECT_TRUE(spec->retention.keep_best);
  EXPECT_EQ(spec->bounds.max_abs_delta, 64);
  EXPECT_EQ(spec->plan.optimizer.kind, OptimizerKind::kSgd);
}

TEST(JobWireTest, AnExplicitZeroIsAZero) {
  v1::JobSpec message = Least();
  message.set_telemetry_level(0);
  message.mutable_retention()->set_keep_best(false);
  message.mutable_plan()->mutable_optimizer()->set_beta1(0);
  const auto spec = wire::FromProto(message);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->telemetry_level, 0u);
  EXPECT_FALSE(spec->retention.keep_best);
  EXPECT_EQ(spec->plan.optimizer.beta1, 0);

  message.set_rounds(0);
  EXPECT_THAT(std::string(wire::FromProto(message).status().message()),
              testing::HasSubstr("rounds = 0: must be at least 1"));
}

TEST(JobWireTest, StepsReplaceTheDefaultEpoch) {
  v1::Plan plan;
  EXPECT_EQ(wire::FromProto(plan)->local_epochs, 1u);
  plan.set_local_steps(20);
  ASSERT_TRUE(wire::FromProto(plan).ok());
  EXPECT_EQ(wire::FromProto(plan)->local_epochs, 0u);
  plan.set_local_epochs(1);
  EXPECT_FALSE(wire::FromProto(plan).ok());
}

TEST(JobWireTest, UnknownEnumsAreRefused) {
  v1::Plan plan;
  plan.set_buffers(static_cast<v1::BufferMode>(9));
  EXPECT_THAT(std::string(wire::FromProto(plan).status().message()),
              testing::HasSubstr("plan.buffers = 9"));
}

}  // namespace
}  // namespace fedwatt
