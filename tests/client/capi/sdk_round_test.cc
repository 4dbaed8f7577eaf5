// Apps that were built against the installed SDK take part in a real job, over mutual TLS.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "tests/client/capi/installed_sdk.h"

namespace fedwatt::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;

constexpr float kTolerance = 0.05F;

// Two apps, started by `argv` with their names behind it, finish the job of two.
void RunJob(Deployment& fleet, const std::vector<std::string>& argv,
            const std::vector<std::string>& env = {},
            const std::function<void(const Deployment&)>& write_bundle = WriteLinearBundle) {
  write_bundle(fleet);
  ASSERT_TRUE(fleet.StartCoordinator());
  std::vector<Program> apps;
  for (int i = 0; i < 2; ++i) {
    const std::string name = absl::StrCat("client-", i);
    std::vector<std::string> command = argv;
    command.insert(command.end(),
                   {fleet.address(), fleet.certs(), name, fleet.File("state-" + name), "6"});
    apps.emplace_back(command, fleet.File(name + ".log"), env);
  }
  const std::string job = SubmitLinear(fleet, {.rounds = 6, .goal = 2});
  const auto ended = fleet.WaitForEnd(job, 120'000);
  ASSERT_TRUE(ended) << apps[0].Log() << apps[1].Log();
  EXPECT_EQ(fleet.Job(job).state(), v1::JOB_STATE_COMPLETED);
  for (Program& app : apps) EXPECT_EQ(app.WaitForExit(30'000), 0) << app.Log();
  const auto near = [](float value) { return FloatNear(value, kTolerance); };
  EXPECT_THAT(ExportLinear(fleet, job),
              ElementsAre(near(1), near(-2), near(3), near(-4), near(0.5)))
      << "the model learnt what the apps' data say";
}

// The example of that folder, built against these components.
void RunExample(const std::string& folder, const std::string& name,
                const std::vector<std::string>& components = {"sdk"},
                const std::function<void(const Deployment&)>& write_bundle = WriteLinearBundle) {
  Deployment fleet(2);
  InstalledSdk sdk(fleet, components);
  ASSERT_TRUE(sdk.ok());
  const std::string program = sdk.Build(folder, name);
  ASSERT_NE(program, "");
  RunJob(fleet, {program}, {}, write_bundle);
}

TEST(SdkRound, OfAnAppInC) { RunExample("sdk_c", "linear"); }

TEST(SdkRound, OfAnAppInCpp) { RunExample("sdk_cpp", "linear"); }

TEST(SdkRound, OfAnAppInCThatKnowsNothingOfTheModel) { RunExample("sdk_any_model", "any_model_c"); }

TEST(SdkRound, OfAnAppInCppThatKnowsNothingOfTheModel) {
  RunExample("sdk_any_model", "any_model_cpp");
}

// LibTorch itself is not built with sanitizers.
TEST(SdkRound, OfAnAppWithLibTorchInAProcessOfItsOwn) {
  if (InstalledSdk::sanitized()) GTEST_SKIP() << "the build with sanitizers has no fedwatt-torch";
  RunExample("sdk_any_model", "any_model_torch", {"sdk", "programs"}, WriteLinearModule);
}

TEST(SdkRound, OfAnAppWithLibTorchInside) {
  if (InstalledSdk::sanitized()) GTEST_SKIP() << "the build with sanitizers has no LibTorch";
  RunExample("sdk_any_model", "any_model_torch_in_process", {"sdk", "programs", "sdk_torch"},
             WriteLinearModule);
}

TEST(SdkRound, OfATrainerWrittenInPython) {
  if (InstalledSdk::sanitized()) GTEST_SKIP() << "Python itself is not built with sanitizers";
  Deployment fleet(2);
  InstalledSdk sdk(fleet);
  ASSERT_TRUE(sdk.ok());
  RunJob(fleet, {"/usr/bin/python3", FEDWATT_SOURCE_DIR "/examples/sdk_python/linear.py"},
         {"FEDWATT_LIBRARY=" + sdk.library()});
}

}  // namespace
}  // namespace fedwatt::e2e
