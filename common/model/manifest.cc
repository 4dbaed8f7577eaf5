#include "common/model/manifest.h"

#include <unordered_set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/model/field_checks.h"

namespace fedwatt {
namespace {

bool IsKnown(DType dtype) { return dtype >= DType::kF32 && dtype <= DType::kBool; }

// Also bounds every product that Elements() and Bytes() form later.
absl::Status CheckShape(const TensorSpec& spec, const std::string& key) {
  if (spec.shape.size() > bounds::kMaxDims) {
    return absl::InvalidArgumentError(absl::StrCat(key, " \"", spec.name, "\" has ",
                                                   spec.shape.size(), " dimensions, at most ",
                                                   bounds::kMaxDims, " are supported"));
  }
  uint64_t elements = 1;
  for (const int64_t dim : spec.shape) {
    const bool fits = dim >= 0 && static_cast<uint64_t>(dim) <= bounds::kMaxElements &&
                      (dim == 0 || elements <= bounds::kMaxElements / static_cast<uint64_t>(dim));
    if (!fits) {
      return absl::InvalidArgumentError(absl::StrCat(
          key, " \"", spec.name, "\" has shape [", absl::StrJoin(spec.shape, ", "),
          "]: each size must be at least 0 and their product at most ", bounds::kMaxElements));
    }
    elements *= static_cast<uint64_t>(dim);
  }
  return absl::OkStatus();
}

absl::Status CheckTensor(const TensorSpec& spec, size_t index) {
  const std::string key = absl::StrCat("tensor ", index);
  FW_RETURN_IF_ERROR(CheckName(key, spec.name, bounds::kMaxNameLength));
  if (!IsKnown(spec.dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, " \"", spec.name, "\" has unknown dtype ", static_cast<int>(spec.dtype)));
  }
  if (spec.role != TensorRole::kTrainable && spec.role != TensorRole::kBuffer) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, " \"", spec.name, "\" has unknown role ", static_cast<int>(spec.role)));
  }
  if (spec.role == TensorRole::kTrainable && spec.dtype != DType::kF32) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, " \"", spec.name, "\" is trainable and ", DTypeName(spec.dtype),
                     ": trainable tensors must be float32; convert it or register it as a buffer"));
  }
  return CheckShape(spec, key);
}

}  // namespace

size_t DTypeBytes(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
      return 2;
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

const char* DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kF64:
      return "float64";
    case DType::kF16:
      return "float16";
    case DType::kBF16:
      return "bfloat16";
    case DType::kI64:
      return "int64";
    case DType::kI32:
      return "int32";
    case DType::kI16:
      return "int16";
    case DType::kI8:
      return "int8";
    case DType::kU8:
      return "uint8";
    case DType::kBool:
      return "bool";
  }
  return "unknown";
}

bool IsFloating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kF16 ||
         dtype == DType::kBF16;
}

uint64_t TensorSpec::Elements() const {
  uint64_t elements = 1;
  for (const int64_t dim : shape) elements *= static_cast<uint64_t>(dim);
  return elements;
}

uint64_t TensorSpec::Bytes() const { return Elements() * DTypeBytes(dtype); }

absl::StatusOr<Manifest> Manifest::Create(std::vector<TensorSpec> tensors) {
  if (tensors.size() > bounds::kMaxTensors) {
    return absl::InvalidArgumentError(absl::StrCat("a model of ", tensors.size(),
                                                   " tensors: at most ", bounds::kMaxTensors,
                                                   " are supported"));
  }
  Manifest manifest;
  manifest.offsets_.reserve(tensors.size());
  std::unordered_set<std::string> names;
  uint64_t elements = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorSpec& spec = tensors[i];
    FW_RETURN_IF_ERROR(CheckTensor(spec, i));
    if (!names.insert(spec.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", i, " \"", spec.name, "\": the name is used twice"));
    }
    elements += spec.Elements();
    manifest.offsets_.push_back(manifest.total_bytes_);
    manifest.total_bytes_ += spec.Bytes();
    if (elements > bounds::kMaxElements || manifest.total_bytes_ > bounds::kMaxBlobBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("up to tensor ", i, " \"", spec.name, "\" the model has ", elements,
                       " elements in ", manifest.total_bytes_, " bytes: at most ",
                       bounds::kMaxElements, " in ", bounds::kMaxBlobBytes, " are supported"));
    }
    if (spec.role == TensorRole::kTrainable) manifest.trainable_elements_ += spec.Elements();
  }
  manifest.tensors_ = std::move(tensors);
  return manifest;
}

// Greedy with one backtrack point: the last star is enough, for an earlier star's longer match
// could be moved to the later one.
bool GlobMatches(const std::string& glob, const std::string& name) {
  size_t g = 0;
  size_t n = 0;
  size_t star = std::string::npos;
  size_t star_name = 0;
  while (n < name.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      star_name = n;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == name[n])) {
      ++g;
      ++n;
    } else if (star != std::string::npos) {
      g = star + 1;
      n = ++star_name;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

absl::StatusOr<UpdateLayout> MakeUpdateLayout(const Manifest& manifest,
                                              const std::vector<std::string>& frozen,
                                              BufferMode buffers) {
  UpdateLayout layout;
  std::vector<bool> glob_used(frozen.size(), false);
  std::vector<std::string> trainable_names;
  for (size_t i = 0; i < manifest.tensors().size(); ++i) {
    const TensorSpec& spec = manifest.tensors()[i];
    if (spec.role == TensorRole::kBuffer) {
      if (buffers != BufferMode::kAverage) continue;
      layout.buffers.push_back({i, manifest.OffsetBytes(i), layout.buffer_bytes, spec.Elements()});
      layout.buffer_bytes += spec.Bytes();
      continue;
    }
    trainable_names.push_back(spec.name);
    bool is_frozen = false;
    for (size_t f = 0; f < frozen.size(); ++f) {
      if (!GlobMatches(frozen[f], spec.name)) continue;
      glob_used[f] = true;
      is_frozen = true;
    }
    if (is_frozen) continue;
    layout.trainable.push_back({i, manifest.OffsetBytes(i), layout.coordinates, spec.Elements()});
    layout.coordinates += spec.Elements();
  }
  for (size_t f = 0; f < frozen.size(); ++f) {
    if (glob_used[f]) continue;
    return absl::InvalidArgumentError(absl::StrCat("plan.frozen: \"", frozen[f],
                                                   "\" matches no trainable tensor",
                                                   DidYouMean(frozen[f], trainable_names)));
  }
  if (layout.coordinates == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("nothing is left to train: the model has ", trainable_names.size(),
                     " trainable tensors and plan.frozen matches all of them; freeze fewer"));
  }
  return layout;
}

}  // namespace fedwatt
