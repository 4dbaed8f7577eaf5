// Models that come as steps from one that the client holds.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/codec/model_step.h"
#include "gmock/gmock.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kElements = 100'000;
constexpr char kId[] = "job/r1/a1/0";
constexpr char kNext[] = "job/r2/a1/0";

class SessionStepsTest : public SessionTest {
 protected:
  // Versions of a model as a coordinator makes them, and the payloads between them.
  struct Version {
    std::string flat;
    std::string whole;  // payload
    std::string step;   // payload from the version before; empty of the first
    Digest sha256{};
  };

  void SetUp() override {
    SessionTest::SetUp();
    std::vector<float> values(kElements);
    for (size_t i = 0; i < kElements; ++i) values[i] = std::sin(static_cast<float>(i));
    std::vector<float> steps = *LatticeSteps(values, 8);
    RoundToLattice(steps, values);
    const auto whole = EncodeWholeModel(manifest_, layout_, Bytes(values), steps);
    ASSERT_TRUE(whole.ok()) << whole.status();
    versions_.push_back({std::string(AsText(Bytes(values))), *whole, "", {}});
    for (int i = 0; i < 3; ++i) AddVersion();
    for (Version& version : versions_) version.sha256 = Sha256Of(AsBytes(version.flat));
  }

  static ByteSpan Bytes(const std::vector<float>& values) {
    return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)};
  }

  void AddVersion() {
    const Version& before = versions_.back();
    std::vector<float> delta(kElements);
    std::vector<float> target(kElements);
    std::memcpy(target.data(), before.flat.data(), before.flat.size());
    for (size_t i = 0; i < kElements; ++i) {
      delta[i] = 0.1F * std::cos(static_cast<float>(i * versions_.size()));
      target[i] += delta[i];
    }
    const std::vector<float> steps = *LatticeSteps(target, 8);
    Version next;
    const auto step = EncodeModelStep(**MakeCodec("raw_f32"), {}, layout_, delta, steps, {});
    ASSERT_TRUE(step.ok()) << step.status();
    next.step = *step;
    auto builder = ModelBuilder::Create(&manifest_, &layout_);
    ASSERT_TRUE(builder.ok());
    ASSERT_TRUE(builder->StartFrom(AsBytes(before.flat)).ok());
    const absl::Status applied = builder->Apply(AsBytes(next.step));
    ASSERT_TRUE(applied.ok()) << applied;
    next.flat = AsText(builder->model());
    std::vector<float> rounded(kElements);
    std::memcpy(rounded.data(), next.flat.data(), next.flat.size());
    const auto whole = EncodeWholeModel(manifest_, layout_, Bytes(rounded), steps);
    ASSERT_TRUE(whole.ok()) << whole.status();
    next.whole = *whole;
    versions_.push_back(next);
  }

  // To train version `v`, which the coordinator has flat, too.
  Assignment Of(const std::string& id, size_t v) {
    Assignment assignment = MakeAssignment(id, kElements);
    assignment.model = Describe(versions_[v].flat);
    assignment.base.sha256 = assignment.model.sha256;
    return assignment;
  }
  // By steps from version `from`, each payload by its hash alone.
  Assignment BySteps(const std::string& id, size_t from, size_t to) {
    Assignment assignment = Of(id, to);
    for (size_t v = from + 1; v <= to; ++v) {
      assignment.model_steps.push_back(
          {Describe(versions_[v].step), versions_[v - 1].sha256, versions_[v].sha256});
    }
    return assignment;
  }
  Assignment ByWhole(const std::string& id, size_t v) {
    Assignment assignment = Of(id, v);
    assignment.model_steps.push_back({Describe(versions_[v].whole), {}, versions_[v].sha256});
    return assignment;
  }
  Assignment WithInlineSteps(Assignment assignment) {
    for (ModelStep& step : assignment.model_steps) {
      step.payload.inline_data = coordinator_.blobs[step.payload.sha256];
      coordinator_.blobs.erase(step.payload.sha256);
    }
    return assignment;
  }

  // The client holds version 0.
  void StartWithBase() {
    coordinator_.Give(Of(kId, 0));
    Start();
    ASSERT_THAT(coordinator_.reports, SizeIs(1));
    bytes_before_ = coordinator_.bytes_down;
  }
  void GiveNow(const Assignment& assignment) {
    coordinator_.Give(assignment);
    coordinator_.AnswerHeld();
    executor_.RunReady();
    Advance(5000);
  }
  // The last report is of a training of version `v`.
  void ExpectTrained(const std::string& id, size_t v) {
    ASSERT_FALSE(coordinator_.reports.empty());
    EXPECT_EQ(LastReport().assignment_id, id);
    EXPECT_EQ(LastReport().status, ReportStatus::kOk) << LastReport().error;
    EXPECT_EQ(LastReport().base_sha256, versions_[v].sha256);
    ASSERT_FALSE(trainer_.runs.empty());
    EXPECT_TRUE(*ReadFile(trainer_.runs.back().model_path, 1 << 24) == versions_[v].flat);
    EXPECT_THAT(*ListDir(options_.state_dir + "/part"), IsEmpty());
  }
  uint64_t BytesDown() const { return coordinator_.bytes_down - bytes_before_; }
  std::string CachePath(size_t v) const {
    return absl::StrCat(options_.state_dir, "/cache/", DigestHex(versions_[v].sha256));
  }
  const std::vector<Digest>& Told() { return coordinator_.check_ins.back().models; }

  const Manifest manifest_ = *Manifest::Create({{"w", DType::kF32, {kElements}}});
  const UpdateLayout layout_ = *MakeUpdateLayout(manifest_, {}, BufferMode::kAverage);
  std::vector<Version> versions_;
  uint64_t bytes_before_ = 0;
};

TEST_F(SessionStepsTest, OneStepIsDownloadedInsteadOfTheModel) {
  StartWithBase();
  GiveNow(BySteps(kNext, 0, 1));
  ExpectTrained(kNext, 1);
  EXPECT_EQ(BytesDown(), versions_[1].step.size());
  EXPECT_EQ(LastReport().metrics.bytes_down, versions_[1].step.size());
  EXPECT_EQ(meter_.open, 0);
  EXPECT_THAT(transcript_.Line("assembled"),
              HasSubstr(absl::StrCat("assembled ", kNext, ": step from ",
                                     DigestHex(versions_[0].sha256).substr(0, 8), ": ")));
  EXPECT_THAT(transcript_.Line("assembled"), HasSubstr(" instead of 400.0 kB"));
  EXPECT_TRUE(transcript_.Has(": step 1 of 1 to the model"));
  EXPECT_THAT(Told(), ElementsAre(versions_[1].sha256, versions_[0].sha256));
}

TEST_F(SessionStepsTest, AnInlineStepNeedsNoDownload) {
  StartWithBase();
  GiveNow(WithInlineSteps(BySteps(kNext, 0, 1)));
  ExpectTrained(kNext, 1);
  EXPECT_EQ(BytesDown(), 0);
  EXPECT_EQ(LastReport().metrics.bytes_down, versions_[1].step.size());
}

TEST_F(SessionStepsTest, AChainOfStepsLeadsToTheSameModel) {
  StartWithBase();
  GiveNow(BySteps(kNext, 0, 3));
  ExpectTrained(kNext, 3);
  EXPECT_THAT(transcript_.Line("assembled"), HasSubstr(": 3 steps from "));
  EXPECT_EQ(BytesDown(),
            versions_[1].step.size() + versions_[2].step.size() + versions_[3].step.size());
}

TEST_F(SessionStepsTest, AWholeCodedModelNeedsNoBase) {
  coordinator_.Give(ByWhole(kId, 2));
  Start();
  ExpectTrained(kId, 2);
  EXPECT_THAT(transcript_.Line("assembled"), HasSubstr(": coded model: "));
}

TEST_F(SessionStepsTest, AWholeModelMayBeFollowedBySteps) {
  Assignment assignment = BySteps(kId, 1, 3);
  assignment.model_steps.insert(assignment.model_steps.begin(),
                                {Describe(versions_[1].whole), {}, versions_[1].sha256});
  coordinator_.Give(assignment);
  Start();
  ExpectTrained(kId, 3);
  EXPECT_THAT(transcript_.Line("assembled"), HasSubstr(": coded model and 2 steps: "));
}

TEST_F(SessionStepsTest, DecodingIsADownloadsEnergyAndTime) {
  StartWithBase();
  GiveNow(BySteps(kNext, 0, 1));
  for (const EnergySample& sample : LastReport().energy) {
    if (sample.phase != Phase::kDownload) continue;
    // Two windows of 1000 uJ and 10 us: the transfer and the decoding.
    EXPECT_EQ(*sample.energy_uj, 2000 + 2 * static_cast<int64_t>(versions_[1].step.size()));
    EXPECT_EQ(sample.bytes, versions_[1].step.size());
  }
  EXPECT_DOUBLE_EQ(LastReport().metrics.seconds_by_phase.at("download"), 20e-6);
}

TEST_F(SessionStepsTest, ACutStepGoesOn) {
  StartWithBase();
  coordinator_.cut_download_at = 1000;
  GiveNow(BySteps(kNext, 0, 2));
  ExpectTrained(kNext, 2);
  const uint64_t bytes = versions_[1].step.size() + versions_[2].step.size();
  EXPECT_EQ(BytesDown(), bytes);
  EXPECT_EQ(LastReport().metrics.bytes_down, bytes);
}

TEST_F(SessionStepsTest, AKillInTheMiddleOfTheSecondStepIsResumedAndCounted) {
  StartWithBase();
  const Assignment assignment = BySteps(kNext, 0, 2);
  coordinator_.Give(assignment);
  int downloads = 0;
  // The first step arrives, the second stalls.
  transcript_.lines.clear();
  coordinator_.transfer_ms = 10;
  coordinator_.AnswerHeld();
  executor_.RunReady();
  coordinator_.stall_downloads_at = 700;
  Advance(10);
  for (const std::string& line : transcript_.lines) downloads += line.starts_with("downloading");
  ASSERT_EQ(downloads, 2);
  Restart();
  Advance(5000);
  ExpectTrained(kNext, 2);
  EXPECT_TRUE(transcript_.Has("from 700 of "));
  EXPECT_EQ(LastReport().metrics.bytes_down, versions_[1].step.size() + versions_[2].step.size());
}

TEST_F(SessionStepsTest, KilledAtAnyWriteTheModelIsTheSame) {
  StartWithBase();
  Kill();
  namespace fs = std::filesystem;
  const std::string start = dir_ + "/start";
  fs::copy(options_.state_dir, start, fs::copy_options::recursive);
  std::vector<std::string> snapshots;
  SetWriteFaultForTest([&](const std::string& path, uint64_t) {
    if (path.find(options_.state_dir) != 0) return 0;
    const std::string to = absl::StrCat(dir_, "/snapshot", snapshots.size());
    fs::copy(options_.state_dir, to, fs::copy_options::recursive);
    snapshots.push_back(to);
    return 0;
  });
  const Assignment assignment = BySteps(kNext, 0, 2);
  Start();
  GiveNow(assignment);
  SetWriteFaultForTest(nullptr);
  ExpectTrained(kNext, 2);
  Kill();
  ASSERT_GE(snapshots.size(), 8);
  for (const std::string& snapshot : snapshots) {
    SCOPED_TRACE(snapshot);
    fs::remove_all(options_.state_dir);
    fs::copy(snapshot, options_.state_dir, fs::copy_options::recursive);
    coordinator_.reports.clear();
    coordinator_.answers.clear();
    coordinator_.updates.clear();
    trainer_.runs.clear();
    Start();
    const std::vector<Holding>& holding = coordinator_.check_ins.back().holding;
    const bool known = std::any_of(holding.begin(), holding.end(),
                                   [](const Holding& held) { return held.assignment_id == kNext; });
    Advance(5000);
    if (!known && coordinator_.reports.empty()) GiveNow(assignment);
    if (!trainer_.runs.empty()) {
      EXPECT_TRUE(*ReadFile(trainer_.runs.back().model_path, 1 << 24) == versions_[2].flat);
    }
    if (!coordinator_.reports.empty()) {
      EXPECT_EQ(LastReport().status, ReportStatus::kOk) << LastReport().error;
    }
    EXPECT_TRUE(*ReadFile(CachePath(2), 1 << 24) == versions_[2].flat);
    Kill();
  }
}

// ---- what can be wrong costs bytes, never the assignment

TEST_F(SessionStepsTest, WithoutTheBaseTheModelIsDownloadedAsItIs) {
  coordinator_.Give(BySteps(kId, 0, 1));
  Start();
  ExpectTrained(kId, 1);
  EXPECT_THAT(transcript_.Line("problem"),
              HasSubstr(absl::StrCat("cannot use the steps to the model of ", kId,
                                     ": NOT_FOUND: the model ", DigestHex(versions_[0].sha256))));
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("; downloading all 400.0 kB"));
  EXPECT_FALSE(transcript_.Has("step 1 of 1"));  // not one byte of it
  EXPECT_EQ(Told()[0], versions_[1].sha256);
}

TEST_F(SessionStepsTest, ADamagedBaseIsForgotten) {
  StartWithBase();
  std::string wrong = versions_[0].flat;
  wrong[7] ^= 0x40;  // of an exponent
  ASSERT_TRUE(WriteFileAtomic(CachePath(0), wrong).ok());
  GiveNow(BySteps(kNext, 0, 1));
  ExpectTrained(kNext, 1);
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("it was altered or damaged"));
  EXPECT_FALSE(FileExists(CachePath(0)));
  EXPECT_THAT(Told(), ElementsAre(versions_[1].sha256));
}

TEST_F(SessionStepsTest, ATruncatedBaseIsForgotten) {
  StartWithBase();
  const std::string& flat = versions_[0].flat;
  ASSERT_TRUE(WriteFileAtomic(CachePath(0), flat.substr(0, flat.size() - 4)).ok());
  GiveNow(BySteps(kNext, 0, 1));
  ExpectTrained(kNext, 1);
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("it was altered or damaged"));
  EXPECT_FALSE(FileExists(CachePath(0)));
}

TEST_F(SessionStepsTest, ADamagedPayloadIsNotApplied) {
  StartWithBase();
  Assignment assignment = WithInlineSteps(BySteps(kNext, 0, 1));
  assignment.model_steps[0].payload.inline_data[100] ^= 1;
  GiveNow(assignment);
  ExpectTrained(kNext, 1);
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("DATA_LOSS: step 1 of 1 has SHA-256 "));
  EXPECT_TRUE(FileExists(CachePath(0)));
}

TEST_F(SessionStepsTest, APayloadThatIsNoneIsRefused) {
  StartWithBase();
  Assignment assignment = Of(kNext, 1);
  for (const std::string& strange : {std::string("x"), std::string(5000, '\xff')}) {
    assignment.model_steps = {{Describe(strange), versions_[0].sha256, versions_[1].sha256}};
    assignment.id = absl::StrCat("job/r2/a1/", strange.size());
    GiveNow(assignment);
    ExpectTrained(assignment.id, 1);
    ASSERT_TRUE(RemoveIfExists(CachePath(1)).ok());
  }
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("INVALID_ARGUMENT: step 1 of 1: "));
}

TEST_F(SessionStepsTest, AResultOfAnotherHashIsThrownAway) {
  StartWithBase();
  Assignment assignment = BySteps(kNext, 0, 1);
  assignment.model_steps[0].payload = Describe(versions_[2].step);
  GiveNow(assignment);
  ExpectTrained(kNext, 1);
  EXPECT_THAT(transcript_.Line("problem"),
              HasSubstr("FAILED_PRECONDITION: they lead to the model "));
}

TEST_F(SessionStepsTest, StepsThatDoNotConnectAreNotTried) {
  StartWithBase();
  Assignment gap = BySteps(kNext, 0, 3);
  gap.model_steps.erase(gap.model_steps.begin() + 1);
  GiveNow(gap);
  ExpectTrained(kNext, 3);
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("INVALID_ARGUMENT: step 2 starts from "));
  Assignment elsewhere = BySteps("job/r3/a1/0", 0, 1);
  elsewhere.model = Describe(versions_[2].flat);
  elsewhere.base.sha256 = elsewhere.model.sha256;
  GiveNow(elsewhere);
  ExpectTrained("job/r3/a1/0", 2);
}

TEST_F(SessionStepsTest, APayloadThatTheCoordinatorNoLongerHasIsDoneWithout) {
  StartWithBase();
  const Assignment assignment = BySteps(kNext, 0, 2);
  coordinator_.blobs.erase(assignment.model_steps[1].payload.sha256);
  GiveNow(assignment);
  ExpectTrained(kNext, 2);
  EXPECT_THAT(transcript_.Line("problem"),
              HasSubstr("NOT_FOUND: downloading the step 2 of 2 to the model"));
  EXPECT_EQ(LastReport().metrics.bytes_down, versions_[1].step.size() + versions_[2].flat.size());
}

TEST_F(SessionStepsTest, AFullDiskWhileTheModelIsWrittenDoesNotFailTheAssignment) {
  StartWithBase();
  SetWriteFaultForTest(
      [](const std::string& path, uint64_t) { return path.ends_with(".part.new") ? ENOSPC : 0; });
  GiveNow(BySteps(kNext, 0, 1));
  SetWriteFaultForTest(nullptr);
  EXPECT_EQ(LastReport().assignment_id, kNext);
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("RESOURCE_EXHAUSTED"));
}

// ---- which models a check-in names

TEST_F(SessionStepsTest, HeldModelsAreToldAlsoAfterARestart) {
  Start();
  EXPECT_THAT(Told(), IsEmpty());
  coordinator_.Give(Of(kId, 0));
  Restart();
  EXPECT_THAT(Told(), ElementsAre(versions_[0].sha256));  // not the bundle
  GiveNow(Of(kNext, 1));
  EXPECT_THAT(Told(), ElementsAre(versions_[1].sha256, versions_[0].sha256));
  Restart();
  EXPECT_THAT(Told(), ElementsAre(versions_[1].sha256, versions_[0].sha256));
}

TEST_F(SessionStepsTest, AnEvictedModelIsNoLongerTold) {
  options_.cache_limit_bytes = 1'000'000;  // two models and their bundle
  StartWithBase();
  for (size_t v = 1; v <= 3; ++v) {
    Advance(1000);
    GiveNow(Of(absl::StrCat("job/r", v + 1, "/a1/0"), v));
  }
  EXPECT_THAT(Told(), ElementsAre(versions_[3].sha256, versions_[2].sha256));
}

TEST_F(SessionStepsTest, TheBaseIsNotEvictedToMakeRoomForItsStep) {
  options_.cache_limit_bytes = 500'000;
  StartWithBase();
  GiveNow(BySteps(kNext, 0, 1));
  ExpectTrained(kNext, 1);
  EXPECT_TRUE(transcript_.Has("assembled"));
}

TEST_F(SessionStepsTest, AnInlineModelIsHeldOnlyIfItCameWithSteps) {
  Assignment plain = Of(kId, 0);
  plain.model.inline_data = versions_[0].flat;
  coordinator_.Give(plain);
  Start();
  EXPECT_THAT(Told(), IsEmpty());
  Assignment followed = ByWhole(kNext, 0);
  followed.model.inline_data = versions_[0].flat;
  GiveNow(followed);
  ExpectTrained(kNext, 0);
  EXPECT_THAT(Told(), ElementsAre(versions_[0].sha256));
}

TEST_F(SessionStepsTest, AModelThatIsHereAlreadyNeedsNoSteps) {
  StartWithBase();
  GiveNow(BySteps(kNext, 0, 1));
  const uint64_t bytes = coordinator_.bytes_down;
  GiveNow(BySteps("job/r3/a1/0", 0, 1));
  ExpectTrained("job/r3/a1/0", 1);
  EXPECT_EQ(coordinator_.bytes_down, bytes);
}

}  // namespace
}  // namespace fedwatt
