#include "client/datasets/partition.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_name.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using Options = std::map<std::string, std::string>;

PartitionInput TenLabels(uint64_t size) {
  PartitionInput input{.size = size, .labels = {}, .owners = {}};
  for (uint64_t i = 0; i < size; ++i) input.labels.push_back(static_cast<int64_t>(i * 7 % 10));
  return input;
}

Options For(const std::string& kind, uint64_t clients, uint64_t client, Options more = {}) {
  more["partition"] = kind;
  more["clients"] = std::to_string(clients);
  more["client"] = std::to_string(client);
  return more;
}

// How far a client's labels are from the whole's, as total variation distance.
double Skew(const PartitionInput& input, const std::vector<uint64_t>& indices) {
  std::vector<double> counts(10, 0);
  for (const uint64_t i : indices) counts[input.labels[i]] += 1.0 / indices.size();
  double distance = 0;
  for (const double share : counts) distance += std::abs(share - 0.1) / 2;
  return distance;
}

class EveryPartition : public testing::TestWithParam<Options> {};

// "examples_200_partition_iid".
std::string NameOf(const Options& options) {
  return TestName(absl::StrJoin(options, "_", absl::PairFormatter("_")));
}

TEST_P(EveryPartition, GivesDisjointPartsThatRepeat) {
  const PartitionInput input = TenLabels(2000);
  std::set<uint64_t> seen;
  for (uint64_t client = 0; client < 6; ++client) {
    Options options = GetParam();
    options["clients"] = "6";
    options["client"] = std::to_string(client);
    const auto mine = PartitionOf(input, options);
    ASSERT_TRUE(mine.ok()) << mine.status();
    EXPECT_EQ(*mine, *PartitionOf(input, options));
    if (options.count("examples")) {
      EXPECT_EQ(mine->size(), 200u);
    }
    for (const uint64_t index : *mine) {
      EXPECT_LT(index, input.size);
      EXPECT_TRUE(seen.insert(index).second) << "example " << index << " given twice";
    }
  }
  if (!GetParam().count("examples")) {
    EXPECT_EQ(seen.size(), input.size) << "every example falls to somebody";
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryPartition,
                         testing::Values(Options{{"partition", "iid"}},
                                         Options{{"partition", "iid"}, {"examples", "200"}},
                                         Options{{"partition", "dirichlet"}},
                                         Options{{"partition", "dirichlet"}, {"examples", "200"}},
                                         Options{{"partition", "shard"}},
                                         Options{{"partition", "shard"}, {"shards", "5"}}),
                         [](const auto& info) { return NameOf(info.param); });

TEST(Partition, SmallerAlphaSkewsMore) {
  const PartitionInput input = TenLabels(20'000);
  const auto mean_skew = [&](const std::string& alpha) {
    double sum = 0;
    for (uint64_t client = 0; client < 20; ++client) {
      sum += Skew(input, *PartitionOf(input, For("dirichlet", 20, client,
                                                 {{"alpha", alpha}, {"examples", "300"}})));
    }
    return sum / 20;
  };
  EXPECT_GT(mean_skew("0.1"), mean_skew("1") + 0.2);
  EXPECT_GT(mean_skew("1"), mean_skew("100") + 0.2);
}

TEST(Partition, AnotherSeedGivesAnotherPartition) {
  const PartitionInput input = TenLabels(2000);
  EXPECT_NE(*PartitionOf(input, For("iid", 4, 0, {{"seed", "1"}})),
            *PartitionOf(input, For("iid", 4, 0, {{"seed", "2"}})));
}

TEST(Partition, ShardsHoldFewLabels) {
  const PartitionInput input = TenLabels(2000);
  std::set<int64_t> labels;
  const auto mine = PartitionOf(input, For("shard", 10, 3));
  for (const uint64_t i : *mine) labels.insert(input.labels[i]);
  EXPECT_LE(labels.size(), 4u);
}

TEST(Partition, OrderedByLabelNeighboursAreAlikeAndTheClientsTheSame) {
  const PartitionInput input = TenLabels(20'000);
  const auto labels = [&](uint64_t client, const std::string& order) {
    std::vector<int> counts(10);
    const Options options =
        For("dirichlet", 50, client, {{"alpha", "0.1"}, {"examples", "100"}, {"order", order}});
    const auto mine = PartitionOf(input, options);
    for (const uint64_t i : *mine) ++counts[input.labels[i]];
    return counts;
  };
  std::multiset<std::vector<int>> drawn;
  std::multiset<std::vector<int>> sorted;
  std::vector<ptrdiff_t> most;
  for (uint64_t client = 0; client < 50; ++client) {
    drawn.insert(labels(client, "drawn"));
    const std::vector<int> counts = labels(client, "label");
    sorted.insert(counts);
    most.push_back(std::max_element(counts.begin(), counts.end()) - counts.begin());
  }
  EXPECT_EQ(drawn, sorted);
  EXPECT_TRUE(std::is_sorted(most.begin(), most.end()));
}

TEST(Partition, DirichletGoesOnWhenALabelHasRunOut) {
  PartitionInput input{.size = 1000, .labels = std::vector<int64_t>(1000, 1), .owners = {}};
  for (int i = 0; i < 10; ++i) input.labels[i] = 0;
  for (uint64_t client = 0; client < 10; ++client) {
    const auto mine =
        PartitionOf(input, For("dirichlet", 10, client, {{"alpha", "0.1"}, {"examples", "100"}}));
    ASSERT_TRUE(mine.ok()) << mine.status();
    EXPECT_EQ(mine->size(), 100u);
  }
}

TEST(Partition, OwnersComeByFallingSize) {
  PartitionInput input{.size = 6, .labels = {}, .owners = {"a", "b", "b", "c", "b", "c"}};
  EXPECT_EQ(*PartitionOf(input, For("owner", 3, 0)), (std::vector<uint64_t>{1, 2, 4}));
  EXPECT_EQ(*PartitionOf(input, For("owner", 3, 2)), (std::vector<uint64_t>{0}));
}

struct Refusal {
  Options options;
  std::string message;
};

class Refused : public testing::TestWithParam<Refusal> {};

TEST_P(Refused, NamesOptionValueAndLimit) {
  const auto result = PartitionOf(TenLabels(100), GetParam().options);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(std::string(result.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    BadOptions, Refused,
    testing::Values(Refusal{For("iid", 4, 4), "client = 4: must be 0 to 3"},
                    Refusal{For("iid", 0, 0), "clients = 0: must be 1 to"},
                    Refusal{For("iid", 2, 1, {{"examples", "60"}}),
                            "needs 60 examples but only 40"},
                    Refusal{For("dirichlet", 2, 0, {{"alpha", "0"}}), "alpha = 0: must be above 0"},
                    Refusal{For("dirichlet", 2, 0, {{"alpha", "much"}}), "alpha = 'much'"},
                    Refusal{For("dirichlet", 2, 0, {{"order", "name"}}), "order = 'name'"},
                    Refusal{For("dirichlet", 2, 0, {{"order", "label"}}), "needs `examples`"},
                    Refusal{For("dirichlet", 2, 1, {{"examples", "60"}}), "only 40 are left"},
                    Refusal{For("shard", 80, 0), "80 clients x 2 shards exceed 100"},
                    Refusal{For("owner", 2, 0), "names no owners"},
                    Refusal{For("dirichlett", 2, 0), "did you mean \"dirichlet\""},
                    Refusal{For("iid", 2, 0, {{"seed", "-1"}}), "seed = '-1'"}),
    [](const auto& info) { return NameOf(info.param.options); });

}  // namespace
}  // namespace fedwatt
