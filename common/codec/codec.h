#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Codecs turn a delta (float32 coordinates) into bytes and back.
namespace fedwatt {

struct CodecContext {
  std::string job;
  uint64_t round = 0;
  std::string client;  // assignment id: every client and round has its own randomness
};

// Stateless and thread-safe.
class Codec {
 public:
  virtual ~Codec() = default;
  virtual std::string name() const = 0;

  // The most bytes that Encode gives for so many coordinates: what an upload may declare.
  virtual uint64_t MaxEncodedBytes(uint64_t coordinates) const = 0;
  virtual absl::Status Encode(std::span<const float> values, const CodecContext& context,
                              std::string* out) const = 0;

  // Decodes coordinates [begin, begin + out.size()) of an encoding of `coordinates` values.
  // Decoding by blocks in rising order costs no more than decoding at once. INVALID_ARGUMENT for
  // bytes that Encode cannot have made; never reads out of bounds, whatever the bytes.
  virtual absl::Status DecodeBlock(std::span<const uint8_t> encoded, uint64_t coordinates,
                                   const CodecContext& context, uint64_t begin,
                                   std::span<float> out) const = 0;
};

struct CodecEntry {
  std::string name;
  std::function<std::unique_ptr<Codec>()> make;
};

const std::vector<CodecEntry>& BuiltinCodecs();  // common/codec/builtin.def
// NOT_FOUND lists the known names and the nearest.
absl::StatusOr<std::unique_ptr<Codec>> MakeCodec(const std::string& name);

}  // namespace fedwatt
