#pragma once

#include <memory>

#include "absl/status/status.h"
#include "common/base/bytes.h"

namespace caffe2::serialize {
class ReadAdapterInterface;
}

// A look into a TorchScript archive (a zip file) before LibTorch deserialises it, since
// torch::jit::load by itself runs every __setstate__ in it.
namespace fedwatt {

// INVALID_ARGUMENT: not a TorchScript archive, truncated, corrupt, or larger unpacked than its
// tensors account for. PERMISSION_DENIED: code that runs while loading (__setstate__,
// __getstate__), custom C++ classes (torch.classes). Each says what to do in Python.
absl::Status ScanArchive(ByteSpan archive);

// Reads `archive`, which must outlive it, for torch::jit::load; reads beyond the end are cut.
std::shared_ptr<caffe2::serialize::ReadAdapterInterface> MakeArchiveReader(ByteSpan archive);

}  // namespace fedwatt
