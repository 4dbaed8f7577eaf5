#pragma once

#include <map>
#include <string>

#include "client/datasets/dataset.h"

namespace fedwatt {

// Compressed datasets of many virtual devices, inflated once: of a file that is not compressed each
// device's part is read alone, of one that is whoever reads it inflates all that comes before.
//
// Format idx, the one of which files are read in part; others, and what cannot be inflated, stay as
// they are: whoever opens them says why. One thread.
class InflatedDatasets {
 public:
  // Files come into folders below `dir`, which is made when there is one.
  explicit InflatedDatasets(std::string dir) : dir_(std::move(dir)) {}

  // The same dataset.
  DatasetConfig Of(DatasetConfig config);

 private:
  std::string FolderFor(const std::string& path) const;

  const std::string dir_;
  std::map<std::string, std::string> folders_;  // by the datasets' path
};

}  // namespace fedwatt
