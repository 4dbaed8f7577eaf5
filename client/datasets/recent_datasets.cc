#include "client/datasets/recent_datasets.h"

#include <list>
#include <unordered_map>
#include <utility>

#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

struct Kept {
  std::string key;
  std::shared_ptr<const Dataset> dataset;
};

struct Recent {
  DatasetOpener open;
  size_t count;
  std::list<Kept> newest_first;
  std::unordered_map<std::string, std::list<Kept>::iterator> by_key;

  absl::StatusOr<std::shared_ptr<const Dataset>> Get(const DatasetConfig& config) {
    std::string key = config.ToString();
    if (const auto found = by_key.find(key); found != by_key.end()) {
      newest_first.splice(newest_first.begin(), newest_first, found->second);
      return found->second->dataset;
    }
    FW_ASSIGN_OR_RETURN(std::shared_ptr<const Dataset> dataset, open(config));
    newest_first.push_front({key, dataset});
    by_key.emplace(std::move(key), newest_first.begin());
    if (newest_first.size() > count) {
      by_key.erase(newest_first.back().key);
      newest_first.pop_back();
    }
    return dataset;
  }
};

}  // namespace

DatasetOpener KeepRecentDatasets(DatasetOpener open, size_t count) {
  auto recent = std::make_shared<Recent>(Recent{std::move(open), count, {}, {}});
  return [recent](const DatasetConfig& config) { return recent->Get(config); };
}

}  // namespace fedwatt
