#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/cli/report_data.h"

// What the report says in words, the same in the terminal and on the page. Pure functions.
namespace fedwatt::cli {

// "0.48 mJ", "1.23 J", "41.2 J", "12.30 kJ", "2.50 MJ"; "-0.48 mJ".
std::string JoulesText(double joules);

// "0.48 mg", "1.23 g", "12.30 kg".
std::string GramsText(double grams);

// The same for round numbers beside an axis: "0", "20 J", "1.5 kJ"; "2.5 mg".
std::string JoulesTick(double joules);
std::string GramsTick(double grams);

// "12.3 %".
std::string PercentText(double share);

// "78.0 %" for shares, else four significant digits.
std::string MetricValueText(const MetricSeries& series, double value);

// "2026-01-31 10:00:00 UTC"; "-" for 0.
std::string TimeText(int64_t time_ms);

// Text of users and clients with its control characters replaced by "?", so that it can neither
// steer a terminal nor break a page.
std::string Harmless(const std::string& text);

// "completed (rounds)", "failed: too few clients".
std::string StateText(const v1::Job& job);

// How good the joules are: one sentence each, the worst news not last.
std::vector<std::string> QualitySentences(const ReportData& report);

// How joules spread over the clients of one kind of figure.
std::string SpreadSentence(const KindFigures& figures);

// The training beside the model's use, at the user's own joules per inference.
std::vector<std::string> InferenceSentences(const ReportData& report,
                                            std::optional<double> joules_per_inference);

// Why a part of the report is empty; each a sentence with the next step.
extern const char kNoJoules[];
extern const char kNoPhases[];
extern const char kNoClients[];
extern const char kNoGrams[];
extern const char kNoBudget[];
extern const char kNoInference[];

}  // namespace fedwatt::cli
