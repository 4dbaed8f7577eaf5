#include "server/driver/client_pool.h"

#include <utility>

#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::SizeIs;

class ClientPoolTest : public ::testing::Test {
 protected:
  void Wants(const std::string& job) {
    pool_.AddJob({.id = job, .wanted = 1, .resend = [](const std::string&) {}});
    pool_.OpenDemand(
        {.job = job, .need = {.population = "default"}, .wanted = 1, .changed = [] {}});
  }

  void Waits(const std::string& client) {
    ClientPool::Call call;
    call.id = ++calls_;
    call.offer.client = client;
    call.offer.request.datasets.emplace_back();
    call.wait_ms = 1000;
    call.done = [](const absl::StatusOr<CheckInResponse>&) {};
    pool_.Announce(call.id);
    pool_.Admit(std::move(call));
  }

  FakeClock clock_;
  ManualExecutor executor_{&clock_};
  uint64_t calls_ = 0;
  ClientPool pool_{{}, &clock_, &executor_};
};

TEST_F(ClientPoolTest, WhoWasServedLessComesFirst) {
  Wants("a");
  Wants("b");
  Waits("phone");
  EXPECT_THAT(pool_.Candidates("a"), SizeIs(1));
  EXPECT_THAT(pool_.Claim("a", {"phone"}), SizeIs(1));
  EXPECT_EQ(pool_.CandidateCount("a"), 0u);
  pool_.Finish("a", "phone");
  EXPECT_EQ(pool_.CandidateCount("a"), 0u);
  EXPECT_EQ(pool_.CandidateCount("b"), 1u);
}

TEST_F(ClientPoolTest, AClaimThatIsUndoneServedNobody) {
  Wants("a");
  Wants("b");
  Waits("phone");
  EXPECT_THAT(pool_.Claim("a", {"phone"}), SizeIs(1));
  pool_.Unclaim("a", "phone");
  EXPECT_EQ(pool_.CandidateCount("a"), 1u);
  EXPECT_EQ(pool_.CandidateCount("b"), 0u);
}

}  // namespace
}  // namespace fedwatt
