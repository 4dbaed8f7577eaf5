#pragma once

#include <string>
#include <utility>
#include <vector>

// The pieces that the report's page is put together from. Text is escaped here, and only what is
// called markup is taken as it is. Pure functions.
namespace fedwatt::cli {

// <tag>text</tag>
std::string Element(const std::string& tag, const std::string& text);

// The first row is the head. Cells that begin with a digit are flushed right.
std::string HtmlTable(const std::vector<std::vector<std::string>>& rows);

struct Key {
  std::string style;  // class of report_svg.h
  std::string name;
};

// A card with a drawing, its legend, and the same figures as a table to unfold.
std::string Card(const std::string& title, const std::string& drawing_markup,
                 const std::vector<Key>& legend,
                 const std::vector<std::vector<std::string>>& table);

// Words that take the page's whole width.
std::string Note(const std::string& text);
std::string NoteList(const std::vector<std::string>& sentences);

std::string Heading(const std::string& title);

// Name and figure, side by side.
std::string Tiles(const std::vector<std::pair<std::string, std::string>>& tiles);

// The whole document around `body_markup`.
std::string HtmlDocument(const std::string& title, const std::string& body_markup);

}  // namespace fedwatt::cli
