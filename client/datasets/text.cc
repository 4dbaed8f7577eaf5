#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/datasets/formats.h"
#include "client/datasets/options.h"
#include "client/datasets/tensor_dataset.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;
constexpr size_t kMaxSpeakerBytes = 40;
constexpr uint64_t kMaxSequence = 65'536;

int64_t CodeOf(char c) {
  if (c == '\n') return 1;
  return c >= 32 && c < 127 ? 2 + (c - 32) : 0;
}

// What each speaker says, in order of first appearance.
std::vector<std::pair<std::string, std::string>> BySpeaker(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> parts;
  std::map<std::string, size_t> index;
  const auto part_of = [&](const std::string& name) {
    const auto [it, fresh] = index.emplace(name, parts.size());
    if (fresh) parts.emplace_back(name, "");
    return it->second;
  };
  size_t current = part_of("");
  bool after_empty = true;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const bool heading =
        after_empty && line.size() > 1 && line.size() <= kMaxSpeakerBytes && line.back() == ':';
    if (heading) {
      current = part_of(std::string(line.substr(0, line.size() - 1)));
    } else if (!line.empty()) {
      absl::StrAppend(&parts[current].second, line, "\n");
    }
    after_empty = line.empty();
  }
  return parts;
}

void AddSequence(const char* at, uint64_t length, TensorData* data) {
  for (uint64_t i = 0; i < length; ++i) {
    const int64_t code[2] = {CodeOf(at[i]), CodeOf(at[i + 1])};
    const auto* bytes = reinterpret_cast<const uint8_t*>(code);
    data->x.insert(data->x.end(), bytes, bytes + sizeof(int64_t));
    data->y.insert(data->y.end(), bytes + sizeof(int64_t), bytes + 2 * sizeof(int64_t));
  }
  ++data->size;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Dataset>> OpenText(const DatasetConfig& config) {
  FW_RETURN_IF_ERROR(CheckKnownOptions(config.options, "text", {"sequence", "stride"}));
  FW_ASSIGN_OR_RETURN(const uint64_t length, UintOption(config.options, "sequence", 80));
  FW_ASSIGN_OR_RETURN(const uint64_t stride, UintOption(config.options, "stride", length));
  if (length == 0 || length > kMaxSequence || stride == 0) {
    return absl::InvalidArgumentError(absl::StrCat("dataset options sequence = ", length,
                                                   ", stride = ", stride, ": must be 1 to ",
                                                   kMaxSequence));
  }
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(config.path, kMaxTextBytes));
  TensorData data;
  data.x_shape = {static_cast<int64_t>(length)};
  data.y_shape = data.x_shape;
  data.x_dtype = DType::kI64;
  for (const auto& [speaker, said] : BySpeaker(text)) {
    for (uint64_t at = 0; at + length < said.size(); at += stride) {
      AddSequence(said.data() + at, length, &data);
      data.owners.push_back(speaker);
    }
  }
  if (data.size == 0) {
    return absl::OutOfRangeError(absl::StrCat(config.path, ": no speaker says more than ", length,
                                              " characters; lower `sequence`"));
  }
  return TakePartition(std::move(data), config);
}

}  // namespace fedwatt
