#include <filesystem>

#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/revocation_list.h"
#include "common/crypto/x509.h"
#include "common/transport/tls_credentials.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt::cli {
namespace {

using ::testing::HasSubstr;

class CertsTest : public testing::Test {
 protected:
  void SetUp() override {
    clock_.SetMs(1'700'000'000'000);
    context_.clock = &clock_;
    dir_ = temp_.path() + "/certs";
  }
  int Run(const std::function<int()>& command) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = command();
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  int Init() {
    return Run([&] { return InitCerts(context_, {.dir = dir_, .hosts = {"fl.example.org"}}); });
  }
  int Issue(CertsIssueOptions options) {
    options.dir = dir_;
    return Run([&] { return IssueCerts(context_, options); });
  }

  TempDir temp_;
  FakeClock clock_;
  Context context_;
  std::string dir_;
  std::string out_;
  std::string err_;
};

TEST_F(CertsTest, InitMakesWhatACoordinatorAndAnOperatorNeed) {
  ASSERT_EQ(Init(), kOk) << err_;
  for (const std::string name : {"coordinator", "operator"}) {
    const auto identity = LoadTlsIdentity(TlsFiles::In(dir_, name), clock_.NowMs());
    ASSERT_TRUE(identity.ok()) << identity.status();
    EXPECT_EQ(identity->identity.role, name);
  }
  const auto server = LoadTlsIdentity(TlsFiles::In(dir_, "coordinator"), clock_.NowMs());
  EXPECT_THAT(server->certificate.san_dns, testing::Contains("fl.example.org"));
  EXPECT_TRUE(SigningKey::Load(dir_ + "/owner.key").ok());
  EXPECT_EQ(std::filesystem::status(dir_).permissions() & std::filesystem::perms::others_all,
            std::filesystem::perms::none);
}

TEST_F(CertsTest, InitNeverReplacesAnAuthority) {
  ASSERT_EQ(Init(), kOk);
  const auto before = ReadFile(dir_ + "/ca.pem", 65536);
  EXPECT_EQ(Init(), kError);
  EXPECT_THAT(err_, HasSubstr("would cut off every client"));
  EXPECT_EQ(*before, *ReadFile(dir_ + "/ca.pem", 65536));
}

TEST_F(CertsTest, IssueCountsAndRenewsUnderTheSameIdentity) {
  ASSERT_EQ(Init(), kOk);
  ASSERT_EQ(Issue({.dir = "", .id = "phone", .count = 3}), kOk) << err_;
  const auto first = LoadTlsIdentity(TlsFiles::In(dir_, "phone-2"), clock_.NowMs());
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->identity.id, "phone-2");
  EXPECT_EQ(Issue({.dir = "", .id = "phone-2"}), kError);
  EXPECT_THAT(err_, HasSubstr("--replace renews it"));
  ASSERT_EQ(Issue({.dir = "", .id = "phone-2", .replace = true}), kOk) << err_;
  const auto second = LoadTlsIdentity(TlsFiles::In(dir_, "phone-2"), clock_.NowMs());
  EXPECT_EQ(first->identity, second->identity);
  EXPECT_NE(first->certificate.fingerprint, second->certificate.fingerprint);
}

TEST_F(CertsTest, IssueWithoutAnAuthoritySaysHowToMakeOne) {
  EXPECT_EQ(Issue({.dir = "", .id = "x"}), kNotFound);
  EXPECT_THAT(err_, HasSubstr("fedwatt certs init"));
}

TEST_F(CertsTest, RevokeTakesNamesIdentitiesAndFingerprints) {
  ASSERT_EQ(Init(), kOk);
  ASSERT_EQ(Issue({.dir = "", .id = "phone", .count = 2}), kOk);
  const auto other = LoadTlsIdentity(TlsFiles::In(dir_, "phone-1"), clock_.NowMs());
  for (const std::string& what : {std::string("phone-0"), other->certificate.fingerprint}) {
    EXPECT_EQ(Run([&] { return RevokeCert(context_, dir_, what); }), kOk) << err_;
  }
  const auto list = RevocationList::Load(dir_ + "/revoked.txt");
  ASSERT_TRUE(list.ok());
  EXPECT_TRUE(list->Contains(Identity{"client", "phone-0"}));
  EXPECT_TRUE(list->Contains(other->certificate));
  EXPECT_EQ(Run([&] { return RevokeCert(context_, dir_, "who?"); }), kUsage);
}

TEST_F(CertsTest, RevokingWhatTheFolderDoesNotKnowIsDoneAndNoted) {
  ASSERT_EQ(Init(), kOk);
  ASSERT_EQ(Issue({.dir = "", .id = "phone"}), kOk);
  const auto revoke = [&](const std::string& what) {
    return Run([&] { return RevokeCert(context_, dir_, what); });
  };
  EXPECT_EQ(revoke("fedwatt://client/fone"), kOk);
  EXPECT_THAT(err_, HasSubstr("no certificate of fedwatt://client/fone is in " + dir_ +
                              "; check the spelling"));
  EXPECT_TRUE(RevocationList::Load(dir_ + "/revoked.txt")->Contains(Identity{"client", "fone"}));
  EXPECT_EQ(revoke(std::string(64, 'a')), kOk);
  EXPECT_THAT(err_, HasSubstr("check the spelling"));
  const auto phone = LoadTlsIdentity(TlsFiles::In(dir_, "phone"), clock_.NowMs());
  for (const std::string& what : {std::string("phone"), std::string("fedwatt://client/phone"),
                                  phone->certificate.fingerprint}) {
    EXPECT_EQ(revoke(what), kOk);
    EXPECT_EQ(err_, "") << what;
  }
}

TEST_F(CertsTest, IssuingForARevokedIdentityWarnsThatItStaysShutOut) {
  ASSERT_EQ(Init(), kOk);
  ASSERT_EQ(Issue({.dir = "", .id = "phone", .count = 2}), kOk);
  EXPECT_EQ(err_, "");
  ASSERT_EQ(Run([&] { return RevokeCert(context_, dir_, "phone-0"); }), kOk);
  ASSERT_EQ(Issue({.dir = "", .id = "phone-1", .replace = true}), kOk);
  EXPECT_EQ(err_, "") << "phone-1 is not revoked";
  ASSERT_EQ(Issue({.dir = "", .id = "phone-0", .replace = true}), kOk);
  EXPECT_THAT(err_, HasSubstr("fedwatt://client/phone-0 is revoked and stays shut out"));
  EXPECT_THAT(err_, HasSubstr(dir_ + "/revoked.txt"));
}

TEST_F(CertsTest, KeysAreMadeOnceAndShownAfterwards) {
  EXPECT_EQ(Run([&] { return ShowKeys(context_, dir_, "team"); }), kOk) << err_;
  const auto key = PublicKey::Load(dir_ + "/team.pub");
  ASSERT_TRUE(key.ok());
  context_.json = true;
  EXPECT_EQ(Run([&] { return ShowKeys(context_, dir_, "team"); }), kOk);
  EXPECT_THAT(out_, HasSubstr(key->KeyId()));
}

}  // namespace
}  // namespace fedwatt::cli
