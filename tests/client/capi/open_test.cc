// What an app may hand over at the door, and what it hears of the rest.

#include <cerrno>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/capi/open_app.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class OpenTest : public ::testing::Test {
 protected:
  void TearDown() override { SetWriteFaultForTest(nullptr); }

  // Opening is refused with this code, and a message that contains `part`.
  void ExpectRefused(int32_t code, const std::string& part) {
    EXPECT_EQ(app_.Open(), code) << app_.message();
    EXPECT_EQ(app_.error.code, code);
    EXPECT_THAT(app_.message(), HasSubstr(part));
    EXPECT_EQ(app_.client, nullptr);
    EXPECT_EQ(app_.destroyed, 0) << "the app's objects stay its own";
  }

  TempDir dir_;
  const std::string state_ = dir_.File("state");
  OpenApp app_{state_};
};

TEST_F(OpenTest, ACompleteAppOpensTicksAndCloses) {
  ASSERT_EQ(app_.Open(), FEDWATT_OK) << app_.message();
  int64_t next_ms = -2;
  EXPECT_EQ(fedwatt_client_tick(app_.client, &next_ms, &app_.error), FEDWATT_OK);
  EXPECT_GE(next_ms, -1);
  EXPECT_EQ(app_.destroyed, 0);
  EXPECT_EQ(app_.Close(), FEDWATT_OK) << app_.message();
  EXPECT_EQ(app_.destroyed, 2) << "data source and trainer, once each";
}

TEST_F(OpenTest, WhatIsMissingIsNamed) {
  struct Case {
    const char* part;
    std::function<void(OpenApp*)> damage;
  };
  const Case cases[] = {
      {"options.server", [](OpenApp* a) { a->options.server = nullptr; }},
      {"options.state_dir", [](OpenApp* a) { a->options.state_dir = ""; }},
      {"options.certificate_file", [](OpenApp* a) { a->options.insecure_subject = nullptr; }},
      {"options.trusted_keys", [](OpenApp* a) { a->options.trusted_key_count = 0; }},
      {"options.trusted_keys", [](OpenApp* a) { a->options.trusted_keys = nullptr; }},
      {"options.datasets", [](OpenApp* a) { a->options.dataset_count = 0; }},
      {"options.datasets[0]", [](OpenApp* a) { a->dataset.name = nullptr; }},
      {"options.data is NULL", [](OpenApp* a) { a->options.data = nullptr; }},
      {"rewind is NULL", [](OpenApp* a) { a->data.rewind = nullptr; }},
      {"next is NULL", [](OpenApp* a) { a->data.next = nullptr; }},
      {"trainer and torch_program", [](OpenApp* a) { a->options.trainer = nullptr; }},
      {"trainer and torch_program", [](OpenApp* a) { a->options.torch_program = "/bin/true"; }},
      {"run is NULL", [](OpenApp* a) { a->trainer.run = nullptr; }},
      {"name is missing", [](OpenApp* a) { a->trainer.name = ""; }},
      {"formats is NULL", [](OpenApp* a) { a->trainer.format_count = 1; }},
  };
  for (const Case& c : cases) {
    OpenApp app(state_);
    c.damage(&app);
    EXPECT_EQ(app.Open(), FEDWATT_INVALID_ARGUMENT) << c.part;
    EXPECT_THAT(app.message(), HasSubstr(c.part));
  }
}

TEST_F(OpenTest, WhatIsWrongIsNamed) {
  app_.options.telemetry_level = 4;
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "telemetry_level is 4; must be 0 to 3");
  app_.options.telemetry_level = 0;
  app_.options.callback_ms = -1;
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "callback_ms -1");
  app_.options.callback_ms = 0;
  const char* const key = "not a key";
  app_.options.trusted_keys = &key;
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "options.trusted_keys[0]");
}

TEST_F(OpenTest, RulesAndMetersHaveBounds) {
  fedwatt_rules rules = FEDWATT_INIT(fedwatt_rules);
  rules.min_charge = 20;  // percent, where a share is meant
  app_.options.rules = &rules;
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "min_charge is 20; must be 0 to 1");
  app_.options.rules = nullptr;
  fedwatt_meter meter = FEDWATT_INIT(fedwatt_meter);
  app_.options.meter = &meter;
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "total_uj is NULL");
  meter.total_uj = [](void*, int64_t*, fedwatt_error*) -> int32_t { return FEDWATT_OK; };
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "FEDWATT_SCOPE_");
  meter.scope = FEDWATT_SCOPE_DEVICE;
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "both meter and no_meter");
}

TEST_F(OpenTest, FilesThatAreNotThereAreNamed) {
  app_.options.insecure_subject = nullptr;
  app_.options.ca_file = "/no/ca.pem";
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "go together");
  app_.options.certificate_file = "/no/client.pem";
  app_.options.key_file = "/no/client.key";
  ExpectRefused(FEDWATT_NOT_FOUND, "/no/");
  app_.options.insecure_subject = "device-1";
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "leave one out");
  app_.options.ca_file = app_.options.certificate_file = app_.options.key_file = nullptr;
  app_.options.trainer = nullptr;
  app_.options.torch_program = "/no/fedwatt-torch";
  ExpectRefused(FEDWATT_NOT_FOUND, "/no/fedwatt-torch");
}

TEST_F(OpenTest, WithoutTlsOnLoopbackOnly) {
  app_.options.server = "192.0.2.1:7443";
  ExpectRefused(FEDWATT_FAILED_PRECONDITION, "loopback");
}

// ---- structs of other versions

TEST_F(OpenTest, AStructThatWasNotInitialisedIsNone) {
  app_.options.abi_version = 0;
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "FEDWATT_INIT");
  app_.options.abi_version = FEDWATT_ABI_VERSION;
  app_.options.struct_size = 8;
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "size 8");
  EXPECT_EQ(fedwatt_client_open(nullptr, &app_.client, &app_.error), FEDWATT_INVALID_ARGUMENT);
  EXPECT_EQ(fedwatt_client_open(&app_.options, nullptr, &app_.error), FEDWATT_INVALID_ARGUMENT);
  EXPECT_EQ(fedwatt_client_open(nullptr, nullptr, nullptr), FEDWATT_INVALID_ARGUMENT);
}

TEST_F(OpenTest, AStructOfANewerAppIsTakenUnlessItSaysMoreThanWeKnow) {
  struct Newer {
    fedwatt_data_source known;
    void* something_new;
  } newer = {app_.data, nullptr};
  newer.known.struct_size = sizeof(newer);
  app_.options.data = &newer.known;
  ASSERT_EQ(app_.Open(), FEDWATT_OK) << app_.message();
  EXPECT_EQ(app_.Close(), FEDWATT_OK);
  app_.destroyed = 0;
  newer.something_new = &newer;
  ExpectRefused(FEDWATT_INVALID_ARGUMENT, "update the library or leave it 0");
}

TEST_F(OpenTest, AnErrorMessageIsCutBetweenCharacters) {
  std::string text(1018, 'x');
  text += "\xE2\x82\xAC";  // does not fit any more
  EXPECT_EQ(fedwatt_fail(&app_.error, FEDWATT_INTERNAL, text.c_str()), FEDWATT_INTERNAL);
  EXPECT_EQ(app_.message(), std::string(1018, 'x'));
  EXPECT_EQ(fedwatt_fail(&app_.error, 77, nullptr), 77);
  EXPECT_EQ(app_.message(), "");
  EXPECT_STREQ(fedwatt_code_name(77), "UNKNOWN");
}

// ---- handles

TEST_F(OpenTest, StaleAndInventedHandlesAreFoundOut) {
  ASSERT_EQ(app_.Open(), FEDWATT_OK);
  fedwatt_client* const stale = app_.client;
  ASSERT_EQ(app_.Close(), FEDWATT_OK);
  for (fedwatt_client* client :
       {stale, static_cast<fedwatt_client*>(nullptr), reinterpret_cast<fedwatt_client*>(&app_)}) {
    fedwatt_counts counts = FEDWATT_INIT(fedwatt_counts);
    EXPECT_EQ(fedwatt_client_tick(client, nullptr, &app_.error), FEDWATT_INVALID_ARGUMENT);
    EXPECT_THAT(app_.message(), HasSubstr("not a live client"));
    EXPECT_EQ(fedwatt_client_run_in_background(client, nullptr), FEDWATT_INVALID_ARGUMENT);
    EXPECT_EQ(fedwatt_client_cancel_work(client, "", nullptr), FEDWATT_INVALID_ARGUMENT);
    EXPECT_EQ(fedwatt_client_counts(client, &counts, nullptr), FEDWATT_INVALID_ARGUMENT);
    EXPECT_EQ(fedwatt_client_close(client, 0, nullptr), FEDWATT_INVALID_ARGUMENT);
  }
  auto* const task = reinterpret_cast<fedwatt_task*>(stale);
  EXPECT_EQ(fedwatt_task_parameter_count(task), 0u);
  EXPECT_EQ(fedwatt_task_cancelled(task), 1);
  EXPECT_EQ(fedwatt_task_rewind(task, &app_.error), FEDWATT_INVALID_ARGUMENT);
}

TEST_F(OpenTest, TheLoopHasOneOwner) {
  ASSERT_EQ(app_.Open(), FEDWATT_OK);
  ASSERT_EQ(fedwatt_client_run_in_background(app_.client, &app_.error), FEDWATT_OK);
  EXPECT_EQ(fedwatt_client_tick(app_.client, nullptr, &app_.error), FEDWATT_FAILED_PRECONDITION);
  EXPECT_EQ(fedwatt_client_run_in_background(app_.client, &app_.error),
            FEDWATT_FAILED_PRECONDITION);
  EXPECT_EQ(app_.Close(), FEDWATT_OK) << app_.message();
}

TEST_F(OpenTest, AClientIsNotClosedFromInsideOfACallback) {
  struct Closer {
    OpenApp* app;
    int32_t code = -1;
  } closer{&app_};
  fedwatt_listener listener = FEDWATT_INIT(fedwatt_listener);
  listener.ctx = &closer;
  listener.log = [](void* ctx, int32_t, const char*) {
    auto* const c = static_cast<Closer*>(ctx);
    if (c->app->client == nullptr) return;  // still being opened
    c->code = fedwatt_client_close(c->app->client, 0, nullptr);
  };
  app_.options.listener = &listener;
  ASSERT_EQ(app_.Open(), FEDWATT_OK);
  // Nobody listens at the address, which is logged.
  while (closer.code == -1) {
    ASSERT_EQ(fedwatt_client_tick(app_.client, nullptr, &app_.error), FEDWATT_OK);
    std::this_thread::yield();
  }
  EXPECT_EQ(closer.code, FEDWATT_FAILED_PRECONDITION);
  EXPECT_EQ(app_.Close(), FEDWATT_OK) << "and it is as good as before";
}

// ---- the state folder

TEST_F(OpenTest, OneClientToAFolder) {
  ASSERT_EQ(app_.Open(), FEDWATT_OK);
  OpenApp second(state_);
  EXPECT_EQ(second.Open(), FEDWATT_FAILED_PRECONDITION);
  EXPECT_EQ(app_.Close(), FEDWATT_OK);
  EXPECT_EQ(second.Open(), FEDWATT_OK) << second.message();
  EXPECT_EQ(second.Close(), FEDWATT_OK);
}

TEST_F(OpenTest, AFolderThatCannotBeWrittenIsNamed) {
  app_.options.state_dir = "/proc/fedwatt";
  EXPECT_NE(app_.Open(), FEDWATT_OK);
  EXPECT_THAT(app_.message(), HasSubstr("/proc/fedwatt"));
  ASSERT_TRUE(WriteFileAtomic(dir_.File("file"), "x").ok());
  const std::string below = dir_.File("file/state");
  app_.options.state_dir = below.c_str();
  EXPECT_NE(app_.Open(), FEDWATT_OK);
  EXPECT_THAT(app_.message(), HasSubstr("file"));
}

TEST_F(OpenTest, AFullDiskIsSaid) {
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  ExpectRefused(FEDWATT_RESOURCE_EXHAUSTED, state_);
  SetWriteFaultForTest([](const std::string&, uint64_t) { return EACCES; });
  ExpectRefused(FEDWATT_PERMISSION_DENIED, state_);
  SetWriteFaultForTest(nullptr);
  EXPECT_EQ(app_.Open(), FEDWATT_OK) << "nothing was lost by it: " << app_.message();
  EXPECT_EQ(app_.Close(), FEDWATT_OK);
}

TEST_F(OpenTest, AFolderOfANewerVersionIsLeftAlone) {
  ASSERT_TRUE(EnsureDir(state_ + "/assignments").ok());
  ASSERT_TRUE(WriteFileAtomic(state_ + "/format", "9\n").ok());
  const std::string journal = state_ + "/assignments/000000000000000000000000.journal";
  ASSERT_TRUE(WriteFileAtomic(journal, "FWJOURN9...").ok());
  ExpectRefused(FEDWATT_FAILED_PRECONDITION, "format 9");
  EXPECT_TRUE(FileExists(journal));
}

TEST_F(OpenTest, DamagedFilesInItAreNoReasonToFail) {
  ASSERT_TRUE(EnsureDir(state_ + "/assignments").ok());
  for (const char* file : {"format", "session", "costs", "models", "deaths",
                           "assignments/000000000000000000000000.journal"}) {
    ASSERT_TRUE(WriteFileAtomic(absl::StrCat(state_, "/", file), std::string(1000, '\xFF')).ok());
  }
  ASSERT_EQ(app_.Open(), FEDWATT_OK) << app_.message();
  fedwatt_counts counts = FEDWATT_INIT(fedwatt_counts);
  ASSERT_EQ(fedwatt_client_tick(app_.client, nullptr, &app_.error), FEDWATT_OK);
  ASSERT_EQ(fedwatt_client_counts(app_.client, &counts, &app_.error), FEDWATT_OK);
  EXPECT_EQ(counts.problems, 1u) << "the journal; the others are measurements and hints";
  EXPECT_EQ(app_.Close(), FEDWATT_OK);
}

}  // namespace
}  // namespace fedwatt
