#pragma once

// Any model without LibTorch and without an update of your app: a trainer for models that carry a
// training graph, which `fedwatt-torch import` derives from a PyTorch module (docs/portable.md).
// What it does and needs: fedwatt/portable.h. Link fedwatt::trainer_portable.
//
//   auto trainer = fedwatt::MakePortableTrainer();
//   if (!trainer.ok()) return Complain(trainer.status());
//   options.trainer = *trainer;

#include <fedwatt/portable.h>
#include <fedwatt/trainer.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fedwatt {
namespace detail {

inline std::optional<Losses> FromLosses(const fedwatt_losses& losses) {
  if (losses.examples == 0) return std::nullopt;
  return Losses{losses.examples, losses.loss_sum, losses.loss_sq_sum, losses.correct,
                losses.predictions};
}

// A trainer that is a table of C functions.
class TableTrainer final : public Trainer {
 public:
  explicit TableTrainer(const fedwatt_trainer& table) : table_(table) {}
  ~TableTrainer() override { table_.destroy(table_.ctx); }
  TableTrainer(const TableTrainer&) = delete;
  TableTrainer& operator=(const TableTrainer&) = delete;

  std::string Name() const override { return table_.name; }
  std::vector<std::string> Formats() const override {
    return {table_.formats, table_.formats + table_.format_count};
  }
  Result<TrainingResult> Run(TrainingTask& task) override {
    fedwatt_result result = FEDWATT_INIT(fedwatt_result);
    fedwatt_error error = FEDWATT_INIT(fedwatt_error);
    const int32_t code = table_.run(table_.ctx, task.handle(), &result, &error);
    if (code != FEDWATT_OK) return ToStatus(code, error);
    return TrainingResult{result.examples, result.steps, FromLosses(result.before),
                          FromLosses(result.after)};
  }

 private:
  const fedwatt_trainer table_;
};

}  // namespace detail

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
