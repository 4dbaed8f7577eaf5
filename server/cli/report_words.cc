#include "server/cli/report_words.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/wire/schema_words.h"
#include "server/cli/ledger_text.h"

namespace fedwatt::cli {

const char kNoJoules[] =
    "No device has reported joules. `fedwatt meter list` on a device shows which meters it has.";
const char kNoPhases[] = "Joules by phase are not known: the coordinator gave no sums by phase.";
const char kNoClients[] = "Joules by client are not known: the coordinator gave no sums by client.";
const char kNoGrams[] =
    "Grams are not known: no carbon source was set while the job ran, and joules alone say nothing "
    "of the grid. `carbon.region` in the job file, or the coordinator's flags, choose one "
    "(docs/energy.md).";
const char kNoBudget[] =
    "The job has no budget. `joules = 5000` below [budget] in the job file sets one.";
const char kNoInference[] =
    "Not given. `fedwatt report --joules-per-inference X` compares the training with the model's "
    "use; `fedwatt meter -- COMMAND` measures X.";

namespace {

std::string Scaled(double value, const char* unit, bool has_mega) {
  const double size = std::abs(value);
  if (has_mega && size >= 1e6) return absl::StrFormat("%.2f M%s", value * 1e-6, unit);
  if (size >= 1e4) return absl::StrFormat("%.2f k%s", value * 1e-3, unit);
  if (size >= 10) return absl::StrFormat("%.1f %s", value, unit);
  if (size >= 0.1 || size == 0) return absl::StrFormat("%.2f %s", value, unit);
  if (size >= 1e-4) return absl::StrFormat("%.2f m%s", value * 1e3, unit);
  return absl::StrFormat("%.2g m%s", value * 1e3, unit);
}

std::string Tick(double value, const char* unit, bool has_mega) {
  const double size = std::abs(value);
  if (size == 0) return "0";
  if (has_mega && size >= 1e6) return absl::StrFormat("%g M%s", value * 1e-6, unit);
  if (size >= 1e3) return absl::StrFormat("%g k%s", value * 1e-3, unit);
  if (size >= 0.1) return absl::StrFormat("%g %s", value, unit);
  return absl::StrFormat("%g m%s", value * 1e3, unit);
}

std::string CountText(double count) {
  if (count >= 1e9) return absl::StrFormat("%.2f billion", count * 1e-9);
  if (count >= 1e6) return absl::StrFormat("%.2f million", count * 1e-6);
  return count >= 100 ? absl::StrFormat("%.0f", count) : absl::StrFormat("%.3g", count);
}

std::string ScopeWords(v1::EnergyScope scope) {
  switch (scope) {
    case v1::ENERGY_SCOPE_PROCESS:
      return "of the process alone";
    case v1::ENERGY_SCOPE_PACKAGE:
      return "of processors and memory";
    case v1::ENERGY_SCOPE_BOARD:
      return "of the board";
    case v1::ENERGY_SCOPE_DEVICE:
      return "of the whole device";
    default:
      return "of an unknown part";
  }
}

std::string HowKnown(const EnergyKind& kind) {
  switch (kind.quality) {
    case v1::ENERGY_QUALITY_MEASURED:
      return absl::StrCat("measured by ", kind.source);
    case v1::ENERGY_QUALITY_DERIVED:
      return absl::StrCat("derived from what ", kind.source,
                          " measured of the machine, by the share of processor time");
    case v1::ENERGY_QUALITY_ESTIMATED:
      if (kind.source == "cpu_time") return "estimated from processor time";
      if (kind.source == "radio") return "estimated from bytes, by a model of the radio";
      return absl::StrCat("estimated by ", kind.source);
    case v1::ENERGY_QUALITY_SIMULATED:
      return "simulated, and spent by no device";
    default:
      return absl::StrCat("reported by ", kind.source, " without a quality");
  }
}

std::string KindSentence(const KindFigures& figures, uint64_t devices) {
  const Spent& total = figures.total;
  std::string text = absl::StrCat(JoulesText(total.joules()), " were ", HowKnown(figures.kind),
                                  ", ", ScopeWords(figures.kind.scope));
  if (figures.kind.party == "coordinator") {
    absl::StrAppend(&text, " of the coordinator");
  } else {
    std::vector<std::string> where;
    if (devices > 0 && !figures.clients.empty()) {
      where.push_back(absl::StrCat(figures.clients.size(), " of ", devices,
                                   devices == 1 ? " device" : " devices"));
    }
    if (figures.evaluators > 0) {
      where.push_back(
          absl::StrCat(figures.evaluators, figures.evaluators == 1 ? " evaluator" : " evaluators"));
    }
    if (!where.empty()) absl::StrAppend(&text, ", on ", absl::StrJoin(where, " and "));
  }
  if (total.sigma_j > 0 && total.joules() > 0) {
    absl::StrAppend(&text, "; one standard deviation is at most ", JoulesText(total.sigma_j),
                    absl::StrFormat(" (%.0f %%)", 100 * total.sigma_j / total.joules()));
  }
  return text + ".";
}

bool HasDeviceKind(const ReportData& report, v1::EnergyQuality quality) {
  return std::any_of(report.kinds.begin(), report.kinds.end(), [=](const KindFigures& figures) {
    return figures.kind.party == "clients" && figures.kind.quality == quality;
  });
}

std::string MissingSentence(const ReportData& report) {
  std::vector<std::string> sources;
  for (const auto& [source, samples] : report.missing) {
    if (source != "none") sources.push_back(absl::StrCat(samples, " from ", source));
  }
  const uint64_t missing = report.missing_samples();
  return absl::StrCat(missing, missing == 1 ? " sample is" : " samples are", " unavailable",
                      sources.empty() ? "" : " (" + absl::StrJoin(sources, ", ") + ")",
                      " and counted nowhere as zero: for example, a report leaves before its first "
                      "upload is metered, or a window was too short for its meter.");
}

}  // namespace

std::string JoulesText(double joules) { return Scaled(joules, "J", true); }

std::string GramsText(double grams) { return Scaled(grams, "g", false); }

std::string JoulesTick(double joules) { return Tick(joules, "J", true); }

std::string GramsTick(double grams) { return Tick(grams, "g", false); }

std::string PercentText(double share) { return absl::StrFormat("%.1f %%", share * 100); }

std::string MetricValueText(const MetricSeries& series, double value) {
  return series.is_share ? PercentText(value) : absl::StrFormat("%.4g", value);
}

std::string TimeText(int64_t time_ms) {
  if (time_ms == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixMillis(time_ms),
                          absl::UTCTimeZone());
}

std::string Harmless(const std::string& text) {
  std::string out = text;
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  // U+0080..U+009F steer terminals, too: C2 80 .. C2 9F.
  for (size_t i = 0; i + 1 < out.size(); ++i) {
    const auto next = static_cast<unsigned char>(out[i + 1]);
    if (static_cast<unsigned char>(out[i]) == 0xc2 && next >= 0x80 && next <= 0x9f) {
      out.replace(i, 2, "?");
    }
  }
  return out;
}

std::string StateText(const v1::Job& job) {
  const auto* state = v1::JobState_descriptor()->FindValueByNumber(job.state());
  std::string text = state == nullptr ? "?" : wire::EnumWord(*state);
  if (!job.stop_reason().empty() && job.stop_reason() != text) {
    absl::StrAppend(&text, " (", Harmless(job.stop_reason()), ")");
  }
  if (!job.reason().empty()) absl::StrAppend(&text, ": ", Harmless(job.reason()));
  return text;
}

std::vector<std::string> QualitySentences(const ReportData& report) {
  std::vector<std::string> sentences;
  if (report.kinds.empty()) sentences.emplace_back(kNoJoules);
  for (const KindFigures& figures : report.kinds) {
    sentences.push_back(KindSentence(figures, report.devices));
  }
  const bool measured = HasDeviceKind(report, v1::ENERGY_QUALITY_MEASURED) ||
                        HasDeviceKind(report, v1::ENERGY_QUALITY_DERIVED);
  if (!measured && HasDeviceKind(report, v1::ENERGY_QUALITY_ESTIMATED)) {
    sentences.emplace_back(
        "No device has a meter that it can read. Estimates compare rounds, phases and devices with "
        "each other; as a bill they may miss by more than half.");
  }
  if (HasDeviceKind(report, v1::ENERGY_QUALITY_SIMULATED)) {
    sentences.emplace_back("Simulated figures follow from a device class, not from hardware.");
  }
  if (report.kinds.size() > 1) {
    sentences.emplace_back(
        "Figures that differ in source, quality or scope may be of the same joules. They are shown "
        "apart and never added.");
  }
  if (report.missing_samples() > 0) sentences.push_back(MissingSentence(report));
  std::string unbelieved = UnbelievedText(report.job);
  if (!unbelieved.empty()) {
    unbelieved.pop_back();
    sentences.push_back(std::move(unbelieved));
  }
  return sentences;
}

std::string SpreadSentence(const KindFigures& figures) {
  const Spread spread = SpreadOf(figures.clients);
  const size_t clients = figures.clients.size();
  if (clients == 1) {
    return absl::StrCat("One client, ", JoulesText(spread.median), " ", KindText(figures.kind),
                        ".");
  }
  return absl::StrCat(clients, " clients spent ", JoulesText(spread.least), " to ",
                      JoulesText(spread.most), " each, ", JoulesText(spread.median),
                      " in the middle, eight of ten between ", JoulesText(spread.tenth), " and ",
                      JoulesText(spread.ninetieth), "; the tenth that spent most has ",
                      PercentText(spread.top_tenth_share), " of it all: ", KindText(figures.kind),
                      ".");
}

std::vector<std::string> InferenceSentences(const ReportData& report,
                                            std::optional<double> joules_per_inference) {
  if (!joules_per_inference) return {kNoInference};
  std::vector<std::string> sentences = {absl::StrCat(
      JoulesText(*joules_per_inference), " for each inference (given by --joules-per-inference).")};
  for (const KindFigures& figures : report.kinds) {
    const double inferences = figures.total.joules() / *joules_per_inference;
    sentences.push_back(absl::StrCat(JoulesText(figures.total.joules()), " of training, ",
                                     KindText(figures.kind), ", are as ", "much as ",
                                     CountText(inferences), " inferences."));
  }
  if (report.kinds.empty()) sentences.emplace_back(kNoJoules);
  return sentences;
}

}  // namespace fedwatt::cli
