#include "simulation/compare/cell.h"

#include <gmock/gmock.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"

// What makes two runs the same, and what a run's file says.
namespace fedwatt {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

class CellTest : public ::testing::Test {
 protected:
  CellTest() {
    Write("job.toml", "name = \"j\"\nrounds = 9\n[dataset]\nname = \"d\"\n[round]\ngoal = 4\n");
    Write("matrix.toml", kMatrix);
  }

  static constexpr char kMatrix[] =
      "name = \"m\"\njob = \"job.toml\"\nfleet = \"fleet.toml\"\n"
      "dataset = \"d=none:?part={seed}\"\n"
      "[seeds]\nall = [7, 8]\n[outcome]\ntarget = 0.75\n"
      "[[setting]]\nname = \"a\"\nset = { \"selector.name\" = \"oort\" }\n";
  static constexpr char kFleet[] =
      "[availability]\npattern = \"trace\"\npath = \"trace.csv\"\n[[class]]\nname = \"phone\"\n";
  static constexpr char kMeasures[] =
      R"({"quality":"simulated","limited_by":"no time","violations":[],"trace_sha256":"ab",)"
      R"("measures":[{"name":"reached","unit":"","value":0},)"
      R"({"name":"joules_to_target","unit":"J","value":null,"at_least":12.5}],)"
      R"("series":{"metric":"accuracy","rows":[[1,10.5,3.25,0.5]]}})";

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomic(dir_.File(name), text).ok());
  }

  absl::StatusOr<std::vector<Cell>> TryCells(const std::string& matrix_text = kMatrix) {
    if (!FileExists(dir_.File("fleet.toml"))) Write("fleet.toml", kFleet);
    if (!FileExists(dir_.File("trace.csv"))) Write("trace.csv", "device,begin_s,end_s\n0,0,9\n");
    auto matrix = ParseMatrix(matrix_text, dir_.File("matrix.toml"));
    if (!matrix.ok()) return matrix.status();
    return MakeCells(*matrix, VariantsOf(*matrix, matrix->settings[0])[0], matrix->seeds["all"],
                     "c0de");
  }
  std::vector<Cell> Cells(const std::string& matrix_text = kMatrix) {
    auto cells = TryCells(matrix_text);
    EXPECT_TRUE(cells.ok()) << cells.status();
    return cells.value_or(std::vector<Cell>(2));
  }
  std::string Hash(const std::string& matrix_text = kMatrix) {
    return Cells(matrix_text)[0].setting_hash;
  }

  TempDir dir_;
};

TEST_F(CellTest, OneForEachSeedWithTheSeedInItsJobAndItsDataAskingForIt) {
  const std::vector<Cell> cells = Cells();
  ASSERT_EQ(cells.size(), 2U);
  EXPECT_EQ(cells[1].FileName(), absl::StrCat("a-", cells[0].setting_hash, "-c0de-8.json"));
  EXPECT_THAT(cells[1].arguments,
              IsSupersetOf({"--seed", "8", "seed=8", "selector.name=oort", "d=none:?part={seed}",
                            "--target", "0.75", "--window", "5", "--end-at-target"}));
  EXPECT_THAT(cells[1].arguments, Contains(dir_.File("fleet.toml")));
}

TEST_F(CellTest, WhatDecidesARunIsInItsHash) {
  const std::string hash = Hash();
  EXPECT_EQ(Hash(), hash);
  EXPECT_EQ(hash.size(), 12U);
  EXPECT_NE(Hash(absl::StrCat(kMatrix, "[base]\n\"round.goal\" = 5\n")), hash);
  for (const auto& [from, to] :
       {std::pair("oort", "eafl"), std::pair("0.75", "0.76"), std::pair("?part", "?other")}) {
    EXPECT_NE(Hash(absl::StrReplaceAll(kMatrix, {{from, to}})), hash) << to;
  }
  Write("fleet.toml", std::string(kFleet) + "gflops = 3\n");
  EXPECT_NE(Hash(), hash);
  Write("fleet.toml", kFleet);
  EXPECT_EQ(Hash(), hash);
  Write("trace.csv", "device,begin_s,end_s\n0,0,8\n");
  EXPECT_NE(Hash(), hash);
}

TEST_F(CellTest, AFleetMayBeATableOfClasses) {
  const std::string matrix = absl::StrReplaceAll(kMatrix, {{"fleet.toml", "fleet.csv"}});
  Write("fleet.csv", "name,gflops\nphone,5\n");
  const std::string hash = Hash(matrix);
  Write("fleet.csv", "name,gflops\nphone,6\n");
  EXPECT_NE(Hash(matrix), hash);
}

TEST_F(CellTest, TheJobsMeaningCountsAndNotItsComments) {
  const std::string hash = Hash();
  Write("job.toml",
        "# as before\nname = \"j\"\nrounds = 9\n[round]\ngoal = 4\n[dataset]\nname = \"d\"\n");
  EXPECT_EQ(Hash(), hash);
  Write("job.toml", "name = \"j\"\nrounds = 8\n[dataset]\nname = \"d\"\n[round]\ngoal = 4\n");
  EXPECT_NE(Hash(), hash);
}

TEST_F(CellTest, AJobThatCannotBeIsToldBeforeAnythingRuns) {
  std::string text = kMatrix;
  text.replace(text.find("selector.name"), 13, "selector.nama");
  EXPECT_THAT(std::string(TryCells(text).status().message()), HasSubstr("setting a: "));
  text = kMatrix;
  text.replace(text.find("\"selector.name\" = \"oort\""), 24, "seed = 3");
  EXPECT_THAT(std::string(TryCells(text).status().message()),
              HasSubstr("seed is set; the job's seed is the run's own"));
  Write("fleet.toml", "[[class]]\nname = \"phone\"\ngflops = -1\n");
  EXPECT_THAT(std::string(TryCells().status().message()), HasSubstr("gflops"));
}

TEST_F(CellTest, WhatIsWrittenIsWhatIsRead) {
  const Cell cell = Cells()[0];
  Write(cell.FileName(), CellText(cell, kMeasures, 1.5));
  const auto result = ReadCell(dir_.path(), cell);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->limited_by, "no time");
  EXPECT_EQ(result->wall_s, 1.5);
  ASSERT_NE(result->Find("joules_to_target"), nullptr);
  EXPECT_FALSE(result->Find("joules_to_target")->value.has_value());
  EXPECT_EQ(result->Find("joules_to_target")->at_least, 12.5);
  EXPECT_EQ(result->Find("speed"), nullptr);
  ASSERT_EQ(result->rounds.size(), 1U);
  EXPECT_EQ(result->rounds[0].joules, 3.25);
  EXPECT_EQ(result->rounds[0].metric, 0.5);
}

TEST_F(CellTest, AFileThatIsMissingDamagedOrAnothersIsNoRun) {
  const Cell cell = Cells()[0];
  const std::string path = dir_.File(cell.FileName());
  EXPECT_EQ(ReadCell(dir_.path(), cell).status().code(), absl::StatusCode::kNotFound);
  for (const std::string text : {"", "{", "[]", "{}", R"({"code":1})"}) {
    Write(cell.FileName(), text);
    EXPECT_EQ(ReadCell(dir_.path(), cell).status().code(), absl::StatusCode::kDataLoss) << text;
  }
  Write(cell.FileName(), CellText(Cells()[1], kMeasures, 1));
  EXPECT_THAT(std::string(ReadCell(dir_.path(), cell).status().message()),
              HasSubstr("is another run's (seed)"));
  Write(cell.FileName(), CellText(cell, "{\"measures\": 3}", 1));
  EXPECT_EQ(ReadCell(dir_.path(), cell).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace fedwatt
