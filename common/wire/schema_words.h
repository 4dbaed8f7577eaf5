#pragma once

// How protobuf names are spelt where people read or write them: in job files and --json output an
// enum value is its last part in lower case (OPTIMIZER_KIND_SGD is "sgd").

#include <optional>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"

namespace fedwatt::wire {

std::string EnumWord(const google::protobuf::EnumValueDescriptor& value);

// The words of all values but UNSPECIFIED, in order.
std::vector<std::string> EnumWords(const google::protobuf::EnumDescriptor& type);

// The value that `word` names; null for unknown words and for "unspecified".
const google::protobuf::EnumValueDescriptor* FindEnumWord(
    const google::protobuf::EnumDescriptor& type, const std::string& word);

std::vector<std::string> FieldNames(const google::protobuf::Descriptor& message);

}  // namespace fedwatt::wire
