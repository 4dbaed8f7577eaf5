#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"

// Which examples are one client's. Every client computes the same partition from the same seed, so
// that nobody has to hand it out.
namespace fedwatt {

// What a partitioner may look at.
struct PartitionInput {
  uint64_t size = 0;
  std::vector<int64_t> labels;      // empty: unlabelled
  std::vector<std::string> owners;  // empty: no natural owners
};

// Reads from `options`:
//   partition  "none" (default), "iid", "dirichlet", "shard", "owner"
//   clients, client   number of clients and this one's index from 0
//   seed       of the partition (default 1)
//   examples   of one client; 0 (default): all that fall to it
//   alpha      dirichlet: concentration; smaller is more skewed (default 0.5)
//   shards     shard: shards of label-sorted examples per client (default 2; McMahan et al. 2017)
//
// "dirichlet" with `examples`: client after client draws label shares from Dirichlet(alpha) and
// takes that many examples, without replacement; a label that has run out gives its share to the
// others. Without: each label's examples are split by shares drawn over the clients (Hsu et al.
// 2019). "owner": client i gets the i-th of the owners sorted by falling number of examples.
//
// Returns the indices of this client's examples. INVALID_ARGUMENT or OUT_OF_RANGE name the option,
// its value and the limit.
absl::StatusOr<std::vector<uint64_t>> PartitionOf(
    const PartitionInput& input, const std::map<std::string, std::string>& options);

}  // namespace fedwatt
