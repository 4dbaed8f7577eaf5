#include "simulation/faults.h"

#include <gmock/gmock.h>

namespace fedwatt {
namespace {

TEST(Faults, StrikeTheMessageThatTheyName) {
  FaultPlan plan;
  plan.messages = {{2, FaultKind::kDelay, 500}, {4, FaultKind::kDropReply, 0}};
  plan.kills = {{.at_task = 7}};
  Faults faults(plan);
  EXPECT_EQ(faults.Next(), nullptr);
  ASSERT_NE(faults.Next(), nullptr);
  EXPECT_EQ(faults.Next(), nullptr);
  const MessageFault* const fourth = faults.Next();
  ASSERT_NE(fourth, nullptr);
  EXPECT_EQ(fourth->kind, FaultKind::kDropReply);
  EXPECT_EQ(faults.KillOf(0).at_task, 7);
  EXPECT_EQ(faults.KillOf(1).at_task, 0);
}

TEST(Faults, RandomPlansFollowTheSeedAndCoverEveryKind) {
  EXPECT_EQ(RandomFaults(5, 100).ToString(), RandomFaults(5, 100).ToString());
  std::set<FaultKind> kinds;
  bool kills = false;
  bool loses = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const FaultPlan plan = RandomFaults(seed, 100);
    for (const MessageFault& fault : plan.messages) kinds.insert(fault.kind);
    kills |= !plan.kills.empty();
    loses |= plan.sync_delay_ms > 0;
  }
  EXPECT_EQ(kinds.size(), 5U);
  EXPECT_TRUE(kills);
  EXPECT_TRUE(loses);
}

TEST(Faults, APlanReadsAsALineForEachFault) {
  FaultPlan plan;
  plan.messages = {{2, FaultKind::kDelay, 500}};
  plan.kills = {{.before_write = 3}};
  EXPECT_EQ(plan.ToString(), "message 2: delay by 500 ms\nlife 1 ends before write 3\n");
}

}  // namespace
}  // namespace fedwatt
