#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/datasets/formats.h"
#include "client/datasets/options.h"
#include "client/datasets/tensor_dataset.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

struct NpyArray {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  ByteSpan data;
};

absl::Status Bad(const std::string& path, const std::string& why) {
  return absl::DataLossError(absl::StrCat(path, ": ", why));
}

// The text of `'key': VALUE` in the header's Python dictionary.
absl::StatusOr<std::string> Field(const std::string& path, const std::string& header,
                                  const std::string& key, char open, char close) {
  const size_t at = header.find(absl::StrCat("'", key, "':"));
  if (at == std::string::npos) return Bad(path, absl::StrCat("its header has no '", key, "'"));
  const size_t begin = header.find(open, at + key.size() + 3);
  const size_t end = begin == std::string::npos ? begin : header.find(close, begin + 1);
  if (end == std::string::npos) return Bad(path, absl::StrCat("its header's '", key, "' is cut"));
  return header.substr(begin + 1, end - begin - 1);
}

absl::StatusOr<DType> DTypeOf(const std::string& path, const std::string& descr) {
  static const std::map<std::string, DType> known = {
      {"<f4", DType::kF32}, {"<f8", DType::kF64}, {"<f2", DType::kF16},
      {"<i8", DType::kI64}, {"<i4", DType::kI32}, {"<i2", DType::kI16},
      {"|i1", DType::kI8},  {"|u1", DType::kU8},  {"|b1", DType::kBool}};
  const auto it = known.find(descr);
  if (it != known.end()) return it->second;
  return Bad(path,
             absl::StrCat("dtype '", descr,
                          "' is not read; save it as float32, int64 or uint8 (little-endian)"));
}

absl::StatusOr<std::string> HeaderOf(const std::string& path, ByteSpan file, size_t* data_at) {
  if (file.size() < 12 || std::memcmp(file.data(), "\x93NUMPY", 6) != 0) {
    return Bad(path, "not a .npy file");
  }
  const bool old = file[6] == 1;
  const size_t begin = old ? 10 : 12;
  size_t length = file[8] | (size_t{file[9]} << 8);
  if (!old) length |= (size_t{file[10]} << 16) | (size_t{file[11]} << 24);
  if (length > file.size() - begin) return Bad(path, "its header is cut");
  *data_at = begin + length;
  return std::string(reinterpret_cast<const char*>(file.data()) + begin, length);
}

absl::StatusOr<NpyArray> ParseNpy(const std::string& path, ByteSpan file) {
  size_t data_at = 0;
  FW_ASSIGN_OR_RETURN(const std::string header, HeaderOf(path, file, &data_at));
  FW_ASSIGN_OR_RETURN(const std::string descr, Field(path, header, "descr", '\'', '\''));
  FW_ASSIGN_OR_RETURN(const std::string shape, Field(path, header, "shape", '(', ')'));
  if (header.find("'fortran_order': True") != std::string::npos) {
    return Bad(path, "is in Fortran order; save numpy.ascontiguousarray(x)");
  }
  NpyArray array;
  FW_ASSIGN_OR_RETURN(array.dtype, DTypeOf(path, descr));
  const std::vector<std::string> dims = absl::StrSplit(shape, ',', absl::SkipWhitespace());
  uint64_t elements = 1;
  for (const std::string& text : dims) {
    int64_t dim = 0;
    if (!absl::SimpleAtoi(text, &dim) || dim < 0 || dims.size() > bounds::kMaxDims ||
        (dim > 0 && elements > file.size() / static_cast<uint64_t>(dim))) {
      return Bad(
          path, absl::StrCat("shape (", shape, ") does not fit a file of ", file.size(), " bytes"));
    }
    array.shape.push_back(dim);
    elements *= static_cast<uint64_t>(dim);
  }
  array.data = file.subspan(data_at);
  if (array.shape.empty() || array.data.size() != elements * DTypeBytes(array.dtype)) {
    return Bad(path, absl::StrCat("shape (", shape, ") needs ", elements * DTypeBytes(array.dtype),
                                  " bytes of data, the file has ", array.data.size()));
  }
  return array;
}

std::vector<uint8_t> AsInt64(const NpyArray& array) {
  const size_t width = DTypeBytes(array.dtype);
  const size_t n = array.data.size() / width;
  std::vector<uint8_t> out(n * sizeof(int64_t));
  for (size_t i = 0; i < n; ++i) {
    int64_t value = 0;
    std::memcpy(&value, array.data.data() + i * width, width);
    const bool is_signed = array.dtype != DType::kU8 && array.dtype != DType::kBool;
    if (is_signed && width < 8 && (value >> (8 * width - 1)) != 0)
      value -= int64_t{1} << (8 * width);
    std::memcpy(out.data() + i * sizeof(int64_t), &value, sizeof(value));
  }
  return out;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Dataset>> OpenNpy(const DatasetConfig& config) {
  FW_RETURN_IF_ERROR(CheckKnownOptions(config.options, "npy", {"x", "y"}));
  const std::string x_path =
      absl::StrCat(config.path, "/", StringOption(config.options, "x", "x.npy"));
  const std::string y_path =
      absl::StrCat(config.path, "/", StringOption(config.options, "y", "y.npy"));
  FW_ASSIGN_OR_RETURN(const MappedFile x_file, MappedFile::Open(x_path));
  FW_ASSIGN_OR_RETURN(const MappedFile y_file, MappedFile::Open(y_path));
  FW_ASSIGN_OR_RETURN(const NpyArray x, ParseNpy(x_path, x_file.bytes()));
  FW_ASSIGN_OR_RETURN(const NpyArray y, ParseNpy(y_path, y_file.bytes()));
  if (x.shape[0] != y.shape[0]) {
    return absl::DataLossError(absl::StrCat(x_path, " holds ", x.shape[0], " examples but ", y_path,
                                            " holds ", y.shape[0]));
  }
  TensorData data;
  data.size = static_cast<uint64_t>(x.shape[0]);
  data.x_shape.assign(x.shape.begin() + 1, x.shape.end());
  data.x_dtype = x.dtype;
  data.x.assign(x.data.begin(), x.data.end());
  data.y_shape.assign(y.shape.begin() + 1, y.shape.end());
  if (IsFloating(y.dtype)) {
    data.y_dtype = y.dtype;
    data.y.assign(y.data.begin(), y.data.end());
  } else {
    data.y_is_class = y.shape.size() == 1;
    data.y = AsInt64(y);
  }
  return TakePartition(std::move(data), config);
}

}  // namespace fedwatt
