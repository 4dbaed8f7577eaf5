// The page for a fixed job is tests/server/cli/testdata/report.html, which a person looks at in a
// browser when it changes. FEDWATT_REWRITE=1 writes it and the terminal's views anew.

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/cli/report_html.h"
#include "server/cli/report_svg.h"
#include "server/cli/report_view.h"
#include "server/cli/report_words.h"
#include "tests/server/cli/report_fixture.h"

namespace fedwatt::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAttack[] = "<script>alert(\"1\")</script>&'\x1b[31m";

std::string ReadOrRewrite(const std::string& name, const std::string& now) {
  const std::string path = "tests/server/cli/testdata/" + name;
  if (std::getenv("FEDWATT_REWRITE") != nullptr) {
    std::ofstream file(path, std::ios::binary);
    file << now;
    EXPECT_TRUE(file.good()) << path;
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Every tag that is opened is closed, in order.
void ExpectBalanced(const std::string& page) {
  static const std::set<std::string> kVoid = {"meta", "!DOCTYPE"};
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const size_t end = page.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = page.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty()) << tag;
      ASSERT_EQ("/" + open.back(), tag) << "at " << at;
      open.pop_back();
    } else if (tag.back() != '/' && kVoid.count(name) == 0) {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty());
}

void ExpectSelfContained(const std::string& page) {
  for (const char* outside : {"http:", "https:", "src=", "href=", "url(", "@import", "<script"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(ReportPage, OfAFixedJobIsTheGoldenFile) {
  const std::string page = ReportPage(FixedView(10));
  EXPECT_TRUE(page == ReadOrRewrite("report.html", page))
      << "the page has changed; look at it in a browser and rewrite it";
  ExpectBalanced(page);
  ExpectSelfContained(page);
}

TEST(ReportPage, HasEveryPart) {
  const std::string page = ReportPage(FixedView(10));
  for (const char* part :
       {"accuracy over rounds", "loss over rounds", "Joules over rounds", "Used against wasted",
        "Joules by phase", "Seconds by phase", "Grams over rounds", "Left of a budget",
        "Joules of each client", "training centrally", "--central-pue", "Joules per inference",
        "Targets", "How good these figures are", "As a table", "role=\"img\""}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
}

TEST(ReportPage, KeepsKindsApart) {
  const std::string page = ReportPage(FixedView(10));
  // 394 J by CPU time with 10 wasted, a third of 384 by the meter; never 522 together.
  EXPECT_THAT(page, HasSubstr("estimated (cpu_time, process)</dt><dd>394.0 J"));
  EXPECT_THAT(page, HasSubstr("derived (rapl, process)</dt><dd>128.0 J"));
  EXPECT_THAT(page, Not(HasSubstr("522")));
}

TEST(ReportPage, TextOfUsersAndClientsIsEscapedEverywhere) {
  v1::Job job = FixedJob(2);
  job.set_id(kAttack);
  job.set_reason(kAttack);
  job.set_stop_reason(kAttack);
  job.mutable_spec()->mutable_stop()->set_metric(kAttack);
  for (v1::EnergyTotal& total : *job.mutable_energy()) total.set_source(kAttack);
  for (v1::RoundSummary& round : *job.mutable_rounds()) {
    (*round.mutable_evaluation()->mutable_named())[kAttack] = 0.5;
    (*round.mutable_codecs())[kAttack] = 1;
    (*round.mutable_seconds_by_phase())[kAttack] = 1;
    for (v1::EnergyTotal& total : *round.mutable_energy()) total.set_source(kAttack);
  }
  LedgerAnswers ledger = FixedLedger(2);
  for (auto* answer : {&ledger.by_phase, &ledger.by_client, &ledger.by_round}) {
    for (v1::EnergySum& sum : *(*answer)->mutable_sums()) {
      sum.set_source(kAttack);
      sum.set_carbon(kAttack);
      sum.set_client(kAttack);
    }
  }
  for (const LedgerAnswers& answers : {LedgerAnswers(), ledger}) {
    ReportView view{.data = ArrangeReport(job, answers), .targets = {{kAttack, kAttack, false}}};
    view.central = EstimateCentral(view.data, {});
    const std::string page = ReportPage(view);
    EXPECT_THAT(page, HasSubstr("&lt;script&gt;"));
    EXPECT_THAT(page, Not(HasSubstr("\x1b")));
    ExpectSelfContained(page);
    ExpectBalanced(page);
    EXPECT_THAT(ReportText(view, {}), Not(HasSubstr("\x1b")));
  }
}

TEST(ReportPage, OfAJobThatHasDoneNothingSaysSoInWords) {
  const std::string page = ReportPage(ViewOf(v1::Job()));
  EXPECT_THAT(page, HasSubstr("No device has reported joules"));
  EXPECT_THAT(page, HasSubstr("No round has ended with a metric"));
  EXPECT_THAT(page, HasSubstr("no carbon source was set"));
  EXPECT_THAT(page, HasSubstr("The job has no budget"));
  EXPECT_THAT(page, HasSubstr("Not given."));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, Not(HasSubstr("inf\"")));
  ExpectBalanced(page);
}

TEST(ReportPage, OfAFailedJobTellsWhy) {
  v1::Job job = FixedJob(1);
  job.set_state(v1::JOB_STATE_FAILED);
  job.set_stop_reason("failed");
  job.set_reason("3 attempts in a row had too few clients");
  const std::string page = ReportPage(ViewOf(job));
  EXPECT_THAT(page, HasSubstr("failed: 3 attempts in a row had too few clients"));
  EXPECT_THAT(page, HasSubstr("gave no sums by phase"));
  EXPECT_THAT(page, HasSubstr("gave no sums by client"));
  ExpectBalanced(page);
}

TEST(ReportPage, OfOneRoundAndOfOneClientIsDrawn) {
  const std::string page = ReportPage(FixedView(1));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, HasSubstr("<circle"));
  KindFigures figures{.clients = {{"a", {.useful_j = 2, .samples = 1}}}};
  EXPECT_THAT(SpreadSentence(figures), HasSubstr("One client, 2.00 J"));
}

TEST(ReportPage, OfAThousandRoundsStaysBelowTwoMegabytes) {
  const std::string page = ReportPage(FixedView(1000));
  EXPECT_LT(page.size(), 2'000'000u);
  EXPECT_THAT(page, HasSubstr("<td class=\"n\">1000</td>"));
  ExpectBalanced(page);
}

TEST(ReportPage, FiguresThatAreNoNumbersAreLeftOut) {
  v1::Job job = FixedJob(2);
  job.mutable_rounds(0)->mutable_evaluation()->set_accuracy(std::nan(""));
  job.mutable_rounds(1)->mutable_train_after()->set_loss(std::numeric_limits<double>::infinity());
  const std::string page = ReportPage(ViewOf(job));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, Not(HasSubstr("Linf")));
  EXPECT_THAT(page, Not(HasSubstr("inf\"")));
}

TEST(ReportText, FitsEightyAndFortyColumns) {
  for (const uint64_t rounds : {0, 1, 10, 1000}) {
    const ReportView view = rounds == 0 ? ViewOf(v1::Job()) : FixedView(rounds);
    for (const size_t columns : {80, 40}) {
      std::istringstream lines(ReportText(view, {.columns = columns}));
      for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), columns) << line;
      }
    }
  }
}

TEST(ReportText, OfAFixedJobIsTheGoldenFile) {
  const std::string wide = ReportText(FixedView(10), {.columns = 80, .unicode = true});
  EXPECT_EQ(wide, ReadOrRewrite("report_80.txt", wide));
  const std::string narrow = ReportText(FixedView(10), {.columns = 40});
  EXPECT_EQ(narrow, ReadOrRewrite("report_40.txt", narrow));
}

TEST(ReportText, ATerminalShowsTheLastRoundsAndAPipeAll) {
  const ReportView view = FixedView(30);
  EXPECT_THAT(ReportText(view, {}), HasSubstr("10 earlier rounds"));
  EXPECT_THAT(ReportText(view, {}), Not(HasSubstr("\n    1  ")));
  EXPECT_THAT(ReportText(view, {.all_rounds = true}), HasSubstr("\n    1  "));
}

TEST(ReportText, WideEnoughItShowsCodecsAndModels) {
  const std::string text = ReportText(FixedView(3), {.columns = 160, .all_rounds = true});
  EXPECT_THAT(text, HasSubstr("codecs"));
  EXPECT_THAT(text, HasSubstr("eden:bits=2"));
  EXPECT_THAT(text, HasSubstr("0101010101010101"));
}

}  // namespace
}  // namespace fedwatt::cli
