#include "client/app/client_config.h"

#include <filesystem>

#include "client/app/exit_codes.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::string> kLeast = {"--tls-dir", "certs",     "--trusted-key",
                                         "owner.pub", "--dataset", "d=idx:/d"};

std::vector<std::string> With(std::vector<std::string> more) {
  std::vector<std::string> args = kLeast;
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

void ExpectUsageError(const std::vector<std::string>& args, const std::string& text) {
  const ParsedCommandLine parsed = ParseCommandLine(args);
  EXPECT_EQ(parsed.exit_code, kUsage);
  EXPECT_THAT(parsed.text, HasSubstr(text));
}

TEST(ClientConfigTest, TheLeastThatIsNeededIsEnough) {
  const ParsedCommandLine parsed = ParseCommandLine(kLeast);
  ASSERT_FALSE(parsed.exit_code.has_value()) << parsed.text;
  EXPECT_EQ(parsed.config.server, "localhost:7443");
  EXPECT_EQ(parsed.config.trainer, "auto");
  EXPECT_EQ(parsed.config.meter, "auto");
  EXPECT_EQ(parsed.config.once, 0);
  EXPECT_FALSE(parsed.config.no_sync);
}

TEST(ClientConfigTest, EveryFlagArrives) {
  const ParsedCommandLine parsed = ParseCommandLine(With({"--server",
                                                          "h:1",
                                                          "--as",
                                                          "c7",
                                                          "--dataset",
                                                          "e=csv:/e",
                                                          "--trusted-key",
                                                          "b.pub",
                                                          "--label",
                                                          "region=north",
                                                          "--label",
                                                          "net=wifi=5",
                                                          "--trainer",
                                                          "echo",
                                                          "--device",
                                                          "cpu",
                                                          "--meter",
                                                          "none",
                                                          "--memory-limit",
                                                          "2GiB",
                                                          "--cache-limit",
                                                          "1MiB",
                                                          "--role",
                                                          "evaluator",
                                                          "--once",
                                                          "3",
                                                          "--exit-when-idle-s",
                                                          "1.5",
                                                          "--no-sync",
                                                          "--log-json",
                                                          "--state-dir",
                                                          "/s",
                                                          "--check",
                                                          "--population",
                                                          "phones"}));
  ASSERT_FALSE(parsed.exit_code.has_value()) << parsed.text;
  const ClientConfig& config = parsed.config;
  EXPECT_EQ(config.server, "h:1");
  EXPECT_EQ(config.tls_name, "c7");
  EXPECT_THAT(config.datasets, ElementsAre("d=idx:/d", "e=csv:/e"));
  EXPECT_THAT(config.trusted_keys, ElementsAre("owner.pub", "b.pub"));
  EXPECT_EQ(config.labels.at("region"), "north");
  EXPECT_EQ(config.labels.at("net"), "wifi=5");
  EXPECT_EQ(config.trainer, "echo");
  EXPECT_EQ(config.memory_limit_bytes, uint64_t{2} << 30);
  EXPECT_EQ(config.cache_limit_bytes, uint64_t{1} << 20);
  EXPECT_EQ(config.role, "evaluator");
  EXPECT_EQ(config.once, 3);
  EXPECT_DOUBLE_EQ(config.exit_when_idle_s, 1.5);
  EXPECT_TRUE(config.no_sync);
  EXPECT_TRUE(config.log_json);
  EXPECT_TRUE(config.check);
  EXPECT_EQ(config.population, "phones");
}

TEST(ClientConfigTest, TheLinkIsMeasuredUnlessItIsStated) {
  EXPECT_FALSE(ParseCommandLine(kLeast).config.link_up_mbps.has_value());
  const ParsedCommandLine parsed =
      ParseCommandLine(With({"--link-up-mbps", "2.5", "--joules-per-mb-up", "0"}));
  ASSERT_FALSE(parsed.exit_code.has_value()) << parsed.text;
  EXPECT_EQ(parsed.config.link_up_mbps, 2.5);
  EXPECT_EQ(parsed.config.joules_per_mb_up, 0.0);
  EXPECT_FALSE(parsed.config.link_down_mbps.has_value());
  EXPECT_FALSE(parsed.config.joules_per_mb_down.has_value());
  ExpectUsageError(With({"--link-down-mbps", "0"}), "--link-down-mbps");
  ExpectUsageError(With({"--joules-per-mb-down", "-1"}), "--joules-per-mb-down");
}

TEST(ClientConfigTest, ConditionsBindOnlyWhereTheyAreStated) {
  const ClientConfig none = ParseCommandLine(kLeast).config;
  EXPECT_FALSE(none.require_charging || none.require_idle || none.allow_metered);
  EXPECT_FALSE(none.min_charge_percent || none.max_temperature_c);
  EXPECT_EQ(none.metered, "auto");
  EXPECT_EQ(none.telemetry_level, 1);
  const ParsedCommandLine parsed = ParseCommandLine(
      With({"--require-charging", "--min-charge", "20", "--max-temperature", "42.5", "--metered",
            "yes", "--allow-metered", "--require-idle", "--telemetry-level", "0",
            "--condition-check-s", "0.5", "--sysfs-root", "/fixture"}));
  ASSERT_FALSE(parsed.exit_code.has_value()) << parsed.text;
  const ClientConfig& config = parsed.config;
  EXPECT_TRUE(config.require_charging && config.require_idle && config.allow_metered);
  EXPECT_EQ(config.min_charge_percent, 20.0);
  EXPECT_EQ(config.max_temperature_c, 42.5);
  EXPECT_EQ(config.metered, "yes");
  EXPECT_EQ(config.telemetry_level, 0);
  EXPECT_EQ(config.condition_check_s, 0.5);
  EXPECT_EQ(config.sysfs_root, "/fixture");
}

TEST(ClientConfigTest, ConditionsThatCannotBeAreRefused) {
  ExpectUsageError(With({"--min-charge", "101"}), "101");
  ExpectUsageError(With({"--min-charge", "-1"}), "-1");
  ExpectUsageError(With({"--max-temperature", "0"}), "--max-temperature");
  ExpectUsageError(With({"--max-temperature", "hot"}), "hot");
  ExpectUsageError(With({"--metered", "perhaps"}), "perhaps");
  ExpectUsageError(With({"--telemetry-level", "4"}), "4");
  ExpectUsageError(With({"--condition-check-s", "0"}), "--condition-check-s");
  ExpectUsageError(With({"--pause-limit-s", "-1"}), "--pause-limit-s");
  ExpectUsageError(With({"--checkpoint-every-s", "-1"}), "--checkpoint-every-s");
  ExpectUsageError(With({"--metered", "no", "--metered-file", "/f"}),
                   "pass only one of --metered and --metered-file");
}

TEST(ClientConfigTest, OnceAloneMeansOne) {
  EXPECT_EQ(ParseCommandLine(With({"--once"})).config.once, 1);
}

TEST(ClientConfigTest, HelpHasAnExampleAndTheExitCodes) {
  const ParsedCommandLine parsed = ParseCommandLine({"--help"});
  EXPECT_EQ(parsed.exit_code, kOk);
  EXPECT_THAT(parsed.text, HasSubstr("Example:"));
  EXPECT_THAT(parsed.text, HasSubstr("Exit codes:"));
  EXPECT_THAT(ParseCommandLine({"--version"}).text, HasSubstr("fedwatt-client "));
}

TEST(ClientConfigTest, WhatIsMissingIsAskedFor) {
  ExpectUsageError({}, "who is this client? pass --tls-dir");
  ExpectUsageError({"--tls-dir", "c"}, "--trusted-key FILE is missing");
  ExpectUsageError({"--tls-dir", "c", "--trusted-key", "k"}, "--dataset is missing");
  ExpectUsageError({"--cert", "c.pem", "--key", "c.key"}, "--cert, --key and --ca go together");
}

TEST(ClientConfigTest, ContradictionsAndWrongValuesAreRefused) {
  ExpectUsageError(With({"--insecure-subject", "x"}), "pass only one of");
  ExpectUsageError(With({"--sever", "x:1"}), "did you mean --server?");
  ExpectUsageError(With({"--trainer", "tensorflow"}), "tensorflow");
  ExpectUsageError(With({"--label", "north"}), "must be key=value");
  ExpectUsageError(With({"--exit-when-idle-s", "-1"}), "-1");
  ExpectUsageError(With({"--memory-limit", "lots"}), "lots");
  ExpectUsageError(With({"--link", "5g"}), "5g");
  ExpectUsageError(With({"--simulated-watts", "-1"}), "-1");
  ExpectUsageError(With({"--watts-per-core", "nonsense"}), "nonsense");
}

class ConfigFileTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  ParsedCommandLine Parse(const std::string& text, std::vector<std::string> more = {}) {
    EXPECT_TRUE(WriteFileAtomic(path_, text).ok());
    more.insert(more.begin(), {"--config", path_});
    return ParseCommandLine(more);
  }
  const std::string path_ = ::testing::TempDir() + "client_config_test.toml";
};

TEST_F(ConfigFileTest, HoldsTheLongNamesAndFlagsWin) {
  const ParsedCommandLine parsed = Parse(
      "server = \"a:1\"\n"
      "tls-dir = \"certs\"\n"
      "trusted-key = [\"k.pub\"]\n"
      "dataset = [\"d=idx:/d?split=train&clients=8\", \"e=csv:/e\"]\n"
      "label = [\"region=north\"]\n"
      "no-sync = true\n"
      "once = 4\n",
      {"--server", "b:2"});
  ASSERT_FALSE(parsed.exit_code.has_value()) << parsed.text;
  EXPECT_EQ(parsed.config.server, "b:2");
  EXPECT_EQ(parsed.config.tls_dir, "certs");
  EXPECT_THAT(parsed.config.datasets, ElementsAre("d=idx:/d?split=train&clients=8", "e=csv:/e"));
  EXPECT_EQ(parsed.config.labels.at("region"), "north");
  EXPECT_TRUE(parsed.config.no_sync);
  EXPECT_EQ(parsed.config.once, 4);
}

TEST_F(ConfigFileTest, AnUnknownKeyIsRefusedByName) {
  const ParsedCommandLine parsed = Parse("sever = \"a:1\"\n");
  EXPECT_EQ(parsed.exit_code, kUsage);
  EXPECT_THAT(parsed.text, HasSubstr("sever"));
}

TEST_F(ConfigFileTest, AMissingFileIsAnError) {
  const ParsedCommandLine parsed = ParseCommandLine({"--config", "/nowhere/client.toml"});
  EXPECT_EQ(parsed.exit_code, kUsage);
  EXPECT_THAT(parsed.text, HasSubstr("/nowhere/client.toml"));
}

TEST(VirtualClientTest, HasNameNumberAndFolderOfItsOwn) {
  const ParsedCommandLine parsed =
      ParseCommandLine({"--tls-dir", "certs", "--as", "phone", "--trusted-key", "owner.pub",
                        "--virtual", "3", "--virtual-first", "10", "--state-dir", "/s", "--dataset",
                        "d=idx:/d?client={i}&clients=20", "--label", "rack={i}"});
  ASSERT_FALSE(parsed.exit_code.has_value()) << parsed.text;
  EXPECT_EQ(parsed.config.virtual_clients, 3u);
  const ClientConfig own = ConfigOfVirtual(parsed.config, parsed.config.virtual_first + 2);
  EXPECT_EQ(own.tls_name, "phone-12");
  EXPECT_EQ(own.state_dir, "/s/12");
  EXPECT_THAT(own.datasets, ElementsAre("d=idx:/d?client=12&clients=20"));
  EXPECT_EQ(own.labels.at("rack"), "12");
}

TEST(VirtualClientTest, WithoutTlsTheSubjectIsNumbered) {
  ClientConfig config;
  config.insecure_subject = "phone";
  EXPECT_EQ(ConfigOfVirtual(config, 7).insecure_subject, "phone-7");
  EXPECT_EQ(ConfigOfVirtual(config, 7).tls_name, "");
}

TEST(VirtualClientTest, NeedsACertificateForEachAndNoMeterOfTheProcess) {
  ExpectUsageError(With({"--virtual", "2", "--meter", "cpu_time"}), "all --virtual clients share");
  ExpectUsageError({"--cert", "c", "--key", "k", "--ca", "a", "--trusted-key", "owner.pub",
                    "--dataset", "d=idx:/d", "--virtual", "2"},
                   "a certificate for each client");
  ExpectUsageError(With({"--virtual", "0"}), "--virtual");
}

}  // namespace
}  // namespace fedwatt::client
