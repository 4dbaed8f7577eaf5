// Clients with and without LibTorch in one fleet.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PortableFleet : public testing::Test {
 protected:
  void SetUp() override {
    std::string table = "a,b,c,d,e,f,kind\n";
    for (int i = 0; i < 60; ++i) {
      const int kind = i % 3;
      absl::StrAppend(&table, kind == 0 ? 2 : 0, ",", kind == 1 ? 2 : 0, ",", kind == 2 ? 2 : 0,
                      ",", i % 7, ",", i % 5, ",1,", kind, "\n");
    }
    ASSERT_TRUE(WriteFileAtomic(fleet_.File("table.csv"), table).ok());
    ASSERT_TRUE(fleet_.StartCoordinator());
    const std::string data = absl::StrCat("table=csv:", fleet_.File("table.csv"), "?label=kind");
    fleet_.StartClients(0, 2, {.work = {"--trainer", "torch", "--dataset", data}});
    fleet_.StartClients(2, 2, {.work = {"--trainer", "portable", "--dataset", data}});
    ASSERT_TRUE(fleet_.WaitForClients(4));
  }

  // A module of PyTorch's as a bundle that the owner signed; what `import` printed.
  nlohmann::json Import(const std::string& fixture) {
    const Output run =
        RunToEnd({.argv = {BinDir() + "/fedwatt-torch", "import",
                           absl::StrCat(BinDir(), "/tests/graph_fixtures/", fixture, ".pt"), "-o",
                           fleet_.File(fixture + ".fwb"), "--name", fixture, "--input-shape", "6",
                           "--key", fleet_.certs() + "/owner.key", "--json"}},
                 fleet_.scratch());
    EXPECT_EQ(run.code, 0) << run.ToString();
    return run.Json();
  }

  v1::Job RunJob(const std::string& model, uint32_t goal) {
    const std::string job = fleet_.Submit({.name = model,
                                           .bundle = model + ".fwb",
                                           .rounds = 2,
                                           .goal = goal,
                                           .set = {"dataset.name=table", "plan.batch_size=8"}});
    EXPECT_TRUE(fleet_.WaitForEnd(job));
    return fleet_.Job(job);
  }

  Deployment fleet_{4};
};

TEST_F(PortableFleet, TrainsOneModelTogether) {
  const nlohmann::json imported = Import("relu");
  EXPECT_EQ(imported["training_graph"], true);
  const v1::Job job = RunJob("relu", 4);
  EXPECT_EQ(job.state(), v1::JOB_STATE_COMPLETED) << job.reason();
  for (const std::string id : {"client-0", "client-1", "client-2", "client-3"}) {
    EXPECT_THAT(fleet_.Events(id, "trained"), SizeIs(2)) << id;
    EXPECT_THAT(fleet_.Events(id, "failed"), IsEmpty()) << id;
  }
}

TEST_F(PortableFleet, AModelWithoutAGraphGoesToLibTorchAlone) {
  const nlohmann::json imported = Import("dropout");
  EXPECT_EQ(imported["training_graph"], false);
  EXPECT_THAT(imported["why_no_graph"].get<std::string>(), HasSubstr("dropout with p = 0.25"));
  const v1::Job job = RunJob("dropout", 2);
  EXPECT_EQ(job.state(), v1::JOB_STATE_COMPLETED) << job.reason();
  for (const std::string id : {"client-2", "client-3"}) {
    EXPECT_THAT(fleet_.Events(id, "trained"), IsEmpty()) << id;
    EXPECT_TRUE(fleet_.client(id).running()) << id;
  }
}

}  // namespace
}  // namespace fedwatt::e2e
