#pragma once

// TorchScript models, trained by the program fedwatt-torch in a process of its own: a model that
// allocates without end, loops for ever or crashes ends that process, never the app. The process
// has a memory limit (ClientOptions::trainer_memory_bytes) and a watchdog (plan.step_time_limit_ms
// and plan.time_limit_ms), and an operator allow-list; what the data source gives travels to it
// through memory, never through a file. LibTorch itself is not linked into the app; who wants that,
// for models that are trusted, finds it in fedwatt/torch_in_process_trainer.h.
//
//   options.torch_program = fedwatt::InstalledTorchProgram();

#include <fedwatt/fedwatt.h>

#include <string>

namespace fedwatt {

// Where the program was installed beside the library; "" if it was not.
inline std::string InstalledTorchProgram() { return fedwatt_torch_program(); }

}  // namespace fedwatt
