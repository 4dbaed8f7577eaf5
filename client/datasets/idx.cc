#include <algorithm>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "client/datasets/formats.h"
#include "client/datasets/gzip_file.h"
#include "client/datasets/options.h"
#include "client/datasets/partition.h"
#include "client/datasets/tensor_dataset.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr uint32_t kMaxExamples = 100'000'000;
constexpr uint64_t kMaxExampleBytes = 1 << 24;

uint32_t BigEndian(const uint8_t* bytes) {
  return (uint32_t{bytes[0]} << 24) | (uint32_t{bytes[1]} << 16) | (uint32_t{bytes[2]} << 8) |
         bytes[3];
}

// The idx header: two zero bytes, element type (8: unsigned byte), number of dimensions, then each
// dimension as a big-endian u32.
absl::StatusOr<std::vector<uint32_t>> ReadIdxHeader(GzipFile& file) {
  uint8_t magic[4];
  FW_RETURN_IF_ERROR(file.ReadExactly(magic));
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != 8 || magic[3] == 0 || magic[3] > 4) {
    return absl::DataLossError(
        absl::StrCat(file.path(), ": not an idx file of unsigned bytes (its first four bytes are ",
                     magic[0], " ", magic[1], " ", magic[2], " ", magic[3], ")"));
  }
  std::vector<uint32_t> dims(magic[3]);
  for (uint32_t& dim : dims) {
    uint8_t raw[4];
    FW_RETURN_IF_ERROR(file.ReadExactly(raw));
    dim = BigEndian(raw);
  }
  if (dims[0] > kMaxExamples) {
    return absl::DataLossError(absl::StrCat(file.path(), ": claims ", dims[0],
                                            " examples; at most ", kMaxExamples, " are read"));
  }
  return dims;
}

struct IdxPaths {
  std::string images;
  std::string labels;
};

absl::StatusOr<IdxPaths> PathsOf(const DatasetConfig& config) {
  const std::string split = StringOption(config.options, "split", "train");
  if (split != "train" && split != "test") {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset option split = '", split, "': expected train or test"));
  }
  const std::string stem = split == "train" ? "train" : "t10k";
  return IdxPaths{config.path + "/" + stem + "-images-idx3-ubyte",
                  config.path + "/" + stem + "-labels-idx1-ubyte"};
}

absl::StatusOr<std::vector<int64_t>> ReadLabels(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const auto file, GzipFile::Open(path));
  FW_ASSIGN_OR_RETURN(const std::vector<uint32_t> dims, ReadIdxHeader(*file));
  if (dims.size() != 1) {
    return absl::DataLossError(
        absl::StrCat(file->path(), ": has ", dims.size(), " dimensions; labels have 1"));
  }
  std::vector<uint8_t> raw(dims[0]);
  FW_RETURN_IF_ERROR(file->ReadExactly(raw));
  return std::vector<int64_t>(raw.begin(), raw.end());
}

// Reads only the wanted images, in one pass: a client of 600 examples holds no 60,000.
absl::Status ReadImages(GzipFile& file, uint64_t pixels, const std::vector<uint64_t>& indices,
                        double mean, double std, std::vector<uint8_t>* out) {
  std::vector<uint64_t> order(indices.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](uint64_t a, uint64_t b) { return indices[a] < indices[b]; });
  float value_of[256];
  for (int v = 0; v < 256; ++v) value_of[v] = static_cast<float>((v / 255.0 - mean) / std);

  out->resize(indices.size() * pixels * sizeof(float));
  std::vector<uint8_t> image(pixels);
  uint64_t next = 0;
  for (const uint64_t position : order) {
    FW_RETURN_IF_ERROR(file.Skip((indices[position] - next) * pixels));
    FW_RETURN_IF_ERROR(file.ReadExactly(image));
    next = indices[position] + 1;
    uint8_t* to = out->data() + position * pixels * sizeof(float);
    for (uint64_t i = 0; i < pixels; ++i) {
      std::memcpy(to + i * sizeof(float), &value_of[image[i]], sizeof(float));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Dataset>> OpenIdx(const DatasetConfig& config) {
  FW_RETURN_IF_ERROR(CheckKnownOptions(config.options, "idx", {"split", "mean", "std"}));
  FW_ASSIGN_OR_RETURN(const double mean, DoubleOption(config.options, "mean", 0));
  FW_ASSIGN_OR_RETURN(const double std, DoubleOption(config.options, "std", 1));
  if (std <= 0) return absl::InvalidArgumentError("dataset option std: must be above 0");
  FW_ASSIGN_OR_RETURN(const IdxPaths paths, PathsOf(config));
  FW_ASSIGN_OR_RETURN(const std::vector<int64_t> labels, ReadLabels(paths.labels));
  FW_ASSIGN_OR_RETURN(const auto images, GzipFile::Open(paths.images));
  FW_ASSIGN_OR_RETURN(const std::vector<uint32_t> dims, ReadIdxHeader(*images));
  if (dims.size() < 2 || dims[0] != labels.size()) {
    return absl::DataLossError(absl::StrCat(images->path(), " holds ", dims[0], " images but ",
                                            paths.labels, " holds ", labels.size(), " labels"));
  }
  TensorData data;
  uint64_t pixels = 1;
  if (dims.size() == 3) data.x_shape.push_back(1);  // grey images get their channel dimension
  for (size_t d = 1; d < dims.size(); ++d) {
    data.x_shape.push_back(dims[d]);
    pixels *= std::max<uint64_t>(dims[d], 1);
    if (dims[d] == 0 || pixels > kMaxExampleBytes) {
      return absl::DataLossError(absl::StrCat(images->path(), ": dimension ", d, " is ", dims[d],
                                              "; an image must have 1 to ", kMaxExampleBytes,
                                              " pixels"));
    }
  }
  FW_ASSIGN_OR_RETURN(
      const std::vector<uint64_t> indices,
      PartitionOf(PartitionInput{.size = labels.size(), .labels = labels, .owners = {}},
                  config.options));
  data.size = indices.size();
  data.y_is_class = true;
  FW_RETURN_IF_ERROR(ReadImages(*images, pixels, indices, mean, std, &data.x));
  data.y.resize(data.size * sizeof(int64_t));
  for (uint64_t i = 0; i < data.size; ++i) {
    std::memcpy(data.y.data() + i * sizeof(int64_t), &labels[indices[i]], sizeof(int64_t));
  }
  return std::make_shared<TensorDataset>(std::move(data));
}

}  // namespace fedwatt
