// Everything that can leave a device is a field of these messages, and each was looked at by a
// person: sent_fields.txt has one line for each, with what it holds.

#include <google/protobuf/descriptor.h>

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "fedwatt/v1/client_service.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using ::testing::ContainerEq;

constexpr char kReviewed[] = "tests/client/sdk_grpc/sent_fields.txt";

using Fields = std::map<std::string, std::string>;  // type, by Message.field

std::string TypeOf(const FieldDescriptor& field) {
  if (field.is_map()) {
    const Descriptor& entry = *field.message_type();
    return absl::StrCat("map<", entry.field(0)->type_name(), ",", entry.field(1)->type_name(), ">");
  }
  std::string type = field.type_name();
  if (field.message_type() != nullptr) type = field.message_type()->name();
  if (field.enum_type() != nullptr) type = field.enum_type()->name();
  return field.is_repeated() ? absl::StrCat("repeated:", type) : type;
}

void Walk(const Descriptor& message, std::set<const Descriptor*>* seen, Fields* fields) {
  if (!seen->insert(&message).second) return;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    (*fields)[absl::StrCat(message.name(), ".", field.name())] = TypeOf(field);
    if (field.message_type() != nullptr && !field.is_map()) {
      Walk(*field.message_type(), seen, fields);
    }
  }
}

// What a device sends: the requests of every call of the service.
Fields Sent() {
  Fields fields;
  std::set<const Descriptor*> seen;
  const auto* service =
      v1::CheckInRequest::descriptor()->file()->FindServiceByName("ClientService");
  for (int i = 0; i < service->method_count(); ++i) {
    Walk(*service->method(i)->input_type(), &seen, &fields);
  }
  return fields;
}

// Lines "Message.field type what it holds"; '#' begins a comment.
Fields Reviewed(std::set<std::string>* unexplained) {
  Fields fields;
  std::istringstream text(ReadFile(kReviewed, 1 << 20).value_or(""));
  for (std::string line; std::getline(text, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name;
    std::string type;
    std::string why;
    words >> name >> type >> why;
    fields[name] = type;
    if (why.empty()) unexplained->insert(name);
  }
  return fields;
}

TEST(SentFields, WereAllReviewed) {
  std::set<std::string> unexplained;
  EXPECT_THAT(Sent(), ContainerEq(Reviewed(&unexplained)))
      << "what leaves a device changed: say in " << kReviewed
      << " what the field holds, and see that it cannot hold an example";
  EXPECT_THAT(unexplained, testing::IsEmpty()) << "a line needs a word on what the field holds";
}

}  // namespace
}  // namespace fedwatt
