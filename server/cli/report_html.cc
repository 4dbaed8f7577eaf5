#include "server/cli/report_html.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/cli/report_svg.h"

namespace fedwatt::cli {
namespace {

// Blue and orange are told apart by all eyes (Okabe and Ito, 2008); dashes and hatches say it
// again.
constexpr char kStyle[] = R"css(
:root { color-scheme: light dark;
  --page: #f4f5f7; --card: #ffffff; --ink: #1b1f24; --soft: #57606a; --rule: #d5d9de;
  --c0: #0072b2; --c1: #009e73; --c2: #8a4fa0; --c3: #6b6f76; --waste: #d55e00; --track: #edeff2; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171b; --card: #1e2329; --ink: #e7eaee; --soft: #a3acb7; --rule: #3a424c;
  --c0: #56b4e9; --c1: #3fca9f; --c2: #c79ad6; --c3: #a3acb7; --waste: #f58a3c; --track: #2a3038; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 20px 16px 40px; display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
header, h2, .note, .tiles, .wide { grid-column: 1 / -1; min-width: 0; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
header p { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 16px 0 -4px; }
figure, .note, .tiles div, .wide { background: var(--card); border: 1px solid var(--rule);
  border-radius: 8px; }
figure { margin: 0; padding: 14px; min-width: 0; break-inside: avoid; }
figcaption { font-weight: 600; margin-bottom: 8px; overflow-wrap: anywhere; }
.note { margin: 0; padding: 12px 16px; overflow-wrap: anywhere; }
ul.note { padding-left: 34px; }
.note li + li { margin-top: 4px; }
.tiles { display: grid; gap: 10px; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tiles div { padding: 10px 14px; min-width: 0; }
.tiles dt { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
.tiles dd { margin: 0; font-size: 20px; line-height: 1.3; overflow-wrap: anywhere; }
.chart { display: block; width: 100%; height: auto; max-width: 560px; margin: 0 auto; }
.chart text { font-size: 12px; fill: var(--soft); }
.ytick, .value { text-anchor: end; }
.xtick, .xname { text-anchor: middle; }
.chart .name, .chart .value { font-size: 13px; fill: var(--ink); }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.l0 { stroke: var(--c0); } .dot.l0 { fill: var(--c0); }
.line.l1 { stroke: var(--c3); stroke-dasharray: 5 4; } .dot.l1 { fill: var(--c3); }
.line.l2 { stroke: var(--waste); stroke-dasharray: 2 3; } .dot.l2 { fill: none; }
.f0 { fill: var(--c0); } .f1 { fill: var(--c1); } .f2 { fill: var(--c2); } .f3 { fill: var(--c3); }
.fw { fill: var(--waste); }
.track { fill: var(--track); }
.cover { fill: transparent; } .cover:hover { fill: var(--ink); fill-opacity: 0.08; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 8px 0 0;
  padding: 0; color: var(--soft); font-size: 13px; }
.legend i { display: inline-block; width: 18px; margin-right: 6px; vertical-align: middle;
  border-top: 3px solid; }
.legend .l0 { border-color: var(--c0); } .legend .l1 { border-color: var(--c3); border-top-style: dashed; }
.legend .l2 { border-color: var(--waste); border-top-style: dotted; }
.legend .f0, .legend .f1, .legend .f2, .legend .f3, .legend .fw { border-top-width: 11px; }
.legend .f0 { border-color: var(--c0); } .legend .f1 { border-color: var(--c1); }
.legend .f2 { border-color: var(--c2); } .legend .f3 { border-color: var(--c3); }
.legend .fw { border-color: var(--waste); }
details { margin-top: 10px; font-size: 13px; }
summary { cursor: pointer; color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: left; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
.n { text-align: right; }
.wide { padding: 12px 16px; } .wide details { margin: 0; }
footer { grid-column: 1 / -1; color: var(--soft); font-size: 13px; }
@media (max-width: 480px) { main { padding: 14px 10px 30px; } figure { padding: 12px 10px; }
  .tiles { grid-template-columns: 1fr 1fr; } .tiles dd { font-size: 17px; } }
@media print { :root { --page: #fff; --card: #fff; } body { font-size: 11px; }
  main { display: block; max-width: none; padding: 0; }
  main > * { margin-bottom: 10px; } .chart { max-width: 420px; margin: 0; }
  .tiles { grid-template-columns: repeat(4, 1fr); } h2 { break-after: avoid; } }
)css";

// The policy lets nothing in from outside, whatever a name may say.
constexpr char kHead[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" "
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

bool IsFigure(const std::string& cell) {
  return !cell.empty() &&
         (absl::ascii_isdigit(static_cast<unsigned char>(cell[0])) || cell[0] == '-');
}

}  // namespace

std::string Element(const std::string& tag, const std::string& text) {
  return absl::StrCat("<", tag, ">", EscapeMarkup(text), "</", tag, ">\n");
}

std::string HtmlTable(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return "";
  std::string out = "<div class=\"scroll\"><table>\n<thead><tr>";
  for (size_t i = 0; i < rows[0].size(); ++i) {
    // A head stands above its column, on the side where the figures are.
    const bool right = rows.size() > 1 && i < rows[1].size() && IsFigure(rows[1][i]);
    absl::StrAppend(&out, right ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">",
                    EscapeMarkup(rows[0][i]), "</th>");
  }
  out += "</tr></thead>\n<tbody>\n";
  for (size_t r = 1; r < rows.size(); ++r) {
    out += "<tr>";
    for (const std::string& cell : rows[r]) {
      absl::StrAppend(&out, IsFigure(cell) ? "<td class=\"n\">" : "<td>", EscapeMarkup(cell),
                      "</td>");
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string Card(const std::string& title, const std::string& drawing_markup,
                 const std::vector<Key>& legend,
                 const std::vector<std::vector<std::string>>& table) {
  std::string out =
      absl::StrCat("<figure><figcaption>", EscapeMarkup(title), "</figcaption>\n", drawing_markup);
  if (!legend.empty()) {
    out += "<ul class=\"legend\">";
    for (const Key& key : legend) {
      absl::StrAppend(&out, "<li><i class=\"", key.style, "\"></i>", EscapeMarkup(key.name),
                      "</li>");
    }
    out += "</ul>\n";
  }
  if (!table.empty()) {
    absl::StrAppend(&out, "<details><summary>As a table</summary>\n", HtmlTable(table),
                    "</details>\n");
  }
  return out + "</figure>\n";
}

std::string Note(const std::string& text) {
  return absl::StrCat("<p class=\"note\">", EscapeMarkup(text), "</p>\n");
}

std::string NoteList(const std::vector<std::string>& sentences) {
  std::string out = "<ul class=\"note\">\n";
  for (const std::string& sentence : sentences) out += Element("li", sentence);
  return out + "</ul>\n";
}

std::string Heading(const std::string& title) { return Element("h2", title); }

std::string Tiles(const std::vector<std::pair<std::string, std::string>>& tiles) {
  std::string out = "<dl class=\"tiles\">\n";
  for (const auto& [name, figure] : tiles) {
    absl::StrAppend(&out, "<div><dt>", EscapeMarkup(name), "</dt><dd>", EscapeMarkup(figure),
                    "</dd></div>\n");
  }
  return out + "</dl>\n";
}

std::string HtmlDocument(const std::string& title, const std::string& body_markup) {
  return absl::StrCat(kHead, Element("title", title), "<style>", kStyle, "</style>\n",
                      "</head>\n<body>\n<main>\n", body_markup, "</main>\n</body>\n</html>\n");
}

}  // namespace fedwatt::cli
