#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"

// The formats that OpenDataset knows; each reads `config.path` and its own options.
namespace fedwatt {

// MNIST's format: a folder with {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]. Options: split
// (train | test), mean and std (pixels become (v/255 - mean)/std). x: float32 [1, h, w].
absl::StatusOr<std::shared_ptr<const Dataset>> OpenIdx(const DatasetConfig& config);

// A file with a header row and numbers, comma-separated. Options: label (column name, default the
// last column), task (class | value, default class). x: float32 [columns - 1].
absl::StatusOr<std::shared_ptr<const Dataset>> OpenCsv(const DatasetConfig& config);

// A folder with x.npy and y.npy (format 1.0 to 3.0, C order, little-endian). Options: x, y (other
// file names). Any dtype and shape that a tensor has; int y of one dimension are class labels.
absl::StatusOr<std::shared_ptr<const Dataset>> OpenNpy(const DatasetConfig& config);

// Text as sequences of characters that predict the next one. A line of at most 40 bytes that ends
// with a colon, at the start or after an empty line, names the speaker of the lines below: the
// sequences' owner. Options: sequence (length, default 80), stride (default the length).
// Vocabulary: 0 anything else, 1 newline, 2..96 ASCII 32..126. x and y: int64 [sequence].
absl::StatusOr<std::shared_ptr<const Dataset>> OpenText(const DatasetConfig& config);

inline constexpr int64_t kTextVocabulary = 97;

}  // namespace fedwatt
