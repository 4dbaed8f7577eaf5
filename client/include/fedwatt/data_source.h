#pragma once

#include <fedwatt/status.h>
#include <fedwatt/tensor.h>

#include <cstdint>
#include <string>

namespace fedwatt {

// Where examples come from: the one thing that an app has to supply. One thread at a time. What
// throws is taken for Code::kInternal; what does not come back in ClientOptions::callback_ms costs
// the assignment, not the app.
class DataSource {
 public:
  virtual ~DataSource() = default;

  // A new pass over `dataset` begins: Next starts at its first example.
  virtual Status Rewind(const std::string& dataset) = 0;

  // The next 1 to `max_examples` examples, or Code::kEnd after the last. What the batch points to
  // stays valid until the next call of this object.
  virtual Result<Batch> Next(const std::string& dataset, uint64_t max_examples) = 0;
};

}  // namespace fedwatt
