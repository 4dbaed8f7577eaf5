#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/bytes.h"
#include "common/base/hex.h"
#include "server/cli/job_text.h"
#include "server/cli/report_view.h"
#include "server/cli/report_words.h"
#include "server/cli/text_table.h"

namespace fedwatt::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr size_t kLeastColumns = 40;
constexpr size_t kMostBar = 40;
constexpr size_t kLastRounds = 20;

// Writes paragraphs, bars and tables no wider than the terminal.
class Page {
 public:
  explicit Page(const TerminalOptions& options)
      : columns_(std::max(options.columns, kLeastColumns)), unicode_(options.unicode) {}

  size_t columns() const { return columns_; }
  std::string Take() { return std::move(out_); }

  void Heading(const std::string& text) {
    out_ += "\n";
    Words(text, 0);
  }

  // Later lines of a paragraph are indented by two more.
  void Words(const std::string& text, size_t indent = 2) {
    const std::string harmless = Harmless(text);
    std::string line(indent, ' ');
    size_t used = indent;
    bool first = true;
    for (const absl::string_view word : absl::StrSplit(harmless, ' ', absl::SkipEmpty())) {
      if (!first && used + 1 + word.size() > columns_) {
        absl::StrAppend(&out_, line, "\n");
        line.assign(indent + 2, ' ');
        used = indent + 2;
        first = true;
      }
      absl::StrAppend(&line, first ? "" : " ", word);
      used += word.size() + (first ? 0 : 1);
      first = false;
    }
    absl::StrAppend(&out_, line, "\n");
  }

  // One character for each value, or for the mean of neighbours where they do not fit.
  void Sparkline(const std::vector<double>& values) {
    static const std::vector<std::string> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const std::vector<std::string> kLetters = {"_", ".", ":", "-", "=", "+", "*", "#"};
    if (values.size() < 2) return;
    const size_t wide = std::min(values.size(), columns_ - 4);
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double height = *most - *least;
    out_ += "    ";
    for (size_t i = 0; i < wide; ++i) {
      const size_t from = i * values.size() / wide;
      const size_t to = (i + 1) * values.size() / wide;
      double sum = 0;
      for (size_t k = from; k < to; ++k) sum += values[k];
      const double mean = sum / static_cast<double>(to - from);
      const double level = height > 0 ? (mean - *least) / height * 7 : 3;
      out_ += (unicode_ ? kBlocks : kLetters)[static_cast<size_t>(std::lround(level))];
    }
    out_ += "\n";
  }

  struct Bar {
    std::string name;
    double value;
    std::string text;
  };

  void Bars(const std::vector<Bar>& bars) {
    size_t name = 0;
    size_t text = 0;
    double most = 0;
    for (const Bar& bar : bars) {
      name = std::max(name, bar.name.size());
      text = std::max(text, bar.text.size());
      most = std::max(most, bar.value);
    }
    const size_t around = 4 + name + 1 + 1 + text;
    const size_t room = columns_ > around ? std::min(columns_ - around, kMostBar) : 0;
    for (const Bar& bar : bars) {
      const double share = most > 0 ? std::max(bar.value, 0.0) / most : 0;
      const auto long_as = static_cast<size_t>(std::lround(share * static_cast<double>(room)));
      std::string blocks;
      for (size_t i = 0; i < long_as; ++i) blocks += unicode_ ? "█" : "#";
      absl::StrAppendFormat(&out_, "    %-*s %s%s%s\n", static_cast<int>(name), Harmless(bar.name),
                            blocks, long_as > 0 ? " " : "", bar.text);
    }
  }

  // Columns from the left, as many as fit.
  void Table(const std::vector<std::vector<std::string>>& by_column) {
    std::vector<size_t> kept;
    size_t used = 0;
    for (size_t c = 0; c < by_column.size(); ++c) {
      size_t wide = 0;
      for (const std::string& cell : by_column[c]) wide = std::max(wide, cell.size());
      if (used + wide + (kept.empty() ? 0 : 2) > columns_) continue;
      used += wide + (kept.empty() ? 0 : 2);
      kept.push_back(c);
    }
    Rows rows(by_column.empty() ? 0 : by_column[0].size());
    for (const size_t c : kept) {
      for (size_t r = 0; r < rows.size(); ++r) rows[r].push_back(Harmless(by_column[c][r]));
    }
    out_ += TextTable(rows);
  }

 private:
  const size_t columns_;
  const bool unicode_;
  std::string out_;
};

std::vector<double> ValuesOf(const std::map<uint64_t, double>& series) {
  std::vector<double> values;
  values.reserve(series.size());
  for (const auto& [round, value] : series) values.push_back(value);
  return values;
}

void WriteHead(const v1::Job& job, Page* page) {
  page->Words(absl::StrCat("Job ", Harmless(job.id()), ": ", StateText(job)), 0);
  std::string line = absl::StrCat(job.rounds_done(), " of ", job.spec().rounds(), " rounds");
  if (job.ended_ms() > job.created_ms()) {
    absl::StrAppend(&line, " in ", HumanDuration(job.ended_ms() - job.created_ms()));
  }
  absl::StrAppend(&line, "; ", HumanBytes(job.bytes_up()), " up, ", HumanBytes(job.bytes_down()),
                  " down");
  page->Words(line, 2);
}

void WriteMetric(const v1::Job& job, Page* page) {
  const MetricSeries series = MetricOverRounds(job, job.spec().stop().metric());
  if (series.empty()) return;
  const auto& shown = series.held_out.empty() ? series.on_clients : series.held_out;
  page->Heading(Harmless(series.name));
  std::string line = absl::StrCat(MetricValueText(series, shown.begin()->second), " to ",
                                  MetricValueText(series, shown.rbegin()->second));
  if (job.has_best_metric()) {
    absl::StrAppend(&line, ", best ", MetricValueText(series, job.best_metric()), " in round ",
                    job.best().version());
  }
  if (series.held_out.empty()) line += " (on clients' own data)";
  page->Words(line);
  page->Sparkline(ValuesOf(shown));
}

void WriteKind(const KindFigures& figures, Page* page) {
  const Spent& total = figures.total;
  page->Words(absl::StrCat(KindText(figures.kind), ": ", JoulesText(total.joules()), ", of them ",
                           JoulesText(total.wasted_j), " wasted"));
  std::vector<double> rounds;
  for (const auto& [round, spent] : figures.rounds) {
    if (spent.known()) rounds.push_back(spent.joules());
  }
  page->Sparkline(rounds);
  std::vector<Page::Bar> bars;
  for (const auto& [phase, spent] : figures.phases) {
    bars.push_back({PhaseText(phase), spent.joules(),
                    spent.known() ? JoulesText(spent.joules()) : "no figure"});
  }
  page->Bars(bars);
  for (const auto& [kind, grams] : figures.grams) {
    page->Words(absl::StrCat(GramsText(grams.total_g), " (", kind, ")",
                             grams.stale_g > 0 ? ", in part by figures out of date" : ""),
                4);
  }
  if (!figures.clients.empty()) page->Words(SpreadSentence(figures), 4);
}

void WriteJoules(const ReportData& data, Page* page) {
  page->Heading("Joules");
  for (const KindFigures& figures : data.kinds) WriteKind(figures, page);
  if (data.kinds.empty()) page->Words(kNoJoules);
  if (!data.kinds.empty() && !data.has_phases) page->Words(kNoPhases);
  if (!data.kinds.empty() && !data.has_clients) page->Words(kNoClients);
  if (!data.has_grams) page->Words(kNoGrams);
}

void WriteBudget(const v1::Job& job, Page* page) {
  page->Heading("Budget");
  const std::vector<Burndown> burndowns = BurndownsOf(job);
  const std::vector<std::string> others = OtherLimits(job);
  for (const Burndown& burndown : burndowns) {
    const auto text = [&](double value) {
      return burndown.unit == "J" ? JoulesText(value) : GramsText(value);
    };
    page->Words(absl::StrCat(text(burndown.booked), " of ", text(burndown.limit), " booked (",
                             PercentText(burndown.booked / burndown.limit), "), ",
                             text(burndown.reserved), " reserved"));
    page->Sparkline(ValuesOf(burndown.left));
  }
  if (!others.empty()) page->Words("Other limits: " + absl::StrJoin(others, ", "));
  if (burndowns.empty() && others.empty()) page->Words(kNoBudget);
}

void WriteCentral(const CentralEstimate& central, Page* page) {
  page->Heading("Against sending the data and training centrally (by assumption)");
  for (const CentralEstimate::Compute& compute : central.compute) {
    page->Words("compute, " + KindText(compute.kind));
    page->Bars({{"devices", compute.federated_j, JoulesText(compute.federated_j)},
                {"central", compute.central_j, JoulesText(compute.central_j)}});
  }
  page->Words("network and radio");
  page->Bars({{"devices", central.federated_network_j, JoulesText(central.federated_network_j)},
              {"central", central.central_network_j, JoulesText(central.central_network_j)}});
  for (const std::string& assumption : central.assumptions) page->Words(assumption);
}

void WriteRounds(const ReportData& data, bool all, Page* page) {
  const v1::Job& job = data.job;
  if (job.rounds_size() == 0) return;
  page->Heading("Rounds");
  const MetricSeries metric = MetricOverRounds(job, job.spec().stop().metric());
  std::vector<std::vector<std::string>> columns = {{"round"}, {"reports"}, {Harmless(metric.name)}};
  for (const KindFigures& figures : data.kinds) {
    columns.push_back({figures.kind.party == "clients" ? figures.kind.source : "coordinator"});
  }
  for (const char* name : {"seconds", "up", "down", "failed", "late", "model", "codecs"}) {
    columns.push_back({name});
  }
  const int skipped = all ? 0 : std::max(0, job.rounds_size() - static_cast<int>(kLastRounds));
  for (int i = skipped; i < job.rounds_size(); ++i) {
    const v1::RoundSummary& round = job.rounds(i);
    const uint64_t number = round.key().round();
    const auto& series = metric.held_out.empty() ? metric.on_clients : metric.held_out;
    const auto found = series.find(number);
    std::vector<std::string> row = {
        absl::StrCat(number), absl::StrCat(round.reported(), "/", round.assigned()),
        found == series.end() ? "-" : MetricValueText(metric, found->second)};
    for (const KindFigures& figures : data.kinds) {
      const auto spent = figures.rounds.find(number);
      const bool known = spent != figures.rounds.end() && spent->second.known();
      row.push_back(known ? JoulesText(spent->second.joules()) : "-");
    }
    const double seconds = static_cast<double>(round.ended_ms() - round.started_ms()) * 1e-3;
    const std::string model = HexEncode(AsBytes(round.model().sha256())).substr(0, 16);
    for (const std::string& cell :
         {absl::StrFormat("%.1f", seconds), HumanBytes(round.bytes_up()),
          HumanBytes(round.bytes_down()), absl::StrCat(round.failed()), absl::StrCat(round.late()),
          model.empty() ? "-" : model, CodecText(round.codecs())}) {
      row.push_back(cell);
    }
    for (size_t c = 0; c < columns.size(); ++c) columns[c].push_back(row[c]);
  }
  page->Table(columns);
  if (skipped > 0) {
    page->Words(absl::StrCat(skipped, " earlier rounds are not shown; a pipe shows them all"), 0);
  }
}

}  // namespace

std::string ReportText(const ReportView& view, const TerminalOptions& options) {
  const v1::Job& job = view.data.job;
  Page page(options);
  WriteHead(job, &page);
  WriteMetric(job, &page);
  WriteJoules(view.data, &page);
  WriteBudget(job, &page);
  WriteCentral(view.central, &page);
  page.Heading("Joules per inference");
  for (const std::string& sentence : InferenceSentences(view.data, view.joules_per_inference)) {
    page.Words(sentence);
  }
  WriteRounds(view.data, options.all_rounds, &page);
  page.Heading("How good these figures are");
  for (const std::string& sentence : QualitySentences(view.data)) page.Words(sentence);
  if (!view.targets.empty()) page.Heading("Targets");
  for (const TargetResult& target : view.targets) {
    page.Words(absl::StrCat(target.passed ? "passed " : "MISSED ", target.name, ", ", target.text));
  }
  return page.Take();
}

}  // namespace fedwatt::cli
