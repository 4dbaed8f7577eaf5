#pragma once

#include <cstdint>
#include <string>

#include "server/cli/report_view.h"

// A job whose figures are the same on every machine, for the tests of its report.
namespace fedwatt::cli {

// Ended jobs of `rounds` rounds with 8 clients: three of them read a package meter, all estimate by
// CPU time, and each report lacks the figure of its own upload in the first round. There is a
// budget of 100 J for each round, and a region for the grams.
v1::Job FixedJob(uint64_t rounds);

// What the ledger says of it.
LedgerAnswers FixedLedger(uint64_t rounds);

ReportView FixedView(uint64_t rounds);

// The view of any job, without a ledger, by the default assumptions.
ReportView ViewOf(const v1::Job& job);

}  // namespace fedwatt::cli
