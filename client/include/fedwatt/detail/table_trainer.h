#pragma once

// A trainer of ours, which is a table of C functions, as a Trainer.

#include <fedwatt/fedwatt.h>
#include <fedwatt/trainer.h>

#include <optional>
#include <string>
#include <vector>

namespace fedwatt::detail {

inline std::optional<Losses> FromLosses(const fedwatt_losses& losses) {
  if (losses.examples == 0) return std::nullopt;
  return Losses{losses.examples, losses.loss_sum, losses.loss_sq_sum, losses.correct,
                losses.predictions};
}

class TableTrainer final : public Trainer {
 public:
  // Takes over what the table holds.
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

}  // namespace fedwatt::detail
