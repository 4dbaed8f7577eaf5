#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "client/sdk/trainer.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/model/bundle_header.h"

namespace fedwatt {

// Whether the device keeps the buffers of this request's model to itself, in a file.
bool KeepsBuffers(const TrainRequest& request);

// The tensors that a request's work starts from: those of its model file, else of the bundle;
// buffers that the device keeps from its own file, where there is one of this model. One thread.
class BaseTensors {
 public:
  // `bundle_tensors` must outlive this object. INVALID_ARGUMENT: they are not as many bytes as the
  // header's manifest says, naming both.
  absl::Status Open(const TrainRequest& request, const BundleHeader& header,
                    ByteSpan bundle_tensors);

  const std::vector<const uint8_t*>& all() const { return all_; }  // in the manifest's order

 private:
  MappedFile model_;
  MappedFile buffers_;
  std::vector<const uint8_t*> all_;
};

}  // namespace fedwatt
