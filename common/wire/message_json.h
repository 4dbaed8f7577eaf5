#pragma once

#include <string>

#include "google/protobuf/message.h"

namespace fedwatt::wire {

// Any message as JSON for people and scripts: field names as in the schema, enums as their words
// (schema_words.h), bytes in hexadecimal, 64-bit integers as numbers, absent fields left out
// (scalars without presence are always there). Two blanks of indent, or one line with `indent` < 0.
std::string MessageToJson(const google::protobuf::Message& message, int indent = 2);

}  // namespace fedwatt::wire
