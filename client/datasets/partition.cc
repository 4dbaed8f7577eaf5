#include "client/datasets/partition.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/datasets/options.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace fedwatt {
namespace {

using Indices = std::vector<uint64_t>;

struct Share {
  uint64_t clients = 1;
  uint64_t client = 0;
  uint64_t seed = 1;
  uint64_t examples = 0;
};

Rng PartitionRng(const Share& share, const std::string& purpose, uint64_t step) {
  return Rng(RngKey{.round = step, .purpose = "partition/" + purpose, .seed = share.seed});
}

Indices AllOf(uint64_t size) {
  Indices all(size);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

absl::Status TooFew(const std::string& kind, const Share& share, uint64_t have) {
  return absl::OutOfRangeError(absl::StrCat("partition ", kind, ": client ", share.client, " of ",
                                            share.clients, " needs ", share.examples,
                                            " examples but only ", have,
                                            " are left for it; lower `examples` or `clients`"));
}

absl::StatusOr<Indices> Iid(const PartitionInput& input, const Share& share) {
  Indices all = AllOf(input.size);
  Rng rng = PartitionRng(share, "iid", 0);
  rng.Shuffle(all);
  const uint64_t begin =
      share.examples ? share.client * share.examples : input.size * share.client / share.clients;
  const uint64_t end =
      share.examples ? begin + share.examples : input.size * (share.client + 1) / share.clients;
  if (end > input.size) return TooFew("iid", share, input.size - std::min(begin, input.size));
  return Indices(all.begin() + begin, all.begin() + end);
}

// Pools of shuffled indices, one per distinct label.
std::vector<Indices> PoolsByLabel(const PartitionInput& input, const Share& share) {
  std::map<int64_t, Indices> by_label;
  for (uint64_t i = 0; i < input.size; ++i) by_label[input.labels[i]].push_back(i);
  std::vector<Indices> pools;
  for (auto& [label, pool] : by_label) pools.push_back(std::move(pool));
  Rng rng = PartitionRng(share, "pools", 0);
  for (Indices& pool : pools) rng.Shuffle(pool);
  return pools;
}

// How many of `want` examples come from each pool: the shares, rounded by largest remainder, what a
// pool lacks going to the others in proportion.
std::vector<uint64_t> TakeByShares(std::vector<double> shares, const std::vector<Indices>& pools,
                                   uint64_t want) {
  std::vector<uint64_t> take(pools.size(), 0);
  while (want > 0) {
    double total = 0;
    for (size_t k = 0; k < pools.size(); ++k) {
      if (take[k] == pools[k].size()) shares[k] = 0;
      total += shares[k];
    }
    if (total <= 0) {  // the drawn labels have run out: all others alike
      for (size_t k = 0; k < pools.size(); ++k) {
        shares[k] = take[k] < pools[k].size() ? 1 : 0;
        total += shares[k];
      }
      if (total <= 0) break;
    }
    uint64_t given = 0;
    size_t largest = 0;
    for (size_t k = 0; k < pools.size(); ++k) {
      if (shares[k] > shares[largest]) largest = k;
      const uint64_t part = static_cast<uint64_t>(std::floor(shares[k] / total * want));
      const uint64_t add = std::min<uint64_t>(part, pools[k].size() - take[k]);
      take[k] += add;
      given += add;
    }
    if (given == 0) {
      ++take[largest];
      given = 1;
    }
    want -= given;
  }
  return take;
}

// The mix of labels of every client, in the order of clients.
std::vector<std::vector<double>> DrawMixes(const Share& share, uint64_t clients,
                                           const std::vector<double>& concentration) {
  std::vector<std::vector<double>> mixes;
  for (uint64_t c = 0; c < clients; ++c) {
    mixes.push_back(PartitionRng(share, "dirichlet", c).Dirichlet(concentration));
  }
  return mixes;
}

// Clients that have most of the same label become neighbours.
void SortByLabel(std::vector<std::vector<double>>* mixes) {
  const auto most = [](const std::vector<double>& mix) {
    return std::max_element(mix.begin(), mix.end()) - mix.begin();
  };
  std::stable_sort(mixes->begin(), mixes->end(),
                   [&](const auto& a, const auto& b) { return most(a) < most(b); });
}

absl::StatusOr<Indices> DirichletFixed(const PartitionInput& input, const Share& share,
                                       double alpha, bool by_label) {
  std::vector<Indices> pools = PoolsByLabel(input, share);
  const std::vector<double> concentration(pools.size(), alpha);
  std::vector<std::vector<double>> mixes =
      DrawMixes(share, by_label ? share.clients : share.client + 1, concentration);
  if (by_label) SortByLabel(&mixes);
  for (uint64_t c = 0; c <= share.client; ++c) {
    const std::vector<uint64_t> take = TakeByShares(mixes[c], pools, share.examples);
    Indices mine;
    for (size_t k = 0; k < pools.size(); ++k) {
      mine.insert(mine.end(), pools[k].end() - take[k], pools[k].end());
      pools[k].resize(pools[k].size() - take[k]);
    }
    if (c < share.client) continue;
    if (mine.size() < share.examples) return TooFew("dirichlet", share, mine.size());
    return mine;
  }
  return absl::InternalError("partition dirichlet: no client");
}

absl::StatusOr<Indices> DirichletAll(const PartitionInput& input, const Share& share,
                                     double alpha) {
  const std::vector<Indices> pools = PoolsByLabel(input, share);
  const std::vector<double> concentration(share.clients, alpha);
  Indices mine;
  for (size_t k = 0; k < pools.size(); ++k) {
    Rng rng = PartitionRng(share, "dirichlet-label", k);
    const std::vector<double> shares = rng.Dirichlet(concentration);
    double before = 0;
    for (uint64_t c = 0; c < share.client; ++c) before += shares[c];
    const auto cut = [&](double at) {
      return std::min<uint64_t>(pools[k].size(), std::llround(at * pools[k].size()));
    };
    const uint64_t begin = cut(before);
    const uint64_t end =
        share.client + 1 == share.clients ? pools[k].size() : cut(before + shares[share.client]);
    mine.insert(mine.end(), pools[k].begin() + begin, pools[k].begin() + end);
  }
  if (mine.empty()) {
    return absl::OutOfRangeError(absl::StrCat("partition dirichlet: client ", share.client, " of ",
                                              share.clients, " gets no example at alpha = ", alpha,
                                              "; raise alpha or set `examples`"));
  }
  return mine;
}

absl::StatusOr<Indices> ByShard(const PartitionInput& input, const Share& share, uint64_t shards) {
  Indices sorted = AllOf(input.size);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](uint64_t a, uint64_t b) { return input.labels[a] < input.labels[b]; });
  const uint64_t all = share.clients * shards;
  if (all > input.size) {
    return absl::OutOfRangeError(absl::StrCat("partition shard: ", share.clients, " clients x ",
                                              shards, " shards exceed ", input.size, " examples"));
  }
  Indices order = AllOf(all);
  Rng rng = PartitionRng(share, "shard", 0);
  rng.Shuffle(order);
  Indices mine;
  for (uint64_t s = share.client * shards; s < (share.client + 1) * shards; ++s) {
    const uint64_t begin = input.size * order[s] / all;
    const uint64_t end = input.size * (order[s] + 1) / all;
    mine.insert(mine.end(), sorted.begin() + begin, sorted.begin() + end);
  }
  return mine;
}

absl::StatusOr<Indices> ByOwner(const PartitionInput& input, const Share& share) {
  std::map<std::string, Indices> by_owner;
  for (uint64_t i = 0; i < input.size; ++i) by_owner[input.owners[i]].push_back(i);
  std::vector<std::pair<std::string, Indices>> owners(by_owner.begin(), by_owner.end());
  std::stable_sort(owners.begin(), owners.end(),
                   [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  if (share.client >= owners.size()) {
    return absl::OutOfRangeError(absl::StrCat("partition owner: client ", share.client,
                                              " but the data has only ", owners.size(),
                                              " owners (0 to ", owners.size() - 1, ")"));
  }
  return owners[share.client].second;
}

absl::StatusOr<Indices> Whole(const PartitionInput& input, const Share& share) {
  Indices all = AllOf(input.size);
  if (share.examples > 0 && share.examples < input.size) {
    Rng rng = PartitionRng(share, "none", 0);
    rng.Shuffle(all);
    all.resize(share.examples);
    std::sort(all.begin(), all.end());
  }
  return all;
}

absl::StatusOr<Indices> Dispatch(const PartitionInput& input, const Share& share,
                                 const DatasetOptions& options) {
  const std::string kind = StringOption(options, "partition", "none");
  if (kind == "none") return Whole(input, share);
  if (kind == "iid") return Iid(input, share);
  if (kind == "owner") {
    if (input.owners.empty()) {
      return absl::InvalidArgumentError(
          "partition = owner: this data names no owners (only `text` with speakers does)");
    }
    return ByOwner(input, share);
  }
  const std::vector<std::string> known = {"none", "iid", "dirichlet", "shard", "owner"};
  if (kind != "dirichlet" && kind != "shard") {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset option partition = '", kind, "'", DidYouMean(kind, known)));
  }
  if (input.labels.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("partition = ", kind, ": this data has no class labels; use iid"));
  }
  if (kind == "shard") {
    FW_ASSIGN_OR_RETURN(const uint64_t shards, UintOption(options, "shards", 2));
    if (shards == 0) return absl::InvalidArgumentError("dataset option shards = 0: at least 1");
    return ByShard(input, share, shards);
  }
  FW_ASSIGN_OR_RETURN(const double alpha, DoubleOption(options, "alpha", 0.5));
  if (alpha <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset option alpha = ", alpha, ": must be above 0"));
  }
  const std::string order = StringOption(options, "order", "drawn");
  if (order != "drawn" && order != "label") {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset option order = '", order, "': expected drawn or label"));
  }
  if (share.examples > 0) return DirichletFixed(input, share, alpha, order == "label");
  if (order == "label") {
    return absl::InvalidArgumentError(
        "dataset option order = 'label': needs `examples`, the number of each client");
  }
  return DirichletAll(input, share, alpha);
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> PartitionOf(const PartitionInput& input,
                                                  const DatasetOptions& options) {
  Share share;
  FW_ASSIGN_OR_RETURN(share.clients, UintOption(options, "clients", 1));
  FW_ASSIGN_OR_RETURN(share.client, UintOption(options, "client", 0));
  FW_ASSIGN_OR_RETURN(share.seed, UintOption(options, "seed", 1));
  FW_ASSIGN_OR_RETURN(share.examples, UintOption(options, "examples", 0));
  constexpr uint64_t kMaxClients = 1'000'000;
  if (share.clients == 0 || share.clients > kMaxClients) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset option clients = ", share.clients, ": must be 1 to ", kMaxClients));
  }
  if (share.client >= share.clients) {
    return absl::OutOfRangeError(absl::StrCat("dataset option client = ", share.client,
                                              ": must be 0 to ", share.clients - 1,
                                              " (clients = ", share.clients, ")"));
  }
  if (input.size == 0) return absl::OutOfRangeError("the data holds no example");
  if (share.examples > input.size) return TooFew("of the data", share, input.size);
  return Dispatch(input, share, options);
}

}  // namespace fedwatt
