#include "common/wire/schema_words.h"

#include "absl/strings/ascii.h"

namespace fedwatt::wire {
namespace {

// "OPTIMIZER_KIND_" of the enum whose zero is OPTIMIZER_KIND_UNSPECIFIED.
size_t PrefixLength(const google::protobuf::EnumDescriptor& type) {
  const std::string& zero = type.FindValueByNumber(0)->name();
  const size_t at = zero.rfind("UNSPECIFIED");
  return at == std::string::npos ? 0 : at;
}

}  // namespace

std::string EnumWord(const google::protobuf::EnumValueDescriptor& value) {
  const std::string name(value.name());
  return absl::AsciiStrToLower(name.substr(PrefixLength(*value.type())));
}

std::vector<std::string> EnumWords(const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> words;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) words.push_back(EnumWord(*type.value(i)));
  }
  return words;
}

const google::protobuf::EnumValueDescriptor* FindEnumWord(
    const google::protobuf::EnumDescriptor& type, const std::string& word) {
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0 && EnumWord(*type.value(i)) == word) return type.value(i);
  }
  return nullptr;
}

std::vector<std::string> FieldNames(const google::protobuf::Descriptor& message) {
  std::vector<std::string> names;
  for (int i = 0; i < message.field_count(); ++i) {
    names.emplace_back(message.field(i)->name());
  }
  return names;
}

}  // namespace fedwatt::wire
