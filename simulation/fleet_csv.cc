#include "simulation/fleet_csv.h"

#include <array>
#include <set>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

// Of what these hold a number would be text, too.
constexpr std::array<std::string_view, 3> kTexts = {"name", "radio", "region"};

std::string Quoted(const std::string& text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

// As TOML writes it: what is no number is text, for the reader to refuse.
std::string NumberOf(const std::string& cell) {
  double value = 0;
  return absl::SimpleAtod(cell, &value) ? absl::StrFormat("%.17g", value) : Quoted(cell);
}

std::string ValueOf(const std::string& key, const std::string& cell) {
  for (const std::string_view text : kTexts) {
    if (text == key) return Quoted(cell);
  }
  const std::vector<std::string> numbers = absl::StrSplit(cell, ' ', absl::SkipEmpty());
  if (numbers.size() == 2) {
    return absl::StrCat("[", NumberOf(numbers[0]), ", ", NumberOf(numbers[1]), "]");
  }
  return NumberOf(cell);
}

std::vector<std::string> CellsOf(const std::string& line) {
  std::vector<std::string> cells = absl::StrSplit(line, ',');
  for (std::string& cell : cells) absl::StripAsciiWhitespace(&cell);
  return cells;
}

absl::Status CheckTitles(const std::vector<std::string>& titles) {
  std::set<std::string> seen;
  for (const std::string& title : titles) {
    if (title.empty()) return absl::InvalidArgumentError("a column without a name");
    for (const char letter : title) {
      if (absl::ascii_isalnum(static_cast<unsigned char>(letter)) || letter == '_') continue;
      return absl::InvalidArgumentError(
          absl::StrCat("\"", title, "\" is no key of [[class]]; the first row names the columns"));
    }
    if (!seen.insert(title).second) {
      return absl::InvalidArgumentError(absl::StrCat("the column ", title, " is there twice"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> RowAsToml(const std::vector<std::string>& titles,
                                      const std::vector<std::string>& cells) {
  if (cells.size() != titles.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(cells.size(), " cells, and the first row has ", titles.size(), " columns"));
  }
  std::string row;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].empty()) continue;
    if (cells[i][0] == '"') {
      return absl::InvalidArgumentError(
          absl::StrCat(titles[i], ": ", cells[i], ": cells are written without quotes"));
    }
    absl::StrAppend(&row, row.empty() ? "" : ", ", titles[i], " = ", ValueOf(titles[i], cells[i]));
  }
  return absl::StrCat("{ ", row, " },");
}

}  // namespace

absl::StatusOr<std::string> FleetCsvAsToml(const std::string& text, const std::string& source) {
  std::vector<std::string> titles;
  std::string toml;
  size_t number = 0;
  size_t rows = 0;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (const std::string& raw : lines) {
    ++number;
    const std::string line(absl::StripAsciiWhitespace(raw));
    const auto wrong = [&](const absl::Status& why) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, ":", number, ": ", std::string(why.message())));
    };
    if (line.empty() || line[0] == '#') {
      toml += '\n';
    } else if (titles.empty()) {
      titles = CellsOf(line);
      if (const absl::Status known = CheckTitles(titles); !known.ok()) return wrong(known);
      toml += "class = [\n";
    } else {
      const absl::StatusOr<std::string> row = RowAsToml(titles, CellsOf(line));
      if (!row.ok()) return wrong(row.status());
      absl::StrAppend(&toml, *row, "\n");
      ++rows;
    }
  }
  if (rows > 0) return absl::StrCat(toml, "]\n");
  return absl::InvalidArgumentError(
      absl::StrCat(source, ": no class in it; the first row names the columns, each other is one"));
}

}  // namespace fedwatt
