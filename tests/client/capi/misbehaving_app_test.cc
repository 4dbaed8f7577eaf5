// Apps that do wrong while a real coordinator gives them work: the work fails, the app lives on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "tests/client/capi/installed_sdk.h"
#include "tests/client/capi/open_app.h"

namespace fedwatt::e2e {
namespace {

using ::testing::HasSubstr;

// What the client said, from its threads.
class Heard {
 public:
  Heard() {
    listener.ctx = this;
    listener.event = [](void* ctx, const fedwatt_event* event) {
      auto* const heard = static_cast<Heard*>(ctx);
      MutexLock lock(&heard->mutex_);
      heard->texts_ += absl::StrCat(event->text, "\n");
      ++heard->kinds_[event->kind];
    };
  }
  int Count(fedwatt_event_kind kind) {
    MutexLock lock(&mutex_);
    return kinds_[kind];
  }
  std::string Texts() {
    MutexLock lock(&mutex_);
    return texts_;
  }

  fedwatt_listener listener = FEDWATT_INIT(fedwatt_listener);

 private:
  Mutex mutex_;
  std::string texts_ ABSL_GUARDED_BY(mutex_);
  std::map<int32_t, int> kinds_ ABSL_GUARDED_BY(mutex_);
};

class MisbehavingAppTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteLinearBundle(fleet_);
    ASSERT_TRUE(fleet_.StartCoordinator());
    address_ = fleet_.address();
    owner_ = ReadFile(fleet_.certs() + "/owner.pub", 4096).value();
    owner_text_ = owner_.c_str();
    app_.options.server = address_.c_str();
    app_.options.insecure_subject = nullptr;
    app_.options.ca_file = ca_.c_str();
    app_.options.certificate_file = certificate_.c_str();
    app_.options.key_file = key_.c_str();
    app_.options.trusted_keys = &owner_text_;
    app_.options.listener = &heard_.listener;
    app_.options.long_poll_ms = 1000;
  }

  void OpenInBackground() {
    ASSERT_EQ(app_.Open(), FEDWATT_OK) << app_.message();
    ASSERT_EQ(fedwatt_client_run_in_background(app_.client, &app_.error), FEDWATT_OK);
  }
  testing::AssertionResult WaitFor(fedwatt_event_kind kind) {
    return WaitUntil("the event", [&] { return heard_.Count(kind) > 0; });
  }

  Deployment fleet_{1};
  const std::string ca_ = fleet_.certs() + "/ca.pem";
  const std::string certificate_ = fleet_.certs() + "/client-0.pem";
  const std::string key_ = fleet_.certs() + "/client-0.key";
  std::string address_;
  std::string owner_;
  const char* owner_text_ = nullptr;
  Heard heard_;
  OpenApp app_{fleet_.File("state")};
};

TEST_F(MisbehavingAppTest, ATrainerOfNaNsCostsItsReportAndNothingElse) {
  std::atomic<int> runs{0};
  app_.run = [&](fedwatt_task* task, fedwatt_result* result, fedwatt_error* error) -> int32_t {
    fedwatt_parameter weight = FEDWATT_INIT(fedwatt_parameter);
    const int32_t code = fedwatt_task_parameter(task, 0, &weight, error);
    if (code != FEDWATT_OK) return code;
    static_cast<float*>(weight.output)[2] =
        ++runs == 1 ? std::numeric_limits<float>::quiet_NaN() : 0.5F;
    result->examples = 1;
    return FEDWATT_OK;
  };
  OpenInBackground();
  const std::string job = SubmitLinear(fleet_, {.rounds = 1, .goal = 1});
  ASSERT_TRUE(fleet_.WaitForEnd(job)) << heard_.Texts();
  EXPECT_EQ(fleet_.Job(job).state(), v1::JOB_STATE_COMPLETED) << "by the next attempt";
  EXPECT_EQ(heard_.Count(FEDWATT_EVENT_FAILED), 1);
  EXPECT_THAT(heard_.Texts(), HasSubstr("weight"));
  EXPECT_EQ(app_.Close(), FEDWATT_OK) << app_.message();
}

TEST_F(MisbehavingAppTest, ADataSourceThatThrowsCostsItsReportAndNothingElse) {
  std::atomic<int> passes{0};
  app_.test_data.misbehave = [&](fedwatt_batch*, fedwatt_error*) -> int32_t {
    if (++passes == 1) throw std::runtime_error("the camera is gone");
    return FEDWATT_END;
  };
  app_.run = [](fedwatt_task* task, fedwatt_result* result, fedwatt_error* error) -> int32_t {
    fedwatt_batch batch = FEDWATT_INIT(fedwatt_batch);
    int32_t code = fedwatt_task_rewind(task, error);
    if (code == FEDWATT_OK) code = fedwatt_task_next(task, 8, &batch, error);
    result->examples = 1;
    return code == FEDWATT_END ? int32_t{FEDWATT_OK} : code;
  };
  OpenInBackground();
  const std::string job = SubmitLinear(fleet_, {.rounds = 1, .goal = 1});
  ASSERT_TRUE(fleet_.WaitForEnd(job)) << heard_.Texts();
  EXPECT_EQ(fleet_.Job(job).state(), v1::JOB_STATE_COMPLETED);
  EXPECT_THAT(heard_.Texts(), HasSubstr("the camera is gone"));
  EXPECT_EQ(app_.Close(), FEDWATT_OK) << app_.message();
}

TEST_F(MisbehavingAppTest, AnAppCanCloseWhileItsTrainerHangs) {
  std::promise<void> entered;
  std::promise<void> release;
  app_.run = [&](fedwatt_task*, fedwatt_result*, fedwatt_error*) -> int32_t {
    entered.set_value();
    release.get_future().wait();
    return FEDWATT_OK;
  };
  OpenInBackground();
  SubmitLinear(fleet_, {.rounds = 1, .goal = 1});
  entered.get_future().wait();
  EXPECT_EQ(app_.Close(100), FEDWATT_DEADLINE_EXCEEDED);
  EXPECT_THAT(app_.message(), HasSubstr("must stay valid until it does"));
  fedwatt_counts counts = FEDWATT_INIT(fedwatt_counts);
  EXPECT_EQ(fedwatt_client_counts(app_.client, &counts, nullptr), FEDWATT_INVALID_ARGUMENT);
  release.set_value();
  EXPECT_TRUE(WaitUntil("its objects to be let go of", [&] { return app_.destroyed == 2; }));
}

TEST_F(MisbehavingAppTest, WorkIsGivenUpWhenTheAppNeedsItsDeviceBack) {
  std::promise<void> entered;
  std::atomic<bool> told{false};
  app_.run = [&](fedwatt_task* task, fedwatt_result*, fedwatt_error*) -> int32_t {
    if (!told.exchange(true)) entered.set_value();
    while (fedwatt_task_cancelled(task) == 0) std::this_thread::yield();
    return FEDWATT_CANCELLED;
  };
  OpenInBackground();
  SubmitLinear(fleet_, {.rounds = 1, .goal = 1});
  entered.get_future().wait();
  ASSERT_EQ(fedwatt_client_cancel_work(app_.client, "a call came in", &app_.error), FEDWATT_OK);
  EXPECT_TRUE(WaitFor(FEDWATT_EVENT_REPORTED)) << heard_.Texts();
  EXPECT_THAT(heard_.Texts(), HasSubstr("a call came in"));
  EXPECT_EQ(app_.Close(), FEDWATT_OK) << app_.message();
}

}  // namespace
}  // namespace fedwatt::e2e
