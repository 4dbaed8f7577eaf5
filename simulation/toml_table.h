#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "toml++/toml.h"

// One table of a file that people write, read key by key: the first error stays, with its place.
// What was not asked for is unknown, and refused at the end.
namespace fedwatt {

class TomlTable {
 public:
  // `table` must outlive it; `name` is "" for the root.
  TomlTable(const toml::table& table, std::string source, std::string name)
      : table_(&table), source_(std::move(source)), name_(std::move(name)) {}

  // Each leaves `out` as it is where the key is absent.
  void Number(const std::string& key, double least, double most, double* out);
  void Integer(const std::string& key, int64_t least, int64_t most, int64_t* out);
  void Range(const std::string& key, double least, double most, double* low, double* high);
  void NumberOrRange(const std::string& key, double least, double most, double* low, double* high);
  void Text(const std::string& key, std::string* out);
  void Flag(const std::string& key, bool* out);
  // The index of the word in `words`.
  void Word(const std::string& key, const std::vector<std::string>& words, size_t* out);
  // A table below it, or null; and an array of tables.
  const toml::table* Table(const std::string& key);
  std::vector<const toml::table*> Tables(const std::string& key);

  bool Has(const std::string& key) const { return table_->contains(key); }
  const std::string& source() const { return source_; }

  // The first error, or the first key that nobody asked for.
  absl::Status Finish();
  void Fail(const std::string& key, const std::string& what);

 private:
  const toml::node* Find(const std::string& key);
  std::string Place(const std::string& key) const;

  const toml::table* const table_;
  const std::string source_;
  const std::string name_;
  std::set<std::string> known_;
  absl::Status status_;
};

}  // namespace fedwatt
