#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fedwatt/v1/admin_service.pb.h"

// Jobs and rounds as text for people. Pure functions.
namespace fedwatt::cli {

// "41.2 J estimated (cpu_time, process)"; several kinds are listed, never added. "none reported".
std::string EnergyText(const google::protobuf::RepeatedPtrField<v1::EnergyTotal>& totals);

// The same for a line with other things in it: "41.2 J estimated (cpu_time) + 3 unavailable".
std::string ShortEnergyText(const google::protobuf::RepeatedPtrField<v1::EnergyTotal>& totals);

// What ended, in one line: round, reports, accuracy, loss, bytes, energy, time left.
std::string RoundLine(const v1::RoundSummary& round, uint64_t rounds_total,
                      std::optional<int64_t> left_ms);

// Where the job is now: "round 4/10  reporting 5/8  ...".
std::string StatusLine(const v1::Job& job, std::optional<int64_t> left_ms);

// The end of a run: totals, model, one row per figure.
std::string JobSummary(const v1::Job& job);

// Codecs of a round's uploads: "eden:bits=2", "eden:bits=2 x7, raw_f32 x1", "-".
std::string CodecText(const google::protobuf::Map<std::string, uint32_t>& codecs);

// One row per job, for `fedwatt list`.
std::string JobTable(const v1::ListJobsResponse& jobs);

// Mean time of the rounds so far x rounds to go; nothing before the first round has ended.
std::optional<int64_t> TimeLeftMs(const v1::Job& job, int64_t first_started_ms, int64_t now_ms);

}  // namespace fedwatt::cli
