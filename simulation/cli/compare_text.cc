#include "simulation/cli/compare_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "server/cli/report_html.h"
#include "server/cli/text_table.h"
#include "simulation/compare/plot.h"

namespace fedwatt::cli {
namespace {

using nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

constexpr size_t kColumns = 100;

const char* BoundText(Bound bound) {
  switch (bound) {
    case Bound::kAtLeast:
      return ">=";
    case Bound::kAtMost:
      return "<=";
    case Bound::kUnknown:
      return "~";
    case Bound::kExact:
      return "";
  }
  return "";
}

std::string Mean(const std::optional<Estimate>& mean) {
  return mean.has_value() ? BoundText(mean->bound) + FigureText(mean->value) : "-";
}

std::string MeanInterval(const std::optional<Estimate>& mean) {
  if (!mean.has_value() || !mean->interval.has_value()) return "-";
  return absl::StrCat("[", FigureText(mean->interval->low), ", ", FigureText(mean->interval->high),
                      "]");
}

std::string Change(const std::optional<Comparison>& against) {
  if (!against.has_value() || !against->change.has_value()) return "-";
  const Estimate& change = *against->change;
  return absl::StrFormat("%s%+.1f %%", BoundText(change.bound), change.value * 100);
}

std::string ChangeInterval(const std::optional<Comparison>& against) {
  if (!against.has_value() || !against->change.has_value()) return "-";
  const auto& interval = against->change->interval;
  if (!interval.has_value()) return "-";
  return absl::StrFormat("[%+.1f, %+.1f]", interval->low * 100, interval->high * 100);
}

std::string Wins(const std::optional<Comparison>& against, bool less) {
  if (!against.has_value()) return "-";
  return absl::StrCat(less ? against->less : against->more, " of ", against->pairs);
}

std::string ClaimFigure(const ClaimReport& claim) {
  if (claim.pairs == 0) return "-";
  Comparison comparison;
  if (claim.claim.relative) {
    comparison.change = claim.figure;
    return absl::StrCat(Change(comparison), " ", ChangeInterval(comparison));
  }
  return absl::StrCat(Mean(claim.figure), " ", MeanInterval(claim.figure));
}

// "; it holds while the one such run comes to 8400000 or less (it had come to 1600000)".
std::string TippingPointText(const ClaimReport& claim) {
  if (!claim.tipping_point) return "";
  const TippingPoint& point = *claim.tipping_point;
  const bool one = point.runs == 1;
  return absl::StrCat("; it holds while ", one ? "the one such run" : "each of such runs",
                      " comes to ", FigureText(point.at_most), " or less (",
                      one ? "it" : absl::StrCat("these ", point.runs), " had come to ",
                      one ? "" : "at most ", FigureText(point.reached), ")");
}

// "holds: -27.1 % [-31.0, -22.4]".
std::string VerdictText(const ClaimReport& claim) {
  const char* const verdict =
      claim.verdict == ClaimVerdict::kOpen ? "is open" : VerdictName(claim.verdict);
  return absl::StrCat(verdict, claim.why.empty() ? "" : ", for ", claim.why, ": ",
                      ClaimFigure(claim), TippingPointText(claim));
}

Rows ClaimRows(const Claims& claims) {
  Rows rows = {{"claimed before", "verdict", "found"}};
  for (const ClaimReport& claim : claims) {
    rows.push_back({claim.Text(), VerdictName(claim.verdict),
                    absl::StrCat(ClaimFigure(claim), claim.why.empty() ? "" : "; ", claim.why,
                                 TippingPointText(claim))});
  }
  return rows;
}

std::string Direction(const PrimaryOutcome& outcome) {
  return outcome.less_is_better ? "less" : "more";
}

std::string Head(const ComparisonReport& report) {
  return absl::StrCat(report.name, ": ", report.seeds, " seeds (", report.seeds_name, "), code ",
                      report.code, "; all figures are simulated");
}

std::string OutcomeHead(const ComparisonReport& report) {
  std::string unit;
  for (const SettingReport& setting : report.settings) {
    const MeasureReport* const measure = setting.Find(report.outcome.measure);
    if (measure != nullptr && !measure->unit.empty()) unit = " in " + measure->unit;
  }
  std::string text = absl::StrCat(report.outcome.measure, unit, ", ", Direction(report.outcome),
                                  " is better; change against ", report.outcome.reference);
  if (report.outcome.target.has_value()) {
    absl::StrAppendFormat(&text, "; target: mean %s of %g over %d evaluations", report.metric,
                          report.outcome.target->value, report.outcome.target->window);
  }
  return text;
}

Rows OutcomeRows(const ComparisonReport& report) {
  Rows rows = {{"setting", "runs", "censored", "mean", "95 %", "change", "95 %",
                Direction(report.outcome) + " on"}};
  for (const SettingReport& setting : report.settings) {
    const MeasureReport* const measure = setting.Find(report.outcome.measure);
    const MeasureReport none;
    const MeasureReport& one = measure == nullptr ? none : *measure;
    rows.push_back({setting.variant.setting, absl::StrCat(one.runs), absl::StrCat(one.censored),
                    Mean(one.mean), MeanInterval(one.mean), Change(one.against),
                    ChangeInterval(one.against), Wins(one.against, report.outcome.less_is_better)});
  }
  return rows;
}

std::vector<std::string> OtherMeasures(const ComparisonReport& report) {
  std::vector<std::string> names;
  for (const SettingReport& setting : report.settings) {
    for (const MeasureReport& measure : setting.measures) {
      const bool known = std::find(names.begin(), names.end(), measure.name) != names.end();
      if (!known && measure.name != report.outcome.measure) names.push_back(measure.name);
    }
  }
  return names;
}

// One column of a table of the other measures: its head and a cell for each setting.
std::vector<std::string> MeasureColumn(const ComparisonReport& report, const std::string& name,
                                       bool intervals) {
  std::vector<std::string> column = {name};
  for (const SettingReport& setting : report.settings) {
    const MeasureReport* const measure = setting.Find(name);
    if (measure == nullptr) {
      column.emplace_back("-");
      continue;
    }
    if (!measure->unit.empty()) column[0] = absl::StrCat(name, ", ", measure->unit);
    column.push_back(Mean(measure->mean));
    if (intervals && measure->mean.has_value() && measure->mean->interval.has_value()) {
      absl::StrAppend(&column.back(), " ", MeanInterval(measure->mean));
    }
  }
  return column;
}

std::vector<std::string> NameColumn(const ComparisonReport& report) {
  std::vector<std::string> column = {"mean"};
  for (const SettingReport& setting : report.settings) column.push_back(setting.variant.setting);
  return column;
}

size_t Width(const std::vector<std::string>& column) {
  size_t width = 0;
  for (const std::string& cell : column) width = std::max(width, cell.size() + 2);
  return width;
}

Rows RowsOf(const std::vector<std::vector<std::string>>& columns) {
  Rows rows(columns.front().size());
  for (const std::vector<std::string>& column : columns) {
    for (size_t i = 0; i < column.size(); ++i) rows[i].push_back(column[i]);
  }
  return rows;
}

// As many of the other measures side by side as fit.
std::vector<Rows> OtherTables(const ComparisonReport& report) {
  std::vector<Rows> tables;
  const std::vector<std::string> names = NameColumn(report);
  std::vector<std::vector<std::string>> columns = {names};
  size_t width = Width(names);
  for (const std::string& measure : OtherMeasures(report)) {
    std::vector<std::string> column = MeasureColumn(report, measure, false);
    if (columns.size() > 1 && width + Width(column) > kColumns) {
      tables.push_back(RowsOf(columns));
      columns = {names};
      width = Width(names);
    }
    width += Width(column);
    columns.push_back(std::move(column));
  }
  if (columns.size() > 1) tables.push_back(RowsOf(columns));
  return tables;
}

std::vector<std::string> Notes(const ComparisonReport& report) {
  std::vector<std::string> notes;
  for (const SettingReport& setting : report.settings) {
    const std::string& name = setting.variant.setting;
    if (!setting.variant.chosen.empty()) {
      notes.push_back(absl::StrCat(name, " has ", KeysText(setting.variant.chosen), ", by tuning"));
    }
    if (setting.runs < report.seeds) {
      notes.push_back(
          absl::StrCat(name, " has ", setting.runs, " of ", report.seeds, " runs: not complete"));
    }
  }
  for (const SettingReport& setting : report.settings) {
    const MeasureReport* const measure = setting.Find(report.outcome.measure);
    if (measure == nullptr || measure->censored == 0) continue;
    notes.emplace_back(
        "a censored run ended before its target; it counts with what it had come to, so that a "
        "mean "
        "is at least (>=), and a change at least or at most (<=), what is shown; ~ where both "
        "settings have such runs");
    break;
  }
  notes.emplace_back(
      "95 % intervals: percentiles of 10,000 bootstrap resamples of the seeds, pairs drawn "
      "together");
  return notes;
}

// Lines of at most kColumns, the second and following ones indented.
std::string Wrapped(const std::string& text) {
  std::string out;
  size_t width = 0;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (width > 0 && width + 1 + word.size() > kColumns) {
      out += "\n  ";
      width = 2;
    } else if (width > 0) {
      out += " ";
      ++width;
    }
    absl::StrAppend(&out, word);
    width += word.size();
  }
  return out + "\n";
}

std::string MarkdownTable(const Rows& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    absl::StrAppend(&text, "| ", absl::StrJoin(rows[i], " | "), " |\n");
    if (i > 0) continue;
    text += "|";
    for (size_t k = 0; k < rows[0].size(); ++k) text += k == 0 ? "---|" : "---:|";
    text += "\n";
  }
  return text;
}

json ToJson(const std::optional<ConfidenceInterval>& interval) {
  if (!interval.has_value()) return nullptr;
  return {interval->low, interval->high};
}

json ToJson(const std::optional<Estimate>& estimate) {
  if (!estimate.has_value()) return nullptr;
  const char* const bound = BoundText(estimate->bound);
  return {{"value", estimate->value},
          {"interval", ToJson(estimate->interval)},
          {"bound", *bound == '\0' ? "exact" : bound}};
}

json ToJson(const std::optional<TippingPoint>& point) {
  if (!point.has_value()) return nullptr;
  return {{"runs", point->runs}, {"reached", point->reached}, {"at_most", point->at_most}};
}

json ToJson(const MeasureReport& measure) {
  json out = {{"unit", measure.unit},
              {"runs", measure.runs},
              {"censored", measure.censored},
              {"mean", ToJson(measure.mean)}};
  if (!measure.against.has_value()) return out;
  const Comparison& against = *measure.against;
  out["against_reference"] = {{"pairs", against.pairs},
                              {"change", ToJson(against.change)},
                              {"difference", ToJson(std::optional<Estimate>(against.difference))},
                              {"less", against.less},
                              {"more", against.more}};
  return out;
}

json ToJson(const SettingReport& setting) {
  json out = {{"setting", setting.variant.setting},
              {"chosen", setting.variant.chosen},
              {"set", setting.variant.set},
              {"runs", setting.runs},
              {"outcome", json::array()},
              {"measures", json::object()},
              {"curve", json::array()}};
  for (const auto& [seed, run] : setting.outcome) {
    out["outcome"].push_back({{"seed", seed}, {"value", run.value}, {"censored", run.censored}});
  }
  for (const MeasureReport& measure : setting.measures) {
    out["measures"][measure.name] = ToJson(measure);
  }
  for (const CurvePoint& point : setting.curve) {
    out["curve"].push_back(
        {{"level", point.level}, {"joules", ToJson(std::optional<Estimate>(point.joules))}});
  }
  return out;
}

Rows TuningRows(const Matrix& matrix, const std::vector<TunedSetting>& settings) {
  Rows rows = {{"setting", "variant", "runs", "censored", "mean " + matrix.outcome.measure, ""}};
  for (const TunedSetting& setting : settings) {
    for (size_t i = 0; i < setting.variants.size(); ++i) {
      const TunedVariant& one = setting.variants[i];
      rows.push_back({setting.setting, KeysText(one.chosen), absl::StrCat(one.runs),
                      absl::StrCat(one.censored),
                      (one.censored > 0 ? ">=" : "") + FigureText(one.mean),
                      i == setting.best && one.runs > 0 ? "best" : ""});
    }
  }
  return rows;
}

}  // namespace

std::string ComparisonText(const ComparisonReport& report, const Claims& claims) {
  std::string text = absl::StrCat(Wrapped(Head(report)), Wrapped(OutcomeHead(report)), "\n",
                                  TextTable(OutcomeRows(report)), "\n");
  for (const ClaimReport& claim : claims) {
    text += Wrapped(absl::StrCat("claimed: ", claim.Text(), ". It ", VerdictText(claim)));
  }
  if (!claims.empty()) text += "\n";
  for (const Rows& table : OtherTables(report)) absl::StrAppend(&text, TextTable(table), "\n");
  for (const std::string& note : Notes(report)) text += Wrapped("- " + note);
  return text;
}

std::string ComparisonMarkdown(const ComparisonReport& report, const Claims& claims,
                               const std::vector<std::string>& plots) {
  std::string text = absl::StrCat(Head(report), ".\n\n", OutcomeHead(report), ".\n\n",
                                  MarkdownTable(OutcomeRows(report)), "\n");
  if (!claims.empty()) absl::StrAppend(&text, MarkdownTable(ClaimRows(claims)), "\n");
  for (const std::string& plot : plots) absl::StrAppend(&text, "![simulated](", plot, ")\n\n");
  // Measures as rows: a page is not as wide as all of them.
  Rows rows = {NameColumn(report)};
  rows[0][0] = "mean [95 %]";
  for (const std::string& name : OtherMeasures(report)) {
    rows.push_back(MeasureColumn(report, name, true));
  }
  absl::StrAppend(&text, MarkdownTable(rows), "\n");
  for (const std::string& note : Notes(report)) absl::StrAppend(&text, "- ", note, "\n");
  return text;
}

std::string ComparisonJson(const ComparisonReport& report, const Claims& claims) {
  json out = {{"quality", "simulated"},
              {"name", report.name},
              {"code", report.code},
              {"seeds_of", report.seeds_name},
              {"seeds", report.seeds},
              {"outcome",
               {{"measure", report.outcome.measure},
                {"better", Direction(report.outcome)},
                {"reference", report.outcome.reference}}},
              {"metric", report.metric},
              {"resamples", Bootstrap::kResamples},
              {"claims", json::array()},
              {"settings", json::array()}};
  for (const ClaimReport& claim : claims) {
    out["claims"].push_back({{"claim", claim.Text()},
                             {"figure", ToJson(std::optional<Estimate>(claim.figure))},
                             {"pairs", claim.pairs},
                             {"verdict", VerdictName(claim.verdict)},
                             {"why", claim.why},
                             {"tipping_point", ToJson(claim.tipping_point)}});
  }
  if (report.outcome.target.has_value()) {
    out["outcome"]["target"] = report.outcome.target->value;
    out["outcome"]["window"] = report.outcome.target->window;
  }
  for (const SettingReport& setting : report.settings) {
    out["settings"].push_back(ToJson(setting));
  }
  return out.dump(2) + "\n";
}

std::string ComparisonPage(const ComparisonReport& report, const Claims& claims) {
  std::string body = Element("h1", report.name) + Note(Head(report)) + Heading(OutcomeHead(report));
  body += absl::StrCat("<div class=\"wide\">", HtmlTable(OutcomeRows(report)), "</div>\n");
  if (!claims.empty()) {
    absl::StrAppend(&body, "<div class=\"wide\">", HtmlTable(ClaimRows(claims)), "</div>\n");
  }
  for (const std::string& plot : {OutcomePlot(report), CurvePlot(report)}) {
    if (!plot.empty()) absl::StrAppend(&body, "<div class=\"wide scroll\">", plot, "</div>\n");
  }
  body += Heading("Other measures");
  for (const Rows& table : OtherTables(report)) {
    absl::StrAppend(&body, "<div class=\"wide\">", HtmlTable(table), "</div>\n");
  }
  return HtmlDocument(report.name + " (simulated)", body + NoteList(Notes(report)));
}

std::string TuningText(const Matrix& matrix, const std::vector<TunedSetting>& settings) {
  return absl::StrCat(matrix.name, ": ", matrix.seeds.at(kTuning).size(),
                      " seeds (tuning); all figures are simulated\n\n",
                      TextTable(TuningRows(matrix, settings)));
}

std::string TuningJson(const Matrix& matrix, const std::vector<TunedSetting>& settings) {
  json out = {{"quality", "simulated"}, {"name", matrix.name}, {"settings", json::array()}};
  for (const TunedSetting& setting : settings) {
    json one = {{"setting", setting.setting}, {"variants", json::array()}};
    if (!setting.variants.empty()) one["chosen"] = setting.variants[setting.best].chosen;
    for (const TunedVariant& variant : setting.variants) {
      one["variants"].push_back({{"chosen", variant.chosen},
                                 {"runs", variant.runs},
                                 {"censored", variant.censored},
                                 {"mean", variant.mean}});
    }
    out["settings"].push_back(std::move(one));
  }
  return out.dump(2) + "\n";
}

}  // namespace fedwatt::cli
