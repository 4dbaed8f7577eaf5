#include "simulation/toml_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/suggest.h"

namespace fedwatt {

const toml::node* TomlTable::Find(const std::string& key) {
  known_.insert(key);
  return table_->get(key);
}

std::string TomlTable::Place(const std::string& key) const {
  const toml::node* const node = table_->get(key);
  const toml::source_region& region = node == nullptr ? table_->source() : node->source();
  return absl::StrCat(source_, ":", region.begin.line, ": ", name_, name_.empty() ? "" : ".", key);
}

void TomlTable::Fail(const std::string& key, const std::string& what) {
  if (!status_.ok()) return;
  status_ = absl::InvalidArgumentError(absl::StrCat(Place(key), ": ", what));
}

void TomlTable::Number(const std::string& key, double least, double most, double* out) {
  const toml::node* const node = Find(key);
  if (node == nullptr) return;
  const auto value = node->value<double>();
  if (!value.has_value()) return Fail(key, "must be a number");
  if (!(*value >= least && *value <= most)) {
    return Fail(key, absl::StrFormat("%g: must be from %g to %g", *value, least, most));
  }
  *out = *value;
}

void TomlTable::Integer(const std::string& key, int64_t least, int64_t most, int64_t* out) {
  const toml::node* const node = Find(key);
  if (node == nullptr) return;
  const auto* const value = node->as_integer();
  if (value == nullptr) return Fail(key, "must be a whole number");
  if (value->get() < least || value->get() > most) {
    return Fail(key, absl::StrCat(value->get(), ": must be from ", least, " to ", most));
  }
  *out = value->get();
}

void TomlTable::NumberOrRange(const std::string& key, double least, double most, double* low,
                              double* high) {
  const toml::node* const node = Find(key);
  if (node == nullptr || node->is_array()) return Range(key, least, most, low, high);
  Number(key, least, most, low);
  *high = *low;
}

void TomlTable::Range(const std::string& key, double least, double most, double* low,
                      double* high) {
  const toml::node* const node = Find(key);
  if (node == nullptr) return;
  const toml::array* const pair = node->as_array();
  const auto begin =
      pair == nullptr || pair->size() != 2 ? std::optional<double>() : (*pair)[0].value<double>();
  const auto end = begin.has_value() ? (*pair)[1].value<double>() : std::nullopt;
  if (!end.has_value()) return Fail(key, "must be two numbers, [least, most]");
  if (!(*begin >= least && *end >= *begin && *end <= most)) {
    return Fail(key, absl::StrFormat("[%g, %g]: must rise, from %g to %g at most", *begin, *end,
                                     least, most));
  }
  *low = *begin;
  *high = *end;
}

void TomlTable::Text(const std::string& key, std::string* out) {
  const toml::node* const node = Find(key);
  if (node == nullptr) return;
  const auto* const value = node->as_string();
  if (value == nullptr) return Fail(key, "must be a string");
  *out = value->get();
}

void TomlTable::Flag(const std::string& key, bool* out) {
  const toml::node* const node = Find(key);
  if (node == nullptr) return;
  const auto* const value = node->as_boolean();
  if (value == nullptr) return Fail(key, "must be true or false");
  *out = value->get();
}

void TomlTable::Word(const std::string& key, const std::vector<std::string>& words, size_t* out) {
  std::string word;
  if (!table_->contains(key)) {
    known_.insert(key);
    return;
  }
  Text(key, &word);
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) {
    return Fail(key, absl::StrCat("\"", word, "\": one of ", absl::StrJoin(words, ", ")));
  }
  *out = static_cast<size_t>(found - words.begin());
}

const toml::table* TomlTable::Table(const std::string& key) {
  const toml::node* const node = Find(key);
  if (node == nullptr) return nullptr;
  if (!node->is_table()) Fail(key, absl::StrCat("must be a table, [", key, "]"));
  return node->as_table();
}

std::vector<const toml::table*> TomlTable::Tables(const std::string& key) {
  std::vector<const toml::table*> tables;
  const toml::node* const node = Find(key);
  if (node == nullptr) return tables;
  const toml::array* const array = node->as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    Fail(key, absl::StrCat("must be tables, [[", key, "]]"));
    return tables;
  }
  for (const toml::node& entry : *array) tables.push_back(entry.as_table());
  return tables;
}

absl::Status TomlTable::Finish() {
  if (!status_.ok()) return status_;
  const std::vector<std::string> names(known_.begin(), known_.end());
  for (const auto& [key, node] : *table_) {
    const std::string name(key.str());
    if (known_.contains(name)) continue;
    Fail(name, absl::StrCat("unknown key", DidYouMean(name, names)));
    break;
  }
  return status_;
}

}  // namespace fedwatt
