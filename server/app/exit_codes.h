#pragma once

#include "absl/status/status.h"

// What fedwatt-coordinator ends with. Listed in its --help.
namespace fedwatt::server {

inline constexpr int kOk = 0;            // stopped as asked
inline constexpr int kUsage = 2;         // wrong flags
inline constexpr int kCannotListen = 3;  // port in use, address not of this machine
inline constexpr int kCertificate = 4;   // missing, expired, not yet valid, not matching
inline constexpr int kDataInUse = 5;     // another coordinator has the data folder
inline constexpr int kDataCorrupt = 6;   // a blob or the database is damaged, or of a newer version
inline constexpr int kError = 7;         // everything else

}  // namespace fedwatt::server
