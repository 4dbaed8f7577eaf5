#pragma once

#include <string>

#include "fedwatt/v1/admin_service.pb.h"

// Sums of the ledger as text. Pure functions.
namespace fedwatt::cli {

// One row per sum, with what it is of, joules, doubt, grams and gaps.
std::string EnergyTable(const v1::QueryEnergyResponse& answer);

// The same as CSV, in microjoules; what is unknown is empty, never 0.
std::string EnergyCsv(const v1::QueryEnergyResponse& answer);

// What reports claimed that the job's budget does not believe, as a line; empty: all was believed.
std::string UnbelievedText(const v1::Job& job);

// Sums by round in the columns of CodeCarbon's emissions.csv, one row per round, party, source,
// quality, scope and use (experiment_id says which): such rows are not to be added over sources.
// What a coordinator cannot know of its devices (their RAM, their cloud, their place, ...) is
// empty.
std::string CodeCarbonCsv(const v1::QueryEnergyResponse& answer);

}  // namespace fedwatt::cli
