#pragma once

// Any model without LibTorch and without an update of your app: a trainer for models that carry a
// training graph, which `fedwatt-torch import` derives from a PyTorch module (docs/portable.md).
// What it does and needs: fedwatt/portable.h. Link fedwatt::trainer_portable.
//
//   auto trainer = fedwatt::MakePortableTrainer();
//   if (!trainer.ok()) return Complain(trainer.status());
//   options.trainer = *trainer;

#include <fedwatt/detail/table_trainer.h>
#include <fedwatt/portable.h>
#include <fedwatt/trainer.h>

#include <cstdint>
#include <memory>

namespace fedwatt {

// `memory_limit_bytes`: of examples, tensors, values, gradients and the optimizer's state together;
// 0: 1 GiB. Code::kResourceExhausted: out of memory.
inline Result<std::shared_ptr<Trainer>> MakePortableTrainer(uint64_t memory_limit_bytes = 0) {
  fedwatt_trainer table = FEDWATT_INIT(fedwatt_trainer);
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_portable_trainer(memory_limit_bytes, &table, &error);
  if (code != FEDWATT_OK) return detail::ToStatus(code, error);
  return std::shared_ptr<Trainer>(std::make_shared<detail::TableTrainer>(table));
}

}  // namespace fedwatt
