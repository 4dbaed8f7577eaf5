// The coordinator on real threads: many devices at once, two jobs, a watcher, an operator who looks
// all the time. Made for ThreadSanitizer; needs no gRPC.

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/thread_pool.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

template <typename T>
class Waiting {
 public:
  void Set(T value) {
    MutexLock lock(&mutex_);
    value_.emplace(std::move(value));
    set_.NotifyAll();
  }
  T Get() {
    MutexLock lock(&mutex_);
    while (!value_) set_.Wait(&mutex_);
    return *std::exchange(value_, std::nullopt);
  }

 private:
  Mutex mutex_;
  CondVar set_;
  std::optional<T> value_ ABSL_GUARDED_BY(mutex_);
};

void Device(const FakeClient& me, Coordinator& coordinator, bool stream,
            const std::atomic<bool>& over) {
  while (!over) {
    CheckInRequest request = me.Request();
    request.max_wait_ms = 50;
    auto response = std::make_shared<Waiting<absl::StatusOr<CheckInResponse>>>();
    coordinator.CheckIn(me.principal(), request,
                        [response](auto answer) { response->Set(std::move(answer)); });
    const auto answer = response->Get();
    if (!answer.ok() || !answer->assignment) continue;
    FakeWork work = me.DefaultWork(*answer->assignment);
    work.report.update.size = work.update.size();
    work.report.update.sha256 = Sha256Of(AsBytes(work.update));
    auto reply = std::make_shared<Waiting<absl::StatusOr<ReportReply>>>();
    const auto done = [reply](auto got) { reply->Set(std::move(got)); };
    if (stream) {
      auto start = coordinator.StartUpload(me.principal(), work.report, 0);
      ASSERT_TRUE(start.ok() || absl::IsAborted(start.status())) << start.status();
      if (!start.ok()) continue;
      if (start->session == nullptr) continue;
      // The attempt may end at any time, and what came of its updates goes with it.
      if (const auto sent = start->session->Append(0, AsBytes(work.update)); !sent.ok()) {
        ASSERT_TRUE(absl::IsAborted(sent)) << sent;
        continue;
      }
      start->session->Finish(done);
    } else {
      work.report.update.inline_data = work.update;
      coordinator.SubmitReport(me.principal(), work.report, done);
    }
    reply->Get().IgnoreError();
  }
}

// Of a job no round of which may be abandoned.
void Watch(Coordinator& coordinator, const std::string& job, std::atomic<int>* rounds,
           Waiting<bool>* ended) {
  const auto watch = coordinator.WatchJob(job, 0, [=](const JobUpdate& update, bool last) {
    if (update.committed) {
      EXPECT_EQ(update.committed->phase, "committed") << update.committed->reason;
      ++*rounds;
    }
    if (last) ended->Set(true);
  });
  ASSERT_TRUE(watch.ok()) << watch.status();
}

// With room in memory for some of the updates that come whole.
std::unique_ptr<Spool> SharedSpool(const TestWorld& world) {
  return *OpenSpool({.dir = absl::StrCat(world.dir(), "/shared-spool"),
                     .max_bytes = 1 << 30,
                     .max_memory_bytes = 10'000});
}

TEST(CoordinatorOnThreads, ManyDevicesTwoJobsAndAWatcher) {
  TestWorld world;  // for its disk
  SystemClock clock;
  ThreadPool pool(4);
  MemoryStore store(&pool);
  CoordinatorDeps deps;
  deps.clock = &clock;
  deps.executor = &pool;
  deps.store = &store;
  deps.blobs = world.blobs.get();
  const auto spool = SharedSpool(world);
  deps.spool = spool.get();
  CoordinatorOptions options = world.options;
  options.retry_after_ms = 10;
  auto coordinator = *Coordinator::Start(options, deps);

  world.StartCoordinator();
  world.AddBundle(1000);
  Digest bundle{};
  ASSERT_TRUE(coordinator->AddBundle(absl::StrCat(world.dir(), "/line.fwb"), &bundle).ok());
  world.KillCoordinator();
  JobSpec spec = world.Spec(6);
  spec.round.over_selection = 1.3;
  spec.rounds = 10;
  Waiting<bool> ended[2];
  std::atomic<int> rounds = 0;
  for (int i = 0; i < 2; ++i) {
    spec.name = absl::StrCat("job", i);
    const auto job = coordinator->SubmitJob(spec, bundle, "");
    ASSERT_TRUE(job.ok()) << job.status();
    Watch(*coordinator, job->id, &rounds, &ended[i]);
  }
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<FakeClient>> devices;
  constexpr int kDevices = 12;
  for (int i = 0; i < kDevices; ++i) {
    devices.push_back(std::make_unique<FakeClient>(
        FakeClient::Options{.name = absl::StrCat("device-", i)}, &world.executor, &world.clock));
  }
  for (int i = 0; i < kDevices; ++i) {
    threads.emplace_back([&, i] { Device(*devices[i], *coordinator, i % 2 == 0, over); });
  }
  threads.emplace_back([&] {
    while (!over) {
      coordinator->ListJobs(true);
      coordinator->Stats();
      coordinator->GetJob("job0").IgnoreError();
    }
  });
  EXPECT_TRUE(ended[0].Get());
  EXPECT_TRUE(ended[1].Get());
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(rounds, 20);
  for (const JobView& job : coordinator->ListJobs(true)) {
    EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
    EXPECT_EQ(job.rounds_done, 10u);
  }
  coordinator.reset();
  pool.Shutdown();
  EXPECT_EQ(spool->bytes_in_memory(), 0u);
}

}  // namespace
}  // namespace fedwatt::testing
