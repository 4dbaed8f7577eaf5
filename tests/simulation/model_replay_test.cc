#include "simulation/model_replay.h"

#include <gmock/gmock.h>

#include <cstring>
#include <string>
#include <vector>

#include "server/driver/bundle_blobs.h"
#include "server/store/memory_store.h"
#include "simulation/checker.h"
#include "simulation/simulation.h"
#include "tests/common/base/temp_dir.h"

// A commit whose model is not what its updates give.
namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kParameters = 8;
const RoundKey kKey{.job = "job", .round = 1, .attempt = 1};

class ModelReplayTest : public ::testing::Test {
 protected:
  ModelReplayTest() {
    const std::string path = dir_.File("model.fwb");
    EXPECT_TRUE(WriteSyntheticBundle(path, kParameters).ok());
    blobs_ = *OpenDirBlobStore(dir_.File("blobs"));
    std::string name;
    const Digest bundle = *PutBundle(blobs_.get(), path, &name);
    JobSpec spec;
    spec.name = "job";
    spec.rounds = 1;
    spec.dataset.name = "digits";
    spec.round.goal = 2;
    spec.codec.up = "raw_f32";
    const Digest stripped = FindBundle(blobs_.get(), bundle)->stripped;
    auto setup = MakeJobSetup("job", spec, stripped, blobs_.get(), Plugins::Builtin());
    EXPECT_TRUE(setup.ok()) << setup.status();
    replay_ = *ModelReplay::Create(dir_.File("replay"));
    replay_->Begin(*setup, std::string(kParameters * sizeof(float), '\0'));
  }

  // An update whose coordinates all have that value, accepted as of that assignment.
  void Accept(uint32_t index, float value, uint64_t weight, bool sent = true) {
    const std::vector<float> values(kParameters, value);
    std::string bytes(kParameters * sizeof(float), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    ReportAccepted accepted{.key = kKey, .index = index};
    accepted.report.weight = weight;
    accepted.report.update.sha256 = Sha256Of(AsBytes(bytes));
    accepted.report.update.size = bytes.size();
    if (sent) replay_->Keep(accepted.report.update.sha256, bytes);
    accepted_.push_back(accepted);
  }

  // What the checker says to a commit of a model of that value.
  std::vector<std::string> ViolationsOf(float value) {
    const std::vector<float> values(kParameters, value);
    RoundCommitted commit{.key = kKey};
    commit.summary.reported = static_cast<uint32_t>(accepted_.size());
    commit.model.sha256 =
        Sha256Of({reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)});
    MemoryStore disk{nullptr};
    Checker checker(&disk, std::move(replay_));
    checker.OnDurable({AppendLog{AttemptBegan{.key = kKey}},
                       AppendLog{ClientsAssigned{.key = kKey, .clients = {"a", "b"}}}});
    for (const ReportAccepted& one : accepted_) checker.OnDurable({AppendLog{one}});
    checker.OnDurable({AppendLog{commit}});
    return checker.violations();
  }

  TempDir dir_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<ModelReplay> replay_;
  std::vector<ReportAccepted> accepted_;
};

TEST_F(ModelReplayTest, TheWeightedMeanIsTheModel) {
  Accept(0, 1.0F, 3);
  Accept(1, 0.5F, 1);
  EXPECT_THAT(ViolationsOf(0.875F), IsEmpty());
}

TEST_F(ModelReplayTest, AnotherModelIsAViolation) {
  Accept(0, 1.0F, 3);
  Accept(1, 0.5F, 1);
  EXPECT_THAT(ViolationsOf(0.75F), ElementsAre(HasSubstr("and a replay gives")));
}

TEST_F(ModelReplayTest, AnUpdateThatNobodySentIsAViolation) {
  Accept(0, 1.0F, 3);
  Accept(1, 0.5F, 1, false);
  EXPECT_THAT(ViolationsOf(0.875F), ElementsAre(HasSubstr("an update that nobody sent")));
}

}  // namespace
}  // namespace fedwatt
