#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "simulation/simulation.h"

// Event files as TensorBoard reads them, without TensorFlow. A file is a row of records:
//
//   length u64 | masked CRC32C of these 8 bytes u32 | data | masked CRC32C of the data u32
//
// little-endian; masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8. The data of a record is a
// tensorflow.Event: wall_time (1, double), step (2, int64), file_version (3, the first record's
// alone), summary (5) with values (1) of tag (1) and simple_value (2, float).
namespace fedwatt {

// Castagnoli's polynomial, reflected.
uint32_t Crc32c(std::string_view bytes);

std::string TensorBoardRecord(std::string_view data);
// `seconds`: since the epoch.
std::string TensorBoardHeader(double seconds);
std::string TensorBoardScalars(double seconds, int64_t step,
                               const std::vector<std::pair<std::string, float>>& scalars);

// Accuracy, loss, joules, bytes and counts of a simulation's rounds, into
// `folder`/events.out.tfevents.<first second>.fedwatt. Wall times are the virtual ones.
absl::Status WriteTensorBoard(const std::string& folder, const SimulationResult& result);

}  // namespace fedwatt
