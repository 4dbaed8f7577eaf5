#include "server/app/coordinator_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/file.h"
#include "server/app/exit_codes.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt::server {
namespace {

using testing::HasSubstr;

TEST(CoordinatorConfig, FlagsWinOverTheFile) {
  TempDir dir;
  const std::string path = dir.File("coordinator.toml");
  ASSERT_TRUE(WriteFileAtomic(path,
                              "listen = \"0.0.0.0:1\"\ntls-dir = \"certs\"\nlong-poll-s = 12.5\n"
                              "inflight-bytes = \"8MiB\"\nlog-json = true\n")
                  .ok());
  const ParsedCommandLine parsed = ParseCommandLine({"--config", path, "--listen", "127.0.0.1:2"});
  ASSERT_FALSE(parsed.exit_code.has_value()) << parsed.text;
  EXPECT_EQ(parsed.config.listen, "127.0.0.1:2");
  EXPECT_EQ(parsed.config.tls_dir, "certs");
  EXPECT_EQ(parsed.config.long_poll_s, 12.5);
  EXPECT_EQ(parsed.config.inflight_bytes, uint64_t{8} << 20);
  EXPECT_TRUE(parsed.config.log_json);
}

TEST(CoordinatorConfig, RegionsOfClientsAreListedOneByOne) {
  const ParsedCommandLine parsed = ParseCommandLine(
      {"--insecure", "--client-region", "FR", "--client-region", "PL", "--surplus-file", "s.csv"});
  ASSERT_FALSE(parsed.exit_code.has_value()) << parsed.text;
  EXPECT_EQ(parsed.config.client_regions, (std::vector<std::string>{"FR", "PL"}));
  EXPECT_EQ(parsed.config.surplus_file, "s.csv");
}

TEST(CoordinatorConfig, AnUnknownKeyOfTheFileIsRefused) {
  TempDir dir;
  const std::string path = dir.File("coordinator.toml");
  ASSERT_TRUE(WriteFileAtomic(path, "tls-dir = \"certs\"\nlisen = \"0.0.0.0:1\"\n").ok());
  const ParsedCommandLine parsed = ParseCommandLine({"--config", path});
  EXPECT_EQ(parsed.exit_code, kUsage);
  EXPECT_THAT(parsed.text, HasSubstr("lisen"));
}

TEST(CoordinatorConfig, AFileThatIsNotThereIsRefused) {
  EXPECT_EQ(ParseCommandLine({"--config", "/nowhere/c.toml", "--insecure"}).exit_code, kUsage);
}

TEST(CoordinatorConfig, SecurityIsAChoiceThatMustBeMade) {
  EXPECT_EQ(ParseCommandLine({}).exit_code, kUsage);
  EXPECT_THAT(ParseCommandLine({}).text, HasSubstr("--tls-dir"));
  EXPECT_EQ(ParseCommandLine({"--insecure", "--tls-dir", "certs"}).exit_code, kUsage);
  EXPECT_FALSE(ParseCommandLine({"--insecure"}).exit_code.has_value());
}

TEST(CoordinatorConfig, AMisspeltFlagNamesTheOneMeant) {
  const ParsedCommandLine parsed = ParseCommandLine({"--insecure", "--lisen", "127.0.0.1:1"});
  EXPECT_EQ(parsed.exit_code, kUsage);
  EXPECT_THAT(parsed.text, HasSubstr("--listen"));
}

TEST(CoordinatorConfig, ValuesOutOfRangeAreRefused) {
  for (const std::string flag : {"--long-poll-s=-1", "--long-poll-s=301", "--threads=-1",
                                 "--inflight-bytes=many", "--log-level=loud"}) {
    const ParsedCommandLine parsed = ParseCommandLine({"--insecure", flag});
    EXPECT_EQ(parsed.exit_code, kUsage) << flag;
    EXPECT_THAT(parsed.text, HasSubstr(flag.substr(0, flag.find('=')))) << flag;
  }
}

TEST(CoordinatorConfig, HelpHasAnExampleAndTheExitCodes) {
  const ParsedCommandLine help = ParseCommandLine({"--help"});
  EXPECT_EQ(help.exit_code, kOk);
  EXPECT_THAT(help.text, testing::AllOf(HasSubstr("Example"), HasSubstr("Exit codes")));
  EXPECT_THAT(ParseCommandLine({"--version"}).text, HasSubstr("fedwatt-coordinator 0."));
}

}  // namespace
}  // namespace fedwatt::server
