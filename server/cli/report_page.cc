#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/bytes.h"
#include "common/base/hex.h"
#include "server/cli/job_text.h"
#include "server/cli/report_html.h"
#include "server/cli/report_svg.h"
#include "server/cli/report_view.h"
#include "server/cli/report_words.h"

namespace fedwatt::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr size_t kMostClientsListed = 200;
constexpr size_t kMostBins = 20;

std::string CountTick(double value) { return absl::StrFormat("%g", value); }

// Ids must differ for every drawing of the page.
std::string Id(const std::string& what, size_t index) { return absl::StrCat(what, "-", index); }

// The kinds keep their colour through the whole page.
std::string StyleOf(size_t kind) { return absl::StrCat("f", std::min<size_t>(kind, 3)); }

std::string Header(const v1::Job& job) {
  std::string line = absl::StrCat(job.rounds_done(), " of ", job.spec().rounds(), " rounds, from ",
                                  TimeText(job.created_ms()));
  if (job.ended_ms() > job.created_ms()) {
    absl::StrAppend(&line, " to ", TimeText(job.ended_ms()), " (",
                    HumanDuration(job.ended_ms() - job.created_ms()), ")");
  }
  return absl::StrCat("<header>\n", Element("h1", "Job " + job.id()),
                      Element("p", absl::StrCat("State: ", StateText(job), ".")),
                      Element("p", line), "</header>\n");
}

std::string KeyFigures(const ReportView& view) {
  const v1::Job& job = view.data.job;
  std::vector<std::pair<std::string, std::string>> tiles;
  const MetricSeries metric = MetricOverRounds(job, job.spec().stop().metric());
  if (job.has_best_metric()) {
    tiles.emplace_back(absl::StrCat("best ", metric.name, ", round ", job.best().version()),
                       MetricValueText(metric, job.best_metric()));
  }
  for (const KindFigures& figures : view.data.kinds) {
    tiles.emplace_back(KindText(figures.kind), JoulesText(figures.total.joules()));
    for (const auto& [kind, grams] : figures.grams) {
      tiles.emplace_back(absl::StrCat("grams of the ", KindText(figures.kind), "; ", kind),
                         GramsText(grams.total_g));
    }
  }
  if (view.data.kinds.empty()) tiles.emplace_back("joules", "none reported");
  tiles.emplace_back("sent by devices, and to them",
                     absl::StrCat(HumanBytes(job.bytes_up()), ", ", HumanBytes(job.bytes_down())));
  return Tiles(tiles);
}

std::string Targets(const ReportView& view) {
  if (view.targets.empty()) return "";
  std::vector<std::string> lines;
  for (const TargetResult& target : view.targets) {
    lines.push_back(
        absl::StrCat(target.passed ? "Passed" : "MISSED", ": ", target.name, ", ", target.text));
  }
  return absl::StrCat(Heading("Targets"), NoteList(lines));
}

std::string Quality(const ReportView& view) {
  return absl::StrCat(Heading("How good these figures are"), NoteList(QualitySentences(view.data)));
}

std::vector<std::pair<double, double>> Points(const std::map<uint64_t, double>& series) {
  std::vector<std::pair<double, double>> points;
  for (const auto& [round, value] : series) points.emplace_back(round, value);
  return points;
}

std::string ValueOr(const std::map<uint64_t, double>& series, uint64_t round,
                    const std::function<std::string(double)>& text) {
  const auto found = series.find(round);
  return found == series.end() ? "-" : text(found->second);
}

std::string MetricCard(const v1::Job& job, const std::string& name, size_t index) {
  const MetricSeries series = MetricOverRounds(job, name);
  if (series.empty()) return "";
  const auto text = [&](double value) { return MetricValueText(series, value); };
  const auto tick = [&](double value) {
    return series.is_share ? absl::StrFormat("%g %%", value * 100) : absl::StrFormat("%.3g", value);
  };
  LineChart chart{.text = {Id("metric", index), absl::StrCat(name, " over rounds"),
                           "Lines over the rounds; the same figures are in the table below."},
                  .x_name = "round",
                  .y_text = tick};
  std::vector<Key> legend;
  if (!series.held_out.empty()) {
    chart.lines.push_back({"l0", Points(series.held_out)});
    legend.push_back({"l0", "held-out data"});
  }
  if (!series.on_clients.empty()) {
    chart.lines.push_back({"l1", Points(series.on_clients)});
    legend.push_back({"l1", "clients' own data, after training"});
  }
  Rows table = {{"round", "held out", "on clients"}};
  for (const v1::RoundSummary& round : job.rounds()) {
    const uint64_t number = round.key().round();
    table.push_back({absl::StrCat(number), ValueOr(series.held_out, number, text),
                     ValueOr(series.on_clients, number, text)});
  }
  return Card(absl::StrCat(name, " over rounds"), Draw(chart), legend, table);
}

std::string Metrics(const v1::Job& job) {
  std::string cards;
  std::vector<std::string> names = {job.spec().stop().metric(), "accuracy", "loss"};
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (!name.empty() && seen.insert(name).second) cards += MetricCard(job, name, seen.size());
  }
  if (cards.empty()) cards = Note("No round has ended with a metric.");
  return absl::StrCat(Heading("What was learnt"), cards);
}

std::string RoundsCard(const KindFigures& figures, size_t index) {
  ColumnChart chart{
      .text = {Id("rounds", index), absl::StrCat("Joules over rounds, ", KindText(figures.kind)),
               "One column for each round; what was wasted stands on top."},
      .x_name = "round",
      .x_text = CountTick,
      .y_text = JoulesTick,
      .whole_x = true,
      .style = StyleOf(index)};
  Rows table = {{"round", "useful", "wasted", "samples", "without a figure"}};
  for (const auto& [round, spent] : figures.rounds) {
    const auto at = static_cast<double>(round);
    const std::string wasted = JoulesText(spent.wasted_j);
    table.push_back({absl::StrCat(round), spent.known() ? JoulesText(spent.useful_j) : "-",
                     spent.known() ? wasted : "-", absl::StrCat(spent.samples),
                     absl::StrCat(spent.unavailable)});
    if (!spent.known()) continue;
    chart.columns.push_back(
        {at - 0.4, at + 0.4, spent.useful_j, spent.wasted_j,
         absl::StrCat("round ", round, ": ", JoulesText(spent.joules()), ", ", wasted, " wasted")});
  }
  return Card(absl::StrCat("Joules over rounds: ", KindText(figures.kind)), Draw(chart),
              {{StyleOf(index), "useful"}, {"fw", "wasted"}}, table);
}

std::string UseCard(const ReportData& data) {
  BarChart chart{.text = {"use-0", "Used against wasted",
                          "One bar for each kind of figure, from nothing to all of it."}};
  Rows table = {{"kind", "useful", "wasted", "wasted share", "sigma at most"}};
  for (size_t i = 0; i < data.kinds.size(); ++i) {
    const Spent& total = data.kinds[i].total;
    const double share = total.joules() > 0 ? total.wasted_j / total.joules() : 0;
    chart.bars.push_back({.label = KindText(data.kinds[i].kind),
                          .value = total.joules() > 0 ? 1 - share : 0,
                          .wasted = share,
                          .value_text = absl::StrCat(PercentText(share), " wasted"),
                          .style = StyleOf(i)});
    table.push_back({KindText(data.kinds[i].kind), JoulesText(total.useful_j),
                     JoulesText(total.wasted_j), PercentText(share),
                     total.sigma_j > 0 ? JoulesText(total.sigma_j) : "-"});
  }
  return Card("Used against wasted (late, failed, abandoned or not needed)", Draw(chart),
              {{"fw", "wasted"}}, table);
}

std::string Joules(const ReportData& data) {
  std::string out = Heading("Joules over rounds");
  if (data.kinds.empty()) return out + Note(kNoJoules);
  for (size_t i = 0; i < data.kinds.size(); ++i) out += RoundsCard(data.kinds[i], i);
  return out + UseCard(data);
}

std::string PhaseCard(const KindFigures& figures, size_t index) {
  BarChart chart{.text = {Id("phases", index),
                          absl::StrCat("Joules by phase, ", KindText(figures.kind)),
                          "One bar for each phase; what was wasted is at its end."}};
  Rows table = {{"phase", "useful", "wasted", "samples", "without a figure"}};
  for (const auto& [phase, spent] : figures.phases) {
    const std::string text = spent.known() ? JoulesText(spent.joules()) : "no figure";
    chart.bars.push_back({PhaseText(phase), spent.useful_j, spent.wasted_j, text, StyleOf(index)});
    table.push_back({PhaseText(phase), spent.known() ? JoulesText(spent.useful_j) : "-",
                     spent.known() ? JoulesText(spent.wasted_j) : "-", absl::StrCat(spent.samples),
                     absl::StrCat(spent.unavailable)});
  }
  return Card(absl::StrCat("Joules by phase: ", KindText(figures.kind)), Draw(chart),
              {{StyleOf(index), "useful"}, {"fw", "wasted"}}, table);
}

std::string SecondsCard(const v1::Job& job) {
  std::map<std::string, double> seconds;
  for (const v1::RoundSummary& round : job.rounds()) {
    for (const auto& [phase, spent] : round.seconds_by_phase()) seconds[phase] += spent;
  }
  if (seconds.empty()) return "";
  BarChart chart{.text = {"seconds-0", "Seconds by phase", "One bar for each phase."}};
  for (const auto& [phase, spent] : seconds) {
    chart.bars.push_back({.label = phase,
                          .value = spent,
                          .value_text = HumanDuration(static_cast<int64_t>(spent * 1000)),
                          .style = "f3"});
  }
  return Card("Seconds by phase, all devices together", Draw(chart), {}, {});
}

std::string Phases(const ReportData& data) {
  std::string out = Heading("By phase");
  bool any = false;
  for (size_t i = 0; i < data.kinds.size(); ++i) {
    if (data.kinds[i].phases.empty()) continue;
    out += PhaseCard(data.kinds[i], i);
    any = true;
  }
  out += SecondsCard(data.job);
  if (!any) out += Note(data.has_phases ? kNoJoules : kNoPhases);
  return out;
}

std::string GramsCard(const KindFigures& figures, const std::string& kind, const Grams& grams,
                      size_t index, size_t drawing) {
  const std::string title =
      absl::StrCat("Grams over rounds: ", kind, ", of ", KindText(figures.kind));
  ColumnChart chart{.text = {Id("grams", drawing), title, "One column for each round."},
                    .x_name = "round",
                    .x_text = CountTick,
                    .y_text = GramsTick,
                    .whole_x = true,
                    .style = StyleOf(index)};
  Rows table = {{"round", "grams"}};
  for (const auto& [round, value] : grams.rounds) {
    const auto at = static_cast<double>(round);
    chart.columns.push_back(
        {at - 0.4, at + 0.4, value, 0, absl::StrCat("round ", round, ": ", GramsText(value))});
    table.push_back({absl::StrCat(round), GramsText(value)});
  }
  return Card(title, Draw(chart), {}, table);
}

std::string Carbon(const ReportData& data) {
  std::string out = Heading("Carbon");
  if (!data.has_grams) return out + Note(kNoGrams);
  std::vector<std::string> notes;
  size_t drawing = 0;
  for (size_t i = 0; i < data.kinds.size(); ++i) {
    const KindFigures& figures = data.kinds[i];
    for (const auto& [kind, grams] : figures.grams) {
      out += GramsCard(figures, kind, grams, i, drawing++);
      if (grams.stale_g > 0) {
        notes.push_back(absl::StrCat(GramsText(grams.stale_g), " of ", GramsText(grams.total_g),
                                     " (", kind, ") are by figures that were out of date."));
      }
    }
    if (figures.without_grams_j > 0) {
      notes.push_back(absl::StrCat(JoulesText(figures.without_grams_j), " ", KindText(figures.kind),
                                   " have no figure in grams, and are not free of them."));
    }
  }
  return out + (notes.empty() ? "" : NoteList(notes));
}

std::string BurndownCard(const Burndown& burndown, size_t index) {
  const auto text = [&](double value) {
    return burndown.unit == "J" ? JoulesText(value) : GramsText(value);
  };
  // The budget is whole before the first round.
  std::vector<std::pair<double, double>> left = {{0, burndown.limit}};
  for (const auto& point : Points(burndown.left)) left.push_back(point);
  const double last = left.back().first;
  const std::string title = absl::StrCat("Left of a budget of ", text(burndown.limit));
  LineChart chart{
      .text = {Id("budget", index), title,
               "Falls with what is booked; below the line at zero nothing is assigned."},
      .x_name = "round",
      .y_text = burndown.unit == "J" ? JoulesTick : GramsTick,
      .from_zero = true,
      .lines = {{"l0", left}, {"l2", {{0, 0}, {std::max(last, 1.0), 0}}}}};
  Rows table = {{"round", "left"}};
  for (const auto& [round, value] : burndown.left) {
    table.push_back({absl::StrCat(round), text(value)});
  }
  return absl::StrCat(
      Card(title, Draw(chart), {{"l0", "left, by what is booked"}, {"l2", "nothing left"}}, table),
      Note(absl::StrCat(text(burndown.booked), " of ", text(burndown.limit), " are booked and ",
                        text(burndown.reserved),
                        " reserved for running work. A client without a usable figure is booked "
                        "by what was predicted, so booked sums may differ from reported ones.")));
}

std::string Budget(const v1::Job& job) {
  std::string out = Heading("Budget");
  const std::vector<Burndown> burndowns = BurndownsOf(job);
  const std::vector<std::string> others = OtherLimits(job);
  if (burndowns.empty() && others.empty()) return out + Note(kNoBudget);
  for (size_t i = 0; i < burndowns.size(); ++i) out += BurndownCard(burndowns[i], i);
  if (!others.empty()) out += Note("Other limits: " + absl::StrJoin(others, ", ") + ".");
  return out;
}

std::string HistogramOf(const KindFigures& figures, size_t index) {
  const std::vector<ClientSpent>& clients = figures.clients;
  const double least = clients.front().spent.joules();
  const double most = clients.back().spent.joules();
  const size_t bins = most > least ? std::clamp<size_t>(clients.size() / 2, 4, kMostBins) : 1;
  const double width = most > least ? (most - least) / static_cast<double>(bins)
                                    : std::max(std::abs(most) * 0.1, 1e-6);
  std::vector<uint64_t> counts(bins, 0);
  for (const ClientSpent& client : clients) {
    const double bin = (client.spent.joules() - least) / width;
    ++counts[std::min(bins - 1, static_cast<size_t>(std::max(bin, 0.0)))];
  }
  ColumnChart chart{.text = {Id("clients", index),
                             absl::StrCat("Joules of each client, ", KindText(figures.kind)),
                             "How many clients spent how much."},
                    .x_name = "joules of one client",
                    .x_text = JoulesTick,
                    .y_text = CountTick,
                    .whole_y = true,
                    .style = StyleOf(index)};
  for (size_t i = 0; i < bins; ++i) {
    const double from = least + width * static_cast<double>(i);
    chart.columns.push_back({from + width * 0.04, from + width * 0.96,
                             static_cast<double>(counts[i]), 0,
                             absl::StrCat(counts[i], " clients with ", JoulesText(from), " to ",
                                          JoulesText(from + width))});
  }
  return Draw(chart);
}

std::string ClientsCard(const KindFigures& figures, size_t index) {
  Rows table = {{"client", "useful", "wasted", "without a figure"}};
  size_t listed = 0;
  for (auto it = figures.clients.rbegin();
       it != figures.clients.rend() && listed < kMostClientsListed; ++it, ++listed) {
    table.push_back({"client " + it->client.substr(0, 12), JoulesText(it->spent.useful_j),
                     JoulesText(it->spent.wasted_j), absl::StrCat(it->spent.unavailable)});
  }
  if (listed < figures.clients.size()) {
    table.push_back(
        {absl::StrCat("and ", figures.clients.size() - listed, " that spent less"), "", "", ""});
  }
  return Card(absl::StrCat("Joules of each client: ", KindText(figures.kind)),
              HistogramOf(figures, index), {}, table);
}

std::string Clients(const ReportData& data) {
  std::string out = Heading("Over the clients");
  std::vector<std::string> notes;
  for (size_t i = 0; i < data.kinds.size(); ++i) {
    const KindFigures& figures = data.kinds[i];
    if (figures.clients.empty()) continue;
    out += ClientsCard(figures, i);
    notes.push_back(SpreadSentence(figures));
  }
  if (notes.empty()) return out + Note(data.has_clients ? kNoJoules : kNoClients);
  return out + NoteList(notes);
}

std::string CentralCard(const CentralEstimate::Compute& compute, size_t index) {
  const std::string repeated = compute.by_phase ? "training" : "all useful joules";
  BarChart chart{.text = {Id("central", index), "Devices against a data centre: compute",
                          "Bars of joules on one scale."},
                 .bars = {{.label = "devices, all that was spent",
                           .value = compute.federated_j,
                           .value_text = JoulesText(compute.federated_j),
                           .style = StyleOf(index)},
                          {.label = "data centre, by assumption",
                           .value = compute.central_j,
                           .value_text = JoulesText(compute.central_j),
                           .style = "f3"}}};
  return Card("Compute: " + KindText(compute.kind), Draw(chart), {},
              {{"", "joules"},
               {"devices, all that was spent", JoulesText(compute.federated_j)},
               {"devices, " + repeated, JoulesText(compute.training_j)},
               {"data centre, by assumption", JoulesText(compute.central_j)}});
}

std::string Central(const ReportView& view) {
  const CentralEstimate& central = view.central;
  std::string out = Heading("Against sending the data and training centrally");
  for (size_t i = 0; i < central.compute.size(); ++i) out += CentralCard(central.compute[i], i);
  const std::string updates = absl::StrCat(
      "models and updates, ", HumanBytes(static_cast<uint64_t>(central.federated_bytes)));
  const std::string data = absl::StrCat(
      "the data, once, ", HumanBytes(static_cast<uint64_t>(std::min(central.upload_bytes, 1e18))));
  BarChart chart{.text = {"network-0", "Devices against a data centre: network",
                          "Bars of joules on one scale."},
                 .bars = {{.label = updates,
                           .value = central.federated_network_j,
                           .value_text = JoulesText(central.federated_network_j),
                           .style = "f3"},
                          {.label = data,
                           .value = central.central_network_j,
                           .value_text = JoulesText(central.central_network_j),
                           .style = "f3"}}};
  out += Card("Network and radio: both by assumption", Draw(chart), {}, {});
  std::vector<std::string> notes = central.assumptions;
  if (central.compute.empty()) notes.insert(notes.begin(), kNoJoules);
  return out + NoteList(notes);
}

std::string RoundTableMarkup(const v1::Job& job) {
  Rows rows = {{"round", "reports", "failed", "late", "up", "down", "seconds", "codecs", "model"}};
  for (const v1::RoundSummary& round : job.rounds()) {
    rows.push_back(
        {absl::StrCat(round.key().round()), absl::StrCat(round.reported(), "/", round.assigned()),
         absl::StrCat(round.failed()), absl::StrCat(round.late()), HumanBytes(round.bytes_up()),
         HumanBytes(round.bytes_down()),
         absl::StrFormat("%.1f", static_cast<double>(round.ended_ms() - round.started_ms()) * 1e-3),
         CodecText(round.codecs()), HexEncode(AsBytes(round.model().sha256())).substr(0, 16)});
  }
  return absl::StrCat("<div class=\"wide\"><details><summary>Every round</summary>\n",
                      HtmlTable(rows), "</details></div>\n");
}

}  // namespace

std::string ReportPage(const ReportView& view) {
  const v1::Job& job = view.data.job;
  const std::string body =
      absl::StrCat(Header(job), KeyFigures(view), Targets(view), Quality(view), Metrics(job),
                   absl::StrCat(Joules(view.data), Phases(view.data), Carbon(view.data),
                                Budget(job), Clients(view.data)),
                   absl::StrCat(Central(view), Heading("Joules per inference"),
                                NoteList(InferenceSentences(view.data, view.joules_per_inference)),
                                Heading("Rounds"), RoundTableMarkup(job)),
                   "<footer>Joules are listed by where they come from (docs/energy.md); an "
                   "unavailable figure is "
                   "never zero.</footer>\n");
  return HtmlDocument("fedwatt report: job " + job.id(), body);
}

}  // namespace fedwatt::cli
