#pragma once

// What fedwatt-client ends with, for scripts and service managers. The numbers that `fedwatt` also
// has mean the same there.
namespace fedwatt::client {

inline constexpr int kOk = 0;           // told to stop, or --once or --exit-when-idle-s fulfilled
inline constexpr int kUsage = 2;        // wrong flags or configuration file
inline constexpr int kUnreachable = 3;  // idle to the end because no coordinator answered
inline constexpr int kRefused = 4;      // the certificate is unfit, or the coordinator refuses it
inline constexpr int kUnusable = 5;     // a dataset, trainer, key or meter cannot be used
inline constexpr int kError = 6;        // everything else
inline constexpr int kLocked = 7;       // another client uses the state folder

inline constexpr char kExitCodesText[] =
    "Exit codes: 0 stopped as asked; 2 wrong flags; 3 no coordinator answered; 4 certificate unfit "
    "or refused;\n5 dataset, trainer, key or meter unusable; 6 other errors; 7 state folder in "
    "use; 130, 143 killed\nby a second Ctrl-C or SIGTERM.";

}  // namespace fedwatt::client
