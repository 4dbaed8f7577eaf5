// What a session refuses to run or to send.

#include <limits>

#include "gmock/gmock.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kSmall = 100;
constexpr char kId[] = "job/r1/a1/0";

class SessionTrustTest : public SessionTest {
 protected:
  // The assignment is reported as failed for `reason`, and the session goes on.
  void ExpectFailed(const std::string& reason) {
    ASSERT_THAT(coordinator_.reports, SizeIs(1));
    EXPECT_EQ(LastReport().status, ReportStatus::kFailed);
    EXPECT_THAT(LastReport().error, HasSubstr(reason));
    EXPECT_EQ(LastReport().update.size, 0);
    EXPECT_EQ(LastReport().weight, 0);
    EXPECT_TRUE(coordinator_.holds_check_in());
    EXPECT_THAT(coordinator_.check_ins.back().holding, IsEmpty());
  }
  void GiveNow(Assignment assignment) {
    coordinator_.Give(std::move(assignment));
    coordinator_.AnswerHeld();
    executor_.RunReady();
  }
  // Between two rounds `alter` is called with the bundle's path and other content for it.
  void ExpectNoticed(
      const std::function<void(const std::string& path, const std::string& altered)>& alter) {
    Assignment assignment = MakeAssignment(kId, kSmall);
    coordinator_.Give(assignment);
    Start();
    ASSERT_THAT(trainer_.runs, SizeIs(1));
    const std::string path = trainer_.runs[0].bundle_path;
    const std::string good = *ReadFile(path, 1 << 20);
    std::string altered = good;
    altered.back() ^= 1;
    alter(path, altered);
    assignment.id = "job/r2/a1/0";
    GiveNow(assignment);
    EXPECT_TRUE(transcript_.Has("it was altered or damaged; downloading it again"));
    ASSERT_THAT(trainer_.runs, SizeIs(2));
    EXPECT_EQ(*ReadFile(path, 1 << 20), good);
    EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  }
  void ExpectRefusedUnrun(const std::string& reason) {
    ExpectFailed(reason);
    EXPECT_THAT(trainer_.runs, IsEmpty());
  }
};

TEST_F(SessionTrustTest, AnUnsignedBundleIsNotRun) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall, nullptr, false)));
  Start();
  ExpectRefusedUnrun("PERMISSION_DENIED");
}

TEST_F(SessionTrustTest, ABundleSignedByAStrangerIsNotRunAndTheKeyIsNamed) {
  auto stranger = SigningKey::FromSeed(AsBytes(std::string(32, 's')));
  ASSERT_TRUE(stranger.ok());
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall, &*stranger)));
  Start();
  ExpectRefusedUnrun(stranger->public_key().KeyId());
}

TEST_F(SessionTrustTest, WithoutTrustedKeysNothingIsRun) {
  options_.trusted_keys.clear();
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  Start();
  ExpectRefusedUnrun("PERMISSION_DENIED");
}

TEST_F(SessionTrustTest, AnAlteredArtifactIsNotRun) {
  Assignment assignment = MakeAssignment(kId, kSmall);
  std::string bundle = coordinator_.blobs[assignment.bundle.sha256];
  bundle.back() ^= 1;  // of the artifact; its hash in the signed header no longer fits
  assignment.bundle = Describe(bundle);
  coordinator_.Give(Inline(assignment));
  Start();
  ExpectRefusedUnrun("hash");
}

TEST_F(SessionTrustTest, AnAlteredHeaderIsNotRun) {
  Assignment assignment = MakeAssignment(kId, kSmall);
  std::string bundle = coordinator_.blobs[assignment.bundle.sha256];
  const size_t name = bundle.find("net");
  ASSERT_NE(name, std::string::npos);
  bundle[name] = 'N';
  assignment.bundle = Describe(bundle);
  coordinator_.Give(Inline(assignment));
  Start();
  ExpectRefusedUnrun("PERMISSION_DENIED");
}

TEST_F(SessionTrustTest, ATruncatedBundleIsNotRun) {
  Assignment assignment = MakeAssignment(kId, kSmall);
  const std::string bundle = coordinator_.blobs[assignment.bundle.sha256];
  assignment.bundle = Describe(bundle.substr(0, bundle.size() / 2));
  coordinator_.Give(Inline(assignment));
  Start();
  ExpectRefusedUnrun("runc");
}

TEST_F(SessionTrustTest, ABundleThatRanOnceIsCheckedAgainWhenItIsFetchedAgain) {
  Assignment assignment = MakeAssignment(kId, kSmall);
  coordinator_.Give(assignment);
  Start();
  ASSERT_THAT(trainer_.runs, SizeIs(1));
  ASSERT_TRUE(RemoveIfExists(trainer_.runs[0].bundle_path).ok());
  coordinator_.blobs[assignment.bundle.sha256].back() ^= 1;
  assignment.id = "job/r2/a1/0";
  coordinator_.Give(assignment);
  coordinator_.AnswerHeld();
  executor_.RunReady();
  ASSERT_THAT(coordinator_.reports, SizeIs(2));
  EXPECT_THAT(LastReport().error, HasSubstr("it was altered or damaged"));
  EXPECT_THAT(trainer_.runs, SizeIs(1));
}

TEST_F(SessionTrustTest, ABundleIsReadOnceAndTheTrainerToldWhichWasVerified) {
  const Assignment assignment = MakeAssignment(kId, kSmall);
  coordinator_.Give(assignment);
  Start();
  Assignment next = assignment;
  next.id = "job/r2/a1/0";
  GiveNow(next);
  ASSERT_THAT(trainer_.runs, SizeIs(2));
  EXPECT_EQ(trainer_.runs[0].bundle, trainer_.runs[1].bundle);
  const auto bundle = Bundle::Open(trainer_.runs[1].bundle_path);
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ(trainer_.runs[0].bundle_header_sha256, (*bundle)->header_sha256());
  EXPECT_EQ(trainer_.runs[1].bundle_header_sha256, (*bundle)->header_sha256());
}

TEST_F(SessionTrustTest, ABundleThatIsReplacedOnDiskIsNoticedAndDownloadedAgain) {
  ExpectNoticed([](const std::string& path, const std::string& altered) {
    ASSERT_TRUE(WriteFileAtomic(path, altered).ok());
  });
}

TEST_F(SessionTrustTest, ABundleThatIsWrittenToOnDiskIsNoticedAndDownloadedAgain) {
  ExpectNoticed([](const std::string& path, const std::string& altered) {
    FileWriter file = *FileWriter::Open(path);
    ASSERT_TRUE(file.WriteAt(0, AsBytes(altered)).ok());
  });
}

TEST_F(SessionTrustTest, ASignedBundleInThePlaceOfAnotherIsNoticedToo) {
  const std::string other = coordinator_.blobs[MakeAssignment(kId, 2 * kSmall).bundle.sha256];
  ExpectNoticed([&other](const std::string& path, const std::string&) {
    ASSERT_TRUE(WriteFileAtomic(path, other).ok());
  });
}

TEST_F(SessionTrustTest, AGoodBundleVouchesForNoOther) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  Start();
  ASSERT_THAT(trainer_.runs, SizeIs(1));
  coordinator_.Give(Inline(MakeAssignment("job/r2/a1/0", kSmall, nullptr, false)));
  coordinator_.AnswerHeld();
  executor_.RunReady();
  ASSERT_THAT(coordinator_.reports, SizeIs(2));
  EXPECT_THAT(LastReport().error, HasSubstr("PERMISSION_DENIED"));
  EXPECT_THAT(trainer_.runs, SizeIs(1));
}

TEST_F(SessionTrustTest, AModelWithAnotherHashIsDownloadedOnceMoreThenRefused) {
  const Assignment assignment = MakeAssignment(kId, kSmall);
  coordinator_.blobs[assignment.model.sha256] = std::string(kSmall * 4, 'x');
  coordinator_.Give(assignment);
  Start();
  ExpectRefusedUnrun("DATA_LOSS");
  EXPECT_THAT(LastReport().error, HasSubstr(DigestHex(assignment.model.sha256)));
  EXPECT_EQ(coordinator_.bytes_down, assignment.bundle.size + 2 * kSmall * 4);
}

TEST_F(SessionTrustTest, ABlobOfAnotherSizeIsRefusedAfterFiveTries) {
  const Assignment assignment = MakeAssignment(kId, kSmall);
  coordinator_.blobs[assignment.model.sha256] = std::string(kSmall * 4 + 1, 'x');
  coordinator_.Give(assignment);
  Start();
  Advance(60'000);
  ExpectRefusedUnrun("the coordinator sent 401 bytes as model of 400");
}

TEST_F(SessionTrustTest, AModelThatIsGoneIsAskedAboutThenGivenUp) {
  const Assignment assignment = MakeAssignment(kId, kSmall);
  coordinator_.blobs.erase(assignment.model.sha256);
  coordinator_.Give(assignment);
  Start();
  Advance(60'000);
  ExpectRefusedUnrun("NOT_FOUND: downloading the model: no such blob");
  EXPECT_GE(coordinator_.check_ins.size(), 5);
}

TEST_F(SessionTrustTest, AModelThatIsNotTheManifestsSizeIsRefused) {
  Assignment assignment = MakeAssignment(kId, kSmall);
  assignment.model = Describe(std::string(kSmall * 4 - 4, '\0'));
  coordinator_.Give(Inline(assignment));
  Start();
  ExpectRefusedUnrun("the model has 396 bytes, its bundle's manifest describes 400");
}

TEST_F(SessionTrustTest, APlanForALaterSdkIsRefused) {
  Assignment assignment = Inline(MakeAssignment(kId, kSmall));
  assignment.plan.min_sdk = "99.1";
  coordinator_.Give(assignment);
  Start();
  ExpectRefusedUnrun("the plan needs client SDK 99.1 or later");
}

TEST_F(SessionTrustTest, AnInvalidPlanIsRefused) {
  Assignment assignment = Inline(MakeAssignment(kId, kSmall));
  assignment.plan.batch_size = 0;
  coordinator_.Give(assignment);
  Start();
  ExpectRefusedUnrun("batch_size");
}

TEST_F(SessionTrustTest, AnExpiredPlanIsNotRun) {
  Assignment assignment = MakeAssignment(kId, 200'000);
  assignment.plan.expires_after_ms = 5'000;
  coordinator_.Give(assignment);
  coordinator_.cut_download_at = 1000;
  Start();
  coordinator_.away = true;
  Advance(10'000);
  coordinator_.away = false;
  Advance(30'000);
  EXPECT_THAT(trainer_.runs, IsEmpty());
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
}

TEST_F(SessionTrustTest, AnotherTrainerOrDatasetIsRefused) {
  Assignment assignment = Inline(MakeAssignment(kId, kSmall));
  assignment.trainer = "torch";
  coordinator_.Give(assignment);
  Start();
  ExpectRefusedUnrun("needs the trainer torch, this client has fake");
}

TEST_F(SessionTrustTest, AnUnknownCodecFailsAfterTraining) {
  Assignment assignment = Inline(MakeAssignment(kId, kSmall));
  assignment.codec = "morse";
  coordinator_.Give(assignment);
  Start();
  ExpectFailed("morse");
}

TEST_F(SessionTrustTest, ATrainerErrorIsReported) {
  trainer_.error = absl::InvalidArgumentError("the model wants 784 inputs, the data have 10");
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  Start();
  ExpectFailed("INVALID_ARGUMENT: the model wants 784 inputs");
  EXPECT_THAT(LastReport().energy, ::testing::Not(IsEmpty()));  // it was spent
}

TEST_F(SessionTrustTest, ATrainerThatCancelsByItselfHasFailed) {
  trainer_.error = absl::CancelledError("the worker was told to stop by somebody");
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  Start();
  ExpectFailed("CANCELLED");
}

TEST_F(SessionTrustTest, ANaNDeltaIsCaughtHere) {
  trainer_.bad_value = std::numeric_limits<float>::quiet_NaN();
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  Start();
  ExpectFailed("the delta of w at element 99 is nan");
}

TEST_F(SessionTrustTest, AnInfiniteDeltaIsCaughtHere) {
  trainer_.bad_value = -std::numeric_limits<float>::infinity();
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  Start();
  ExpectFailed("the delta of w at element 99 is -inf; lower the learning rate");
}

TEST_F(SessionTrustTest, ADeltaBeyondTheJobsBoundIsCaughtHere) {
  trainer_.bad_value = 11.0F;
  Assignment assignment = Inline(MakeAssignment(kId, kSmall));
  assignment.max_abs_delta = 10;
  coordinator_.Give(assignment);
  Start();
  ExpectFailed("is 11, beyond the job's bound of 10");
}

TEST_F(SessionTrustTest, AnUpdateBeyondTheUploadLimitIsNotSent) {
  Assignment assignment = Inline(MakeAssignment(kId, kSmall));
  assignment.max_upload_bytes = 399;
  coordinator_.Give(assignment);
  Start();
  ExpectFailed("the encoded update has 400 bytes, the coordinator takes 399");
}

TEST_F(SessionTrustTest, NoExamplesIsAFailureNotAWeightOfZero) {
  trainer_.weight = 0;
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  Start();
  ExpectFailed("the dataset digits gave no examples");
}

TEST_F(SessionTrustTest, ALossThatIsNotFiniteIsLeftOutOfTheReport) {
  trainer_.loss_sum = std::numeric_limits<double>::infinity();
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_FALSE(LastReport().metrics.after.has_value());
  EXPECT_EQ(LastReport().metrics.named.at("dropped_metrics"), 1);
}

}  // namespace
}  // namespace fedwatt
