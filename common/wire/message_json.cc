#include "common/wire/message_json.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/hex.h"
#include "common/wire/schema_words.h"
#include "nlohmann/json.hpp"

namespace fedwatt::wire {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Json = nlohmann::ordered_json;

Json ToJson(const Message& message);

Json TextJson(const FieldDescriptor& field, const std::string& text) {
  return field.type() == FieldDescriptor::TYPE_BYTES ? HexEncode(AsBytes(text)) : text;
}

Json EnumJson(const FieldDescriptor& field, int number) {
  const auto* value = field.enum_type()->FindValueByNumber(number);
  return value == nullptr ? Json(number) : Json(EnumWord(*value));
}

Json Element(const Message& m, const FieldDescriptor& field, int i) {
  const Reflection& r = *m.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.GetRepeatedBool(m, &field, i);
    case FieldDescriptor::CPPTYPE_INT32:
      return r.GetRepeatedInt32(m, &field, i);
    case FieldDescriptor::CPPTYPE_INT64:
      return r.GetRepeatedInt64(m, &field, i);
    case FieldDescriptor::CPPTYPE_UINT32:
      return r.GetRepeatedUInt32(m, &field, i);
    case FieldDescriptor::CPPTYPE_UINT64:
      return r.GetRepeatedUInt64(m, &field, i);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return r.GetRepeatedFloat(m, &field, i);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return r.GetRepeatedDouble(m, &field, i);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumJson(field, r.GetRepeatedEnumValue(m, &field, i));
    case FieldDescriptor::CPPTYPE_STRING:
      return TextJson(field, r.GetRepeatedString(m, &field, i));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(r.GetRepeatedMessage(m, &field, i));
  }
  return nullptr;
}

Json Single(const Message& m, const FieldDescriptor& field) {
  const Reflection& r = *m.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.GetBool(m, &field);
    case FieldDescriptor::CPPTYPE_INT32:
      return r.GetInt32(m, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return r.GetInt64(m, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return r.GetUInt32(m, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return r.GetUInt64(m, &field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return r.GetFloat(m, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return r.GetDouble(m, &field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumJson(field, r.GetEnumValue(m, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return TextJson(field, r.GetString(m, &field));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(r.GetMessage(m, &field));
  }
  return nullptr;
}

// Map entries come out in hash order; two runs must print the same.
Json MapJson(const Message& m, const FieldDescriptor& field) {
  const FieldDescriptor& key = *field.message_type()->map_key();
  const FieldDescriptor& value = *field.message_type()->map_value();
  std::map<std::string, Json> sorted;
  const int size = m.GetReflection()->FieldSize(m, &field);
  for (int i = 0; i < size; ++i) {
    const Message& entry = m.GetReflection()->GetRepeatedMessage(m, &field, i);
    const Json name = Single(entry, key);
    sorted[name.is_string() ? name.get<std::string>() : name.dump()] = Single(entry, value);
  }
  Json out = Json::object();
  for (auto& [name, json] : sorted) out[name] = std::move(json);
  return out;
}

Json ToJson(const Message& message) {
  Json out = Json::object();
  const auto& descriptor = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  for (int f = 0; f < descriptor.field_count(); ++f) {
    const FieldDescriptor& field = *descriptor.field(f);
    const std::string name(field.name());
    if (field.is_map()) {
      out[name] = MapJson(message, field);
    } else if (field.is_repeated()) {
      Json list = Json::array();
      const int size = reflection.FieldSize(message, &field);
      for (int i = 0; i < size; ++i) list.push_back(Element(message, field, i));
      out[name] = std::move(list);
    } else if (!field.has_presence() || reflection.HasField(message, &field)) {
      out[name] = Single(message, field);
    }
  }
  return out;
}

}  // namespace

std::string MessageToJson(const Message& message, int indent) {
  return ToJson(message).dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace fedwatt::wire
