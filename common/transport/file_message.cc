#include "common/transport/file_message.h"

#include <grpcpp/support/slice.h>

#include <array>

namespace fedwatt {

void AppendFieldHeader(int field_number, uint64_t size, std::string* out) {
  constexpr uint64_t kLengthDelimited = 2;
  const auto append_varint = [out](uint64_t value) {
    while (value >= 0x80) {
      out->push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out->push_back(static_cast<char>(value));
  };
  append_varint(static_cast<uint64_t>(field_number) << 3 | kLengthDelimited);
  append_varint(size);
}

grpc::ByteBuffer MessageOverFile(const std::string& prefix,
                                 const std::shared_ptr<const MappedFile>& file, uint64_t offset,
                                 uint64_t size) {
  using Owner = std::shared_ptr<const MappedFile>;
  const grpc::Slice head(prefix);
  if (size == 0) return {&head, 1};
  // gRPC only reads from a slice; its type has no const.
  auto* const data = const_cast<uint8_t*>(file->bytes().data() + offset);
  const std::array<grpc::Slice, 2> slices = {
      head,
      grpc::Slice(
          data, size, [](void* owner) { delete static_cast<Owner*>(owner); }, new Owner(file))};
  return {slices.data(), slices.size()};
}

}  // namespace fedwatt
