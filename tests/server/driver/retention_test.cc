#include "server/driver/retention.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;

std::vector<uint64_t> Kept(uint64_t versions, const JobSpec::Retention& retention, uint64_t best) {
  std::vector<ModelRef> models;
  for (uint64_t version = 0; version < versions; ++version) {
    models.push_back(ModelRef{.version = version});
  }
  std::vector<uint64_t> kept;
  for (const ModelRef& model : ModelsToKeep(models, retention, best)) kept.push_back(model.version);
  return kept;
}

TEST(Retention, KeepsTheLastTheBestAndMilestones) {
  EXPECT_THAT(Kept(10, {.keep_last = 2}, 4), ElementsAre(4, 8, 9));
  EXPECT_THAT(Kept(10, {.keep_last = 1, .keep_best = false}, 4), ElementsAre(9));
  EXPECT_THAT(Kept(10, {.keep_last = 1, .keep_best = true, .keep_every = 4}, 9),
              ElementsAre(0, 4, 8, 9));
}

TEST(Retention, NeverRemovesTheModelThatTrainingGoesOnFrom) {
  EXPECT_THAT(Kept(5, {.keep_last = 0, .keep_best = false}, 0), ElementsAre(4));
  EXPECT_THAT(Kept(1, {.keep_last = 2}, 0), ElementsAre(0));
  EXPECT_THAT(Kept(0, {}, 0), ElementsAre());
}

}  // namespace
}  // namespace fedwatt
