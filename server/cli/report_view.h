#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/cli/report_central.h"
#include "server/cli/report_data.h"
#include "server/cli/targets.h"

// Everything that a report shows, for the page and for the terminal. Pure functions.
namespace fedwatt::cli {

struct ReportView {
  ReportData data;
  CentralEstimate central;
  std::vector<TargetResult> targets;
  std::optional<double> joules_per_inference;  // the user's own figure
};

// One self-contained HTML page: no script, no font, no picture from outside, and a policy that
// forbids them. Light or dark as the reader's system; prints on paper. The same view gives the same
// bytes.
std::string ReportPage(const ReportView& view);

struct TerminalOptions {
  size_t columns = 80;      // at least 40; no line is longer, but for single words that are
  bool unicode = false;     // block characters for bars; else "#"
  bool all_rounds = false;  // else the last 20
};
std::string ReportText(const ReportView& view, const TerminalOptions& options);

}  // namespace fedwatt::cli
