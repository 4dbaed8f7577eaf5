#include "server/driver/plugins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status_macros.h"
#include "common/model/plugin_params.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;
using testing::Key;
using testing::UnorderedElementsAre;

TEST(PluginsTest, KnowsTheBuiltinOnes) {
  const Plugins plugins = Plugins::Builtin();
  EXPECT_THAT(plugins.selectors,
              UnorderedElementsAre(Key("uniform"), Key("round_robin"), Key("battery_filter"),
                                   Key("power_of_choice"), Key("oort"), Key("eafl"), Key("fedzero"),
                                   Key("joule")));
  EXPECT_THAT(plugins.strategies, UnorderedElementsAre(Key("fedavg"), Key("fedprox")));
  EXPECT_THAT(plugins.aggregators, UnorderedElementsAre(Key("mean")));
}

TEST(PluginsTest, AMisspeltNameNamesKeyNearestAndKnownOnes) {
  const absl::Status status = Plugins::Builtin().MakeSelector({"unifrom", {}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(status.message()),
            "selector.name = \"unifrom\": this coordinator has no such selector; did you mean "
            "\"uniform\"? (known: battery_filter, eafl, fedzero, joule, oort, power_of_choice, "
            "round_robin, uniform)");
}

TEST(PluginsTest, AFarFetchedNameNamesTheKnownOnes) {
  const absl::Status status = Plugins::Builtin().MakeStrategy({"shampoo", {}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(status.message()),
            "strategy.name = \"shampoo\": this coordinator has no such strategy (known: fedavg, "
            "fedprox)");
}

TEST(PluginsTest, AnUnknownAggregatorIsNotFound) {
  AggregatorConfig config;
  config.plugin.name = "median";
  const absl::Status status = Plugins::Builtin().MakeAggregator(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("aggregator.name = \"median\""));
}

// What a program that links the coordinator library may add.
class FirstCome final : public Selector {
 public:
  explicit FirstCome(size_t at_most) : at_most_(at_most) {}
  absl::StatusOr<Selection> Select(const SelectionRequest& request, Rng&) override {
    Selection selection;
    while (selection.chosen.size() <
           std::min({size_t{request.count}, at_most_, request.candidates.size()})) {
      selection.chosen.push_back(selection.chosen.size());
    }
    return selection;
  }

 private:
  const size_t at_most_;
};

absl::StatusOr<std::unique_ptr<Selector>> MakeFirstCome(const PluginSpec& spec) {
  const ParamRule rule{"at_most", {}, 1, 1000};
  FW_ASSIGN_OR_RETURN(auto params, ReadParams("selector", spec, {&rule, 1}));
  return std::make_unique<FirstCome>(static_cast<size_t>(params["at_most"]));
}

TEST(PluginsTest, TakesPluginsFromOutOfTree) {
  Plugins plugins = Plugins::Builtin();
  plugins.selectors["first_come"] = MakeFirstCome;
  const auto selector = plugins.MakeSelector({"first_come", {{"at_most", 2}}});
  ASSERT_TRUE(selector.ok()) << selector.status();
  const std::vector<Candidate> candidates(5);
  Rng rng(RngKey{});
  EXPECT_EQ((*selector)->Select({{}, 4, candidates}, rng)->chosen.size(), 2u);
  EXPECT_TRUE((*selector)->LoadState("").ok());
  EXPECT_EQ((*selector)->LoadState("x").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(plugins.MakeSelector({"first_come", {{"at_mots", 2}}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(plugins.MakeSelector({"first_com", {}}).status().message()),
              HasSubstr("did you mean \"first_come\"?"));
}

TEST(PluginsTest, ABuiltinMayBeReplaced) {
  Plugins plugins = Plugins::Builtin();
  plugins.selectors["uniform"] = MakeFirstCome;
  EXPECT_EQ(plugins.MakeSelector({"uniform", {}}).status().code(),
            absl::StatusCode::kInvalidArgument)
      << "the replacement needs at_most";
}

TEST(PluginParamsTest, GivesEveryRuleAValue) {
  const ParamRule rules[] = {{"a", 1.5, 0, 2}, {"b", {}, 0, 2}};
  const auto params = ReadParams("strategy", {"x", {{"b", 2}}}, rules);
  ASSERT_TRUE(params.ok()) << params.status();
  EXPECT_EQ(params->at("a"), 1.5);
  EXPECT_EQ(params->at("b"), 2);
}

}  // namespace
}  // namespace fedwatt
