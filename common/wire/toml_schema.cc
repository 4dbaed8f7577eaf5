#include "common/wire/toml_schema.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/wire/schema_words.h"
#include "toml++/toml.h"

namespace fedwatt::wire {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using nlohmann::json;

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : absl::StrCat(path, ".", key);
}

absl::Status ErrorAt(const std::string& where, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", what));
}

const char* FoundType(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

std::string ExpectedType(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "a number";
    case FieldDescriptor::CPPTYPE_STRING:
      return "a string in quotes";
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrCat("one of \"", absl::StrJoin(EnumWords(*field.enum_type()), "\", \""),
                          "\"");
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "a table";
    default:
      return "an integer";
  }
}

absl::Status UnknownKey(const std::string& where, const std::string& key, const std::string& path,
                        const Descriptor& schema) {
  const std::vector<std::string> known = FieldNames(schema);
  return ErrorAt(where, absl::StrCat("unknown key \"", key, "\"",
                                     path.empty() ? "" : absl::StrCat(" in [", path, "]"),
                                     DidYouMean(key, known)));
}

// One reading of one document; errors are placed by `source`, with line and column if it is a file.
class Reader {
 public:
  Reader(std::string source, bool has_lines, SchemaDocument* out)
      : source_(std::move(source)), has_lines_(has_lines), out_(out) {}

  absl::StatusOr<json> Value(const toml::node& node, const FieldDescriptor& field,
                             const std::string& path) {
    if (field.is_map()) return Map(node, field, path);
    if (field.is_repeated()) return List(node, field, path);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (!node.is_table()) return Mismatch(node, field, path);
      return Table(*node.as_table(), *field.message_type(), path);
    }
    return Scalar(node, field, path);
  }

  absl::StatusOr<json> Table(const toml::table& table, const Descriptor& schema,
                             const std::string& path) {
    // In the order of the file, so that the first mistake is the one that is reported.
    std::vector<std::pair<const toml::key*, const toml::node*>> entries;
    for (auto&& [key, node] : table) entries.emplace_back(&key, &node);
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      const toml::source_position& x = a.first->source().begin;
      const toml::source_position& y = b.first->source().begin;
      return std::pair(x.line, x.column) < std::pair(y.line, y.column);
    });
    json object = json::object();
    for (const auto& [key, node] : entries) {
      const std::string name(key->str());
      const FieldDescriptor* field = schema.FindFieldByName(name);
      if (field == nullptr) return UnknownKey(Where(key->source()), name, path, schema);
      FW_ASSIGN_OR_RETURN(object[name], Value(*node, *field, Join(path, name)));
    }
    return object;
  }

 private:
  std::string Where(const toml::source_region& region) const {
    if (!has_lines_) return source_;
    return absl::StrCat(source_, ":", region.begin.line, ":", region.begin.column);
  }

  absl::Status Mismatch(const toml::node& node, const FieldDescriptor& field,
                        const std::string& path) const {
    return ErrorAt(Where(node.source()),
                   absl::StrCat(path, " must be ", ExpectedType(field), ", not ", FoundType(node)));
  }

  absl::StatusOr<json> Map(const toml::node& node, const FieldDescriptor& field,
                           const std::string& path) {
    if (!node.is_table()) return Mismatch(node, field, path);
    json object = json::object();
    for (auto&& [key, value] : *node.as_table()) {
      const std::string name(key.str());
      FW_ASSIGN_OR_RETURN(object[name],
                          Scalar(value, *field.message_type()->map_value(), Join(path, name)));
    }
    return object;
  }

  absl::StatusOr<json> List(const toml::node& node, const FieldDescriptor& field,
                            const std::string& path) {
    if (!node.is_array()) {
      return ErrorAt(
          Where(node.source()),
          absl::StrCat(path, " must be a list such as [\"a\", \"b\"], not ", FoundType(node)));
    }
    json list = json::array();
    for (const toml::node& element : *node.as_array()) {
      FW_ASSIGN_OR_RETURN(json value, Scalar(element, field, path));
      list.push_back(std::move(value));
    }
    out_->origins[path] = Where(node.source());
    return list;
  }

  absl::StatusOr<json> Scalar(const toml::node& node, const FieldDescriptor& field,
                              const std::string& path) {
    out_->origins[path] = Where(node.source());
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        if (node.is_boolean()) return json(node.as_boolean()->get());
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return Real(node, field, path);
      case FieldDescriptor::CPPTYPE_STRING:
        if (node.is_string()) return json(node.as_string()->get());
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        return Word(node, field, path);
      case FieldDescriptor::CPPTYPE_MESSAGE:
        break;
      default:
        return Integer(node, field, path);
    }
    return Mismatch(node, field, path);
  }

  absl::StatusOr<json> Real(const toml::node& node, const FieldDescriptor& field,
                            const std::string& path) const {
    if (node.is_integer()) return json(static_cast<double>(node.as_integer()->get()));
    if (!node.is_floating_point()) return Mismatch(node, field, path);
    const double value = node.as_floating_point()->get();
    if (std::isfinite(value)) return json(value);
    return ErrorAt(Where(node.source()), absl::StrCat(path, " must be a finite number"));
  }

  absl::StatusOr<json> Integer(const toml::node& node, const FieldDescriptor& field,
                               const std::string& path) const {
    if (!node.is_integer()) return Mismatch(node, field, path);
    const int64_t value = node.as_integer()->get();
    const bool is_unsigned = field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32 ||
                             field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
    if (is_unsigned && value < 0) {
      return ErrorAt(Where(node.source()),
                     absl::StrCat(path, " = ", value, ": must be at least 0"));
    }
    const int64_t max = field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32
                            ? int64_t{std::numeric_limits<uint32_t>::max()}
                            : std::numeric_limits<int64_t>::max();
    if (value > max) {
      return ErrorAt(Where(node.source()),
                     absl::StrCat(path, " = ", value, ": must be at most ", max));
    }
    return json(value);
  }

  absl::StatusOr<json> Word(const toml::node& node, const FieldDescriptor& field,
                            const std::string& path) const {
    if (!node.is_string()) return Mismatch(node, field, path);
    const std::string word = node.as_string()->get();
    const auto* value = FindEnumWord(*field.enum_type(), word);
    if (value != nullptr) return json(std::string(value->name()));
    const std::vector<std::string> words = EnumWords(*field.enum_type());
    const auto nearest = NearestName(word, words);
    return ErrorAt(Where(node.source()),
                   absl::StrCat(path, " = \"", word, "\": must be ", ExpectedType(field),
                                nearest ? absl::StrCat("; did you mean \"", *nearest, "\"?") : ""));
  }

  std::string source_;
  bool has_lines_;
  SchemaDocument* out_;
};

absl::StatusOr<toml::table> ParseToml(std::string_view text, const std::string& source,
                                      bool has_lines) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& e) {
    const toml::source_position& at = e.source().begin;
    const std::string where =
        has_lines ? absl::StrCat(source, ":", at.line, ":", at.column) : source;
    return ErrorAt(where, std::string(e.description()));
  }
}

// What the user would have written as a value in a file.
std::string AsTomlValue(const FieldDescriptor& field, const std::string& text) {
  const bool is_text = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING ||
                       field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM;
  const auto quoted = [&](const std::string& item) {
    if (!is_text || (!item.empty() && (item[0] == '"' || item[0] == '\''))) return item;
    return json(item).dump(-1, ' ', false, json::error_handler_t::replace);
  };
  if (!field.is_repeated()) return quoted(text);
  if (!text.empty() && text[0] == '[') return text;
  std::vector<std::string> items;
  for (const auto& item : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    items.push_back(quoted(std::string(absl::StripAsciiWhitespace(item))));
  }
  return absl::StrCat("[", absl::StrJoin(items, ", "), "]");
}

struct Target {
  const FieldDescriptor* field = nullptr;  // of the value: a map's value field for map entries
  json* slot = nullptr;
};

absl::StatusOr<Target> FindTarget(const std::string& key, const std::string& origin,
                                  const Descriptor& schema, json* root) {
  const std::vector<std::string> parts = absl::StrSplit(key, '.');
  const Descriptor* message = &schema;
  Target target{nullptr, root};
  std::string path;
  for (size_t i = 0; i < parts.size(); ++i) {
    const FieldDescriptor* field = message->FindFieldByName(parts[i]);
    if (field == nullptr) return UnknownKey(origin, parts[i], path, *message);
    target = {field, &(*target.slot)[parts[i]]};
    path = Join(path, parts[i]);
    if (field->is_map() && i + 1 < parts.size()) {
      const std::string entry =
          absl::StrJoin(parts.begin() + static_cast<long>(i) + 1, parts.end(), ".");
      return Target{field->message_type()->map_value(), &(*target.slot)[entry]};
    }
    const bool is_table = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    const bool is_last = i + 1 == parts.size();
    if (!is_table && !is_last) {
      return ErrorAt(
          origin, absl::StrCat(path, " is a single value and has no key \"", parts[i + 1], "\""));
    }
    if (is_table && is_last) {
      const std::string example =
          field->is_map() ? "<name>" : std::string(field->message_type()->field(0)->name());
      return ErrorAt(origin, absl::StrCat(path, " is a table; set one of its keys, e.g. ", path,
                                          ".", example, "=..."));
    }
    if (is_table) message = field->message_type();
  }
  return target;
}

}  // namespace

absl::Status ReadToml(std::string_view text, const std::string& source, const Descriptor& schema,
                      SchemaDocument* out) {
  FW_ASSIGN_OR_RETURN(const toml::table table, ParseToml(text, source, true));
  FW_ASSIGN_OR_RETURN(json object, Reader(source, true, out).Table(table, schema, ""));
  out->json.merge_patch(object);
  return absl::OkStatus();
}

absl::Status SetByText(const std::string& key, const std::string& value, const std::string& origin,
                       const Descriptor& schema, SchemaDocument* out) {
  json changed = out->json;
  FW_ASSIGN_OR_RETURN(const Target target, FindTarget(key, origin, schema, &changed));
  const std::string line = absl::StrCat("v = ", AsTomlValue(*target.field, value));
  absl::StatusOr<toml::table> table = ParseToml(line, origin, false);
  if (!table.ok() || table->size() != 1) {
    return ErrorAt(origin, absl::StrCat("the value must be ", ExpectedType(*target.field)));
  }
  FW_ASSIGN_OR_RETURN(*target.slot,
                      Reader(origin, false, out).Value(*table->get("v"), *target.field, key));
  out->json = std::move(changed);
  return absl::OkStatus();
}

}  // namespace fedwatt::wire
