#pragma once

// TorchScript models inside of your app, by LibTorch: for models that you trust only. What a model
// can do to the app: fedwatt/torch_in_process.h. Wherever a process can be started, ClientOptions::
// torch_program is the better choice (fedwatt/torch_trainer.h). Link
// fedwatt::trainer_torch_in_process.
//
//   auto trainer = fedwatt::MakeTorchTrainerInProcess();
//   if (!trainer.ok()) return Complain(trainer.status());
//   options.trainer = *trainer;

#include <fedwatt/detail/table_trainer.h>
#include <fedwatt/torch_in_process.h>
#include <fedwatt/trainer.h>

#include <memory>
#include <string>

namespace fedwatt {

// `device`: "auto", "cpu" or "cuda". Code::kFailedPrecondition: there is one in this process.
// Code::kInvalidArgument: `device` is none of these.
inline Result<std::shared_ptr<Trainer>> MakeTorchTrainerInProcess(
    const std::string& device = "auto") {
  fedwatt_trainer table = FEDWATT_INIT(fedwatt_trainer);
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_torch_in_process_trainer(device.c_str(), &table, &error);
  if (code != FEDWATT_OK) return detail::ToStatus(code, error);
  return std::shared_ptr<Trainer>(std::make_shared<detail::TableTrainer>(table));
}

}  // namespace fedwatt
