// What holds for every source. A new line in builtin.def is tested here without an edit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "server/carbon/carbon_source.h"
#include "tests/test_name.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

constexpr int64_t kNow = FakeClock::kDefaultStartMs;

std::string Temp(const std::string& name) { return absl::StrCat(testing::TempDir(), "/", name); }

void Put(const std::string& path, const std::string& text) {
  ASSERT_TRUE(WriteFileAtomic(path, text).ok());
}

std::string Series(const std::string& kind, const std::string& rows) {
  return absl::StrCat("# kind: ", kind, "\ntime,g_per_kwh\n", rows);
}

// A configuration that each source accepts without a network.
CarbonConfig Sound(const std::string& name) {
  CarbonConfig config;
  config.source = name;
  config.region = "DE";
  config.path = Temp("sound.csv");
  config.token_file = Temp("sound.token");
  config.url = "http://127.0.0.1:1";  // nobody listens
  config.timeout_ms = 2000;
  Put(config.path, Series("average lifecycle CO2e location", "2026-01-01T00:00:00Z,300\n"));
  Put(config.token_file, "secret\n");
  return config;
}

class EveryCarbonSource : public testing::TestWithParam<std::string> {};

TEST_P(EveryCarbonSource, KnowsItsKindAndNeverInventsAFigure) {
  const auto source = MakeCarbonSource(Sound(GetParam()));
  ASSERT_TRUE(source.ok()) << source.status();
  const auto kind = (*source)->Kind();
  ASSERT_TRUE(kind.ok()) << kind.status();
  (void)(*source)->Refresh(kNow);
  const auto at = (*source)->At(kNow);
  if (!at.ok()) {
    EXPECT_TRUE(absl::IsUnavailable(at.status())) << at.status();
    EXPECT_FALSE(at.status().message().empty());
    return;
  }
  EXPECT_TRUE(CheckIntensity(at->g_per_kwh, at->kind).ok());
  EXPECT_EQ(at->kind, *kind);
  EXPECT_FALSE(at->source.empty());
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& [name, make] : BuiltinCarbonSources()) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, EveryCarbonSource, testing::ValuesIn(Names()),
                         [](const auto& info) { return TestName(info.param); });

TEST(CarbonSources, AnUnknownNameIsToldTheNearest) {
  const auto source = MakeCarbonSource({.source = "wattime"});
  EXPECT_TRUE(absl::IsNotFound(source.status()));
  EXPECT_THAT(std::string(source.status().message()), HasSubstr("did you mean \"watttime\"?"));
}

}  // namespace
}  // namespace fedwatt
