#include "client/app/setup.h"

#include <filesystem>

#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "common/crypto/x509.h"
#include "common/energy/calibration.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt::client {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string Text(const absl::Status& status) { return std::string(status.message()); }

class SetupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(dir_);
    ASSERT_TRUE(EnsureDir(dir_, 0700).ok());
    authority_ = *CreateAuthority("test", clock_.NowMs(), 365);
    Write("ca.pem", authority_.certificate_pem, 0644);
    config_.tls_dir = dir_;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void Write(const std::string& name, const std::string& text, mode_t mode) {
    ASSERT_TRUE(WriteFileAtomic(dir_ + "/" + name, text, mode).ok());
  }
  void Issue(const std::string& name, const std::string& role) {
    const auto issued =
        IssueCertificate(authority_, {.role = role, .id = name, .valid_days = 90}, clock_.NowMs());
    ASSERT_TRUE(issued.ok()) << issued.status();
    Write(name + ".pem", issued->certificate_pem, 0644);
    Write(name + ".key", issued->key_pem, 0600);
  }
  absl::Status IdentityError() { return FindIdentity(config_, clock_).status(); }

  const std::string dir_ = ::testing::TempDir() + "client_setup_test";
  FakeClock clock_;
  CertifiedKey authority_;
  ClientConfig config_;
};

TEST_F(SetupTest, FindsTheOnlyCertificateOfTheFolder) {
  Issue("client-1", "client");
  const auto identity = FindIdentity(config_, clock_);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->subject, "client-1");
  EXPECT_EQ(identity->role, Role::kClient);
  EXPECT_THAT(identity->found, HasSubstr("valid until 2026-04-01T"));
}

TEST_F(SetupTest, AsksWhichOfSeveral) {
  EXPECT_THAT(Text(IdentityError()), HasSubstr("fedwatt certs issue"));
  Issue("client-1", "client");
  Issue("client-2", "evaluator");
  EXPECT_THAT(Text(IdentityError()), HasSubstr("(client-1, client-2); choose one with --as NAME"));
  config_.tls_name = "client-2";
  const auto identity = FindIdentity(config_, clock_);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->role, Role::kEvaluator);
}

TEST_F(SetupTest, SaysThatTheCertificateExpired) {
  Issue("client-1", "client");
  clock_.AdvanceMs(91 * kMsPerDay);
  EXPECT_EQ(IdentityError().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Text(IdentityError()), HasSubstr("expired"));
}

TEST_F(SetupTest, SaysThatTheClockMayBeOff) {
  Issue("client-1", "client");
  clock_.SetMs(clock_.NowMs() - 10 * kMsPerDay);
  EXPECT_EQ(IdentityError().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Text(IdentityError()), HasSubstr("clock"));
}

TEST_F(SetupTest, SaysThatAnotherAuthoritySigned) {
  Issue("client-1", "client");
  Write("ca.pem", CreateAuthority("test", clock_.NowMs(), 365)->certificate_pem, 0644);
  EXPECT_EQ(IdentityError().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Text(IdentityError()), HasSubstr("not signed by the authority"));
}

TEST_F(SetupTest, SaysThatTheKeyIsAnothers) {
  Issue("client-1", "client");
  Issue("client-2", "client");
  config_ = {};
  config_.ca = dir_ + "/ca.pem";
  config_.cert = dir_ + "/client-1.pem";
  config_.key = dir_ + "/client-2.key";
  EXPECT_EQ(IdentityError().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Text(IdentityError()), HasSubstr("does not belong to the certificate"));
}

TEST_F(SetupTest, AClientDoesNotRunAsAnOperatorOrInAnotherRole) {
  Issue("root", "operator");
  EXPECT_EQ(IdentityError().code(), absl::StatusCode::kPermissionDenied);
  Issue("client-1", "client");
  config_.tls_name = "client-1";
  config_.role = "evaluator";
  EXPECT_EQ(IdentityError().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(Text(IdentityError()), HasSubstr("drop the flag or issue another"));
}

TEST_F(SetupTest, InsecureNeedsNoFiles) {
  config_ = {};
  config_.insecure_subject = "c1";
  const auto identity = FindIdentity(config_, clock_);
  ASSERT_TRUE(identity.ok());
  EXPECT_FALSE(identity->tls.has_value());
  EXPECT_THAT(identity->found, HasSubstr("INSECURE"));
}

TEST_F(SetupTest, CountsTheExamplesOfADataset) {
  std::string csv = "a,b,label\n";
  for (int i = 0; i < 10; ++i) csv += "1,2,0\n";
  Write("d.csv", csv, 0644);
  config_.datasets = {"d=csv:" + dir_ + "/d.csv?label=label&schema=3"};
  std::vector<std::string> found;
  const auto datasets = FindDatasets(config_, &found);
  ASSERT_TRUE(datasets.ok()) << datasets.status();
  ASSERT_THAT(*datasets, SizeIs(1));
  EXPECT_EQ((*datasets)[0].ref.name, "d");
  EXPECT_EQ((*datasets)[0].ref.schema_version, 3);
  EXPECT_EQ((*datasets)[0].ref.example_count_bucket, 4);
  EXPECT_FALSE((*datasets)[0].config.options.contains("schema"));  // the trainer does not know it
  EXPECT_THAT(found[0], HasSubstr("10 examples"));
}

TEST_F(SetupTest, NamesTheDatasetThatCannotBeUsed) {
  std::vector<std::string> found;
  config_.datasets = {"d=idx:/nowhere"};
  EXPECT_THAT(Text(FindDatasets(config_, &found).status()), HasSubstr("/nowhere"));
  config_.datasets = {"d"};
  EXPECT_THAT(Text(FindDatasets(config_, &found).status()), HasSubstr("name=format:path"));
  config_.trainer = "echo";
  EXPECT_TRUE(FindDatasets(config_, &found).ok());
  config_.datasets = {"d", "d"};
  EXPECT_THAT(Text(FindDatasets(config_, &found).status()), HasSubstr("two datasets are called d"));
}

TEST_F(SetupTest, SaysWhereItLookedForTheTrainer) {
  config_.worker_path = dir_ + "/fedwatt-torch";
  const auto trainer = FindTrainer(config_, &clock_);
  EXPECT_EQ(trainer.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Text(trainer.status()), HasSubstr(dir_ + "/fedwatt-torch"));
  config_.trainer = "echo";
  EXPECT_TRUE(FindTrainer(config_, &clock_).ok());
}

TEST_F(SetupTest, TrainsWithoutLibTorchOnlyWhereNobodyAskedForIt) {
  config_.trainer = "portable";
  const auto portable = FindTrainer(config_, &clock_);
  ASSERT_TRUE(portable.ok()) << portable.status();
  EXPECT_EQ((*portable)->name(), "portable");
  EXPECT_THAT((*portable)->artifact_formats(), testing::ElementsAre("fedwatt-graph"));
  // fedwatt-torch is not beside this test program.
  config_.trainer = "auto";
  const auto found = FindTrainer(config_, &clock_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ((*found)->name(), "portable");
  config_.trainer = "torch";
  EXPECT_EQ(FindTrainer(config_, &clock_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SetupTest, AMissingKeyNamesItsFile) {
  EXPECT_THAT(Text(LoadTrustedKeys({dir_ + "/owner.pub"}).status()),
              HasSubstr("--trusted-key " + dir_ + "/owner.pub"));
}

TEST_F(SetupTest, AnUnknownMeterIsAnErrorAndNoneIsNone) {
  config_.trainer = "echo";
  const auto trainer = FindTrainer(config_, &clock_);
  config_.meter = "perpetuum";
  EXPECT_FALSE(FindMeter(config_, &clock_, trainer->get()).ok());
  config_.meter = "none";
  const auto none = FindMeter(config_, &clock_, trainer->get());
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->meter, nullptr);
}

TEST_F(SetupTest, TheMeterIsAskedForByNameLinkAndCalibration) {
  config_.trainer = "echo";
  const auto trainer = FindTrainer(config_, &clock_);
  const auto found = [&] {
    const auto meter = FindMeter(config_, &clock_, trainer->get());
    EXPECT_TRUE(meter.ok()) << meter.status();
    return meter.ok() ? meter->found : "";
  };
  config_.meter = "cpu_time";
  config_.radio_link = "lte";
  EXPECT_EQ(found(),
            "cpu_time (estimated, process): as asked; beside it, never added: radio (estimated, "
            "process)");
  config_.radio_link = "ethernet";
  EXPECT_THAT(found(), HasSubstr("not radio: Ethernet has no radio"));
  config_.radio_link.clear();
  config_.meter = "simulated";
  config_.simulated_watts = 7;
  EXPECT_THAT(found(), HasSubstr("simulated (simulated, device)"));
}

TEST_F(SetupTest, ACalibrationFileThatWasAskedForMustBeSoundAndOfThisHost) {
  config_.trainer = "echo";
  config_.meter = "cpu_time";
  const auto trainer = FindTrainer(config_, &clock_);
  const auto error = [&] { return Text(FindMeter(config_, &clock_, trainer->get()).status()); };
  config_.calibration = dir_ + "/calibration";
  EXPECT_THAT(error(), HasSubstr("--calibration " + config_.calibration));
  EnergyCalibration calibration{
      .cpu = "Another Chip", .source = "rapl", .watts_per_busy_core = 3, .idle_watts = 4};
  Write("calibration", FormatCalibration(calibration), 0644);
  EXPECT_THAT(error(), HasSubstr("is of the processor 'Another Chip'"));
  calibration.cpu = ProcessorName(SysfsTree("/"));
  Write("calibration", FormatCalibration(calibration), 0644);
  const auto meter = FindMeter(config_, &clock_, trainer->get());
  ASSERT_TRUE(meter.ok()) << meter.status();
  EXPECT_THAT(meter->found, HasSubstr("calibrated by " + config_.calibration));
  EXPECT_THAT(meter->meter->description(), HasSubstr("3 W per busy core (calibrated)"));
}

}  // namespace
}  // namespace fedwatt::client
