// fedwatt-bench itself, on its smallest case: every process really starts, and none is left.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/subprocess.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kLimitMs = 100'000;

struct Outcome {
  int code = -1;
  std::string out;
};

Outcome RunBench(const TempDir& dir, const std::vector<std::string>& args) {
  const char* const bin = std::getenv("FEDWATT_BIN_DIR");
  const std::string out_path = dir.File("out");
  const int out = open(out_path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
  SubprocessOptions options;
  options.argv = {std::string(bin == nullptr ? "." : bin) + "/fedwatt-bench"};
  options.argv.insert(options.argv.end(), args.begin(), args.end());
  options.fds = {{out, 1}, {out, 2}};
  auto process = Subprocess::Spawn(options);
  close(out);
  EXPECT_TRUE(process.ok()) << process.status();
  if (!process.ok()) return {};
  const auto status = process->Wait(kLimitMs);
  EXPECT_TRUE(status.ok()) << status.status();
  return {status.ok() ? status->code : -1, ReadFile(out_path, 1 << 20).value_or("")};
}

TEST(BenchProgram, MeasuresRoundsBesideTheirFloorAndCleansUp) {
  const TempDir dir;
  ASSERT_TRUE(EnsureDir(dir.File("scratch")).ok());
  const Outcome outcome = RunBench(dir, {"rounds", "--only", "100 clients", "--scratch",
                                         dir.File("scratch"), "--json", dir.File("figures.json")});
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  const auto json = nlohmann::json::parse(ReadFile(dir.File("figures.json"), 1 << 20).value());
  int beside_a_floor = 0;
  for (const auto& figure : json.at("figures")) {
    EXPECT_GT(figure.at("value").get<double>(), 0) << figure;
    if (!figure.contains("floor")) continue;
    ++beside_a_floor;
    EXPECT_GT(figure.at("floor").get<double>(), 0) << figure;
    if (figure.at("name") == "bytes up a round") {
      EXPECT_NEAR(figure.at("ratio").get<double>(), 1, 0.05);
    }
  }
  EXPECT_EQ(beside_a_floor, 5);
  EXPECT_THAT(ListDir(dir.File("scratch")).value(), IsEmpty());
}

// Whatever the machine does meanwhile: errors and sizes are no timings.
TEST(BenchProgram, MeasuresCodecsBesideTheoryAndMemory) {
  const TempDir dir;
  const Outcome outcome = RunBench(dir, {"codecs", "--json", dir.File("figures.json")});
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  const auto json = nlohmann::json::parse(ReadFile(dir.File("figures.json"), 1 << 20).value());
  int of_theory = 0;
  int of_speed = 0;
  for (const auto& figure : json.at("figures")) {
    EXPECT_GT(figure.at("value").get<double>(), 0) << figure;
    if (!figure.contains("floor")) continue;
    EXPECT_GT(figure.at("floor").get<double>(), 0) << figure;
    if (figure.at("unit") == "GB/s") {
      ++of_speed;
    } else if (figure.contains("reached")) {
      ++of_theory;
      EXPECT_TRUE(figure.at("reached").get<bool>()) << figure;
    }
  }
  EXPECT_EQ(of_theory, 33 + 9 + 11);  // errors, sizes, means
  EXPECT_EQ(of_speed, 2 + 1 + 2 * 11 + 1 + 3);
}

TEST(BenchProgram, RefusesAnUnknownSection) {
  const TempDir dir;
  const Outcome outcome = RunBench(dir, {"everything"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, HasSubstr("everything"));
  EXPECT_THAT(outcome.out, HasSubstr("memory"));
}

TEST(BenchProgram, SaysWhereItCannotWrite) {
  const TempDir dir;
  const Outcome outcome = RunBench(dir, {"rounds", "--scratch", dir.File("missing")});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("missing"));
}

}  // namespace
}  // namespace fedwatt::bench
