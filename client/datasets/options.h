#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Typed access to the options of a DatasetConfig.
namespace fedwatt {

using DatasetOptions = std::map<std::string, std::string>;

// INVALID_ARGUMENT name the option, its value and what is expected.
absl::StatusOr<uint64_t> UintOption(const DatasetOptions& options, const std::string& key,
                                    uint64_t fallback);
absl::StatusOr<double> DoubleOption(const DatasetOptions& options, const std::string& key,
                                    double fallback);
std::string StringOption(const DatasetOptions& options, const std::string& key,
                         const std::string& fallback);

// Every format knows these besides its own.
inline constexpr std::initializer_list<const char*> kCommonDatasetOptions = {
    "partition", "clients", "client", "seed", "examples", "alpha", "shards", "order"};

// Refuses an option that neither `own` nor kCommonDatasetOptions holds, naming the nearest.
absl::Status CheckKnownOptions(const DatasetOptions& options, const std::string& format,
                               std::initializer_list<const char*> own);

}  // namespace fedwatt
