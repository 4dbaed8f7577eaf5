// The same session on real threads: what ThreadSanitizer looks at.

#include "client/sdk/session.h"

#include "common/base/mutex.h"
#include "common/base/sequential_executor.h"
#include "common/base/thread_pool.h"
#include "gtest/gtest.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

// Set once, waited for with a limit that only a hang reaches.
class Flag {
 public:
  void Set() {
    MutexLock lock(&mutex_);
    set_ = true;
    changed_.NotifyAll();
  }
  bool Wait() {
    MutexLock lock(&mutex_);
    while (!set_) {
      if (!changed_.WaitFor(&mutex_, 30'000'000)) return set_;
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

// Answers from threads of its own: one small assignment after another, each committed at once.
class EndlessCoordinator final : public ClientTransport {
 public:
  EndlessCoordinator(Executor* pool, const Assignment& assignment)
      : pool_(pool), assignment_(assignment) {}

  void CheckIn(const CheckInRequest&, Done<CheckInResponse> done) override {
    CheckInResponse response;
    response.assignment = assignment_;
    response.assignment->id = absl::StrCat("job/r", ++given_, "/a1/0");
    Answer(std::move(done), std::move(response));
  }
  void SubmitReport(const Report&, Done<ReportReply> done) override {
    ReportReply reply;
    reply.accepted = true;
    reply.outcome = Outcome::kCommitted;
    if (++reports_ == 20) enough_.Set();
    Answer(std::move(done), reply);
  }
  void Download(const Digest&, uint64_t, const std::string&,
                absl::AnyInvocable<void(DownloadResult)> done) override {
    done({0, 0, absl::NotFoundError("everything comes inline")});
  }
  void UploadStatus(const std::string&, const Digest&, Done<UploadOffset> done) override {
    Answer<UploadOffset>(std::move(done), UploadOffset());
  }
  void Upload(const Report&, uint64_t, const std::string&,
              absl::AnyInvocable<void(UploadResult)> done) override {
    done(UploadResult());
  }
  void CancelAll() override {}
  void Sleep() override {}

  bool WaitForReports() { return enough_.Wait(); }

 private:
  template <typename T>
  void Answer(Done<T> done, T value) {
    pool_->Post([done = std::move(done), value = std::move(value)]() mutable { done(value); });
  }

  Executor* const pool_;
  const Assignment assignment_;
  std::atomic<int> given_{0};
  std::atomic<int> reports_{0};
  Flag enough_;
};

class SessionThreadsTest : public SessionTest {};

TEST_F(SessionThreadsTest, WorksAndStopsFromAnyThread) {
  const Assignment assignment = Inline(MakeAssignment("job/r1/a1/0", 100));
  const SystemClock clock;
  ThreadPool pool(3);
  ThreadPool work(1);
  EndlessCoordinator coordinator(&pool, assignment);
  Transcript transcript;
  {
    SequentialExecutor strand(&pool);
    SessionDeps deps{&clock, &strand, &work, &coordinator, &trainer_, nullptr, &transcript};
    auto session = Session::Open(options_, deps);
    ASSERT_TRUE(session.ok()) << session.status();
    (*session)->Start();
    ASSERT_TRUE(coordinator.WaitForReports());
    Flag stopped;
    (*session)->CancelWork("just so");
    (*session)->Stop([&] { stopped.Set(); });
    ASSERT_TRUE(stopped.Wait());
    work.Shutdown();
    pool.Shutdown();
    session->reset();
  }
  EXPECT_EQ(transcript.lines.back(), "stopped");
}

TEST_F(SessionThreadsTest, StopsATrainingThatRuns) {
  const Assignment assignment = Inline(MakeAssignment("job/r1/a1/0", 100));
  const SystemClock clock;
  ThreadPool pool(3);
  ThreadPool work(1);
  EndlessCoordinator coordinator(&pool, assignment);

  // Trains until it is told to stop.
  class PatientTrainer final : public Trainer {
   public:
    std::string name() const override { return "fake"; }
    std::vector<std::string> artifact_formats() const override { return {}; }
    absl::StatusOr<TrainResult> Run(
        const TrainRequest&, const std::atomic<bool>& cancel,
        const std::function<void(const TrainProgress&)>& progress) override {
      started.Set();
      while (!cancel) progress({1, 2, 3});
      return absl::CancelledError("told to stop");
    }
    Flag started;
  } trainer;

  SequentialExecutor strand(&pool);
  SessionDeps deps{&clock, &strand, &work, &coordinator, &trainer};
  auto session = Session::Open(options_, deps);
  ASSERT_TRUE(session.ok()) << session.status();
  (*session)->Start();
  ASSERT_TRUE(trainer.started.Wait());
  Flag stopped;
  (*session)->Stop([&] { stopped.Set(); });
  EXPECT_TRUE(stopped.Wait());
  work.Shutdown();
  pool.Shutdown();
}

}  // namespace
}  // namespace fedwatt
