#pragma once

// gRPC messages whose bulk is a part of a mapped file, sent without copying it: a few encoded
// bytes, then a reference into the mapping. gRPC keeps the mapping alive until the bytes are on the
// wire.

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/file.h"

namespace fedwatt {

// Appends tag and length of a length-delimited protobuf field; `size` bytes must follow.
void AppendFieldHeader(int field_number, uint64_t size, std::string* out);

// `prefix`, then `size` bytes of the file from `offset` on, which the file must have.
grpc::ByteBuffer MessageOverFile(const std::string& prefix,
                                 const std::shared_ptr<const MappedFile>& file, uint64_t offset,
                                 uint64_t size);

}  // namespace fedwatt
