#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/manifest.h"

// Local data, by name. Nothing in here leaves the device.
namespace fedwatt {

// One batch: `n` examples, row-major. `y` is int64 for classification and sequences.
struct Batch {
  uint64_t n = 0;
  std::vector<uint8_t> x;
  std::vector<int64_t> x_shape;  // with the batch dimension
  DType x_dtype = DType::kF32;
  std::vector<uint8_t> y;
  std::vector<int64_t> y_shape;
  DType y_dtype = DType::kI64;
};

// A finite set of examples with random access. Immutable after construction: thread-safe.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual uint64_t size() const = 0;
  virtual std::vector<int64_t> input_shape() const = 0;  // of one example
  virtual DType input_dtype() const = 0;
  // Examples at `indices` (< size()), in that order.
  virtual absl::Status Gather(const std::vector<uint64_t>& indices, Batch* out) const = 0;
  // Class of each example where there is one (for label partitioners); else empty.
  virtual std::vector<int64_t> Labels() const { return {}; }
  // Name of each example's natural owner (a speaker, a writer) where there is one; else empty.
  virtual std::vector<std::string> Owners() const { return {}; }
};

// Where data comes from and which part of it is this client's. Written in a client's TOML file or
// on its command line as "name=idx:/dir?split=train&partition=dirichlet&alpha=0.5&...".
struct DatasetConfig {
  std::string name;    // as jobs call it
  std::string format;  // "idx", "csv", "npy", "text"
  std::string path;
  std::map<std::string, std::string> options;

  static absl::StatusOr<DatasetConfig> Parse(const std::string& text);
  std::string ToString() const;
};

// INVALID_ARGUMENT, NOT_FOUND or DATA_LOSS name the file, the value and what is expected.
absl::StatusOr<std::shared_ptr<const Dataset>> OpenDataset(const DatasetConfig& config);

using DatasetOpener =
    std::function<absl::StatusOr<std::shared_ptr<const Dataset>>(const DatasetConfig&)>;

}  // namespace fedwatt
