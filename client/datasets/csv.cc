#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/datasets/formats.h"
#include "client/datasets/options.h"
#include "client/datasets/tensor_dataset.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxCsvBytes = uint64_t{4} << 30;

std::vector<std::string> Cells(absl::string_view line) {
  std::vector<std::string> cells = absl::StrSplit(line, ',');
  for (std::string& cell : cells) cell = std::string(absl::StripAsciiWhitespace(cell));
  return cells;
}

// Without this, the first example of a file without a header would be taken for its names.
absl::Status CheckHeader(const std::string& path, const std::vector<std::string>& header) {
  if (header.size() < 2) {
    return absl::DataLossError(
        absl::StrCat(path, ":1: a header row with at least two column names is expected"));
  }
  const bool all_numbers = std::all_of(header.begin(), header.end(), [](const std::string& cell) {
    double value = 0;
    return absl::SimpleAtod(cell, &value);
  });
  if (!all_numbers) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(path, ":1: all cells are numbers; the first row must name the columns"));
}

absl::StatusOr<size_t> LabelColumn(const std::vector<std::string>& header,
                                   const DatasetConfig& config) {
  const std::string label = StringOption(config.options, "label", header.back());
  const auto at = std::find(header.begin(), header.end(), label);
  if (at != header.end()) return static_cast<size_t>(at - header.begin());
  return absl::InvalidArgumentError(
      absl::StrCat(config.path, ": no column named '", label, "'", DidYouMean(label, header)));
}

class RowReader {
 public:
  RowReader(const std::string& path, size_t columns, size_t label, bool classes, TensorData* data)
      : path_(path), columns_(columns), label_(label), classes_(classes), data_(data) {}

  absl::Status Add(uint64_t line, absl::string_view text) {
    const std::vector<std::string> cells = Cells(text);
    if (cells.size() != columns_) {
      return absl::DataLossError(
          absl::StrCat(path_, ":", line, ": ", cells.size(), " cells; the header has ", columns_));
    }
    for (size_t c = 0; c < columns_; ++c) {
      float value = 0;
      if (!absl::SimpleAtof(cells[c], &value) || !std::isfinite(value)) {
        return absl::DataLossError(absl::StrCat(path_, ":", line, ": cell ", c + 1, " is '",
                                                cells[c], "', not a finite number"));
      }
      FW_RETURN_IF_ERROR(c == label_ ? AddLabel(line, cells[c], value) : Append(&data_->x, value));
    }
    ++data_->size;
    return absl::OkStatus();
  }

 private:
  template <typename T>
  static absl::Status Append(std::vector<uint8_t>* out, T value) {
    const size_t at = out->size();
    out->resize(at + sizeof(value));
    std::memcpy(out->data() + at, &value, sizeof(value));
    return absl::OkStatus();
  }

  absl::Status AddLabel(uint64_t line, const std::string& cell, float value) {
    if (!classes_) return Append(&data_->y, value);
    if (value < 0 || value != std::floor(value)) {
      return absl::DataLossError(absl::StrCat(path_, ":", line, ": label '", cell,
                                              "' is no class number; classes are 0, 1, 2, ... "
                                              "(task=value reads real targets)"));
    }
    return Append(&data_->y, static_cast<int64_t>(value));
  }

  const std::string& path_;
  const size_t columns_;
  const size_t label_;
  const bool classes_;
  TensorData* const data_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Dataset>> OpenCsv(const DatasetConfig& config) {
  FW_RETURN_IF_ERROR(CheckKnownOptions(config.options, "csv", {"label", "task"}));
  const std::string task = StringOption(config.options, "task", "class");
  if (task != "class" && task != "value") {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset option task = '", task, "': expected class or value"));
  }
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(config.path, kMaxCsvBytes));
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  const std::vector<std::string> header = Cells(lines[0]);
  FW_RETURN_IF_ERROR(CheckHeader(config.path, header));
  FW_ASSIGN_OR_RETURN(const size_t label, LabelColumn(header, config));

  TensorData data;
  data.x_shape = {static_cast<int64_t>(header.size() - 1)};
  data.y_is_class = task == "class";
  data.y_dtype = data.y_is_class ? DType::kI64 : DType::kF32;
  if (!data.y_is_class) data.y_shape = {1};
  RowReader reader(config.path, header.size(), label, data.y_is_class, &data);
  for (size_t i = 1; i < lines.size(); ++i) {
    if (absl::StripAsciiWhitespace(lines[i]).empty()) continue;
    FW_RETURN_IF_ERROR(reader.Add(i + 1, lines[i]));
  }
  return TakePartition(std::move(data), config);
}

}  // namespace fedwatt
