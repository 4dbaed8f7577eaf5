#pragma once

// The tables of functions by which the C interface calls objects of the C++ one. Not part of the
// interface.

#include <fedwatt/detail/convert.h>
#include <fedwatt/fedwatt.h>
#include <fedwatt/options.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fedwatt::detail {

// Behind a table's ctx: keeps the object alive until the client destroys the table.
template <typename T>
struct Holder {
  std::shared_ptr<T> object;
};

template <typename T>
T& ObjectOf(void* ctx) {
  return *static_cast<Holder<T>*>(ctx)->object;
}

template <typename T>
void Destroy(void* ctx) {
  delete static_cast<Holder<T>*>(ctx);
}

inline int32_t RewindData(void* ctx, const char* dataset, fedwatt_error* error) noexcept {
  return Guard(error, [&] { return ObjectOf<DataSource>(ctx).Rewind(dataset); });
}

inline int32_t NextData(void* ctx, const char* dataset, uint64_t max_examples, fedwatt_batch* out,
                        fedwatt_error* error) noexcept {
  return Guard(error, [&]() -> Status {
    const Result<Batch> batch = ObjectOf<DataSource>(ctx).Next(dataset, max_examples);
    if (!batch.ok()) return batch.status();
    out->examples = batch->examples;
    out->x = ToTensor(batch->x);
    out->y = ToTensor(batch->y);
    return Status();
  });
}

inline fedwatt_losses ToLosses(const std::optional<Losses>& losses) {
  if (!losses.has_value()) return {};
  return {losses->examples, losses->loss_sum, losses->loss_sq_sum, losses->correct,
          losses->predictions};
}

inline int32_t RunTrainer(void* ctx, fedwatt_task* handle, fedwatt_result* out,
                          fedwatt_error* error) noexcept {
  return Guard(error, [&]() -> Status {
    TrainingTask task(handle);
    const Result<TrainingResult> result = ObjectOf<Trainer>(ctx).Run(task);
    if (!result.ok()) return result.status();
    out->examples = result->examples;
    out->steps = result->steps;
    out->before = ToLosses(result->before);
    out->after = ToLosses(result->after);
    return Status();
  });
}

inline int32_t TotalUj(void* ctx, int64_t* energy_uj, fedwatt_error* error) noexcept {
  return Guard(error, [&]() -> Status {
    const Result<int64_t> total = ObjectOf<EnergyMeter>(ctx).TotalUj();
    if (!total.ok()) return total.status();
    *energy_uj = *total;
    return Status();
  });
}

inline int32_t ReadConditions(void* ctx, fedwatt_device_state* out, fedwatt_error* error) noexcept {
  return Guard(error, [&]() -> Status {
    const Result<DeviceState> state = ObjectOf<DeviceConditions>(ctx).Read();
    if (!state.ok()) return state.status();
    if (state->charging.has_value()) out->charging = *state->charging ? 1 : 0;
    if (state->metered.has_value()) out->metered = *state->metered ? 1 : 0;
    out->charge = state->charge.value_or(out->charge);
    out->capacity_wh = state->capacity_wh.value_or(out->capacity_wh);
    out->temperature_c = state->temperature_c.value_or(out->temperature_c);
    out->load = state->load.value_or(out->load);
    return Status();
  });
}

inline void WriteLog(void* ctx, int32_t level, const char* line) noexcept {
  Guard(nullptr, [&] {
    ObjectOf<Listener>(ctx).Log(static_cast<LogLevel>(level), line);
    return Status();
  });
}

inline void TellEvent(void* ctx, const fedwatt_event* event) noexcept {
  Guard(nullptr, [&] {
    ObjectOf<Listener>(ctx).OnEvent(*event);
    return Status();
  });
}

inline void WakeHost(void* ctx) noexcept {
  Guard(nullptr, [&] {
    ObjectOf<Listener>(ctx).Wake();
    return Status();
  });
}

// ClientOptions as fedwatt_options, which point into both.
class Tables {
 public:
  explicit Tables(const ClientOptions& from) {
    FillTexts(from);
    FillObjects(from);
    FillRules(from.rules);
  }
  ~Tables() {
    if (released_) return;
    for (const auto& [destroy, ctx] : held_) destroy(ctx);
  }
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  // The client destroys the tables from now on.
  void Release() { released_ = true; }

  fedwatt_options options = FEDWATT_INIT(fedwatt_options);

 private:
  static const char* OrNull(const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
  }

  template <typename T>
  void* Hold(std::shared_ptr<T> object) {
    void* const ctx = new Holder<T>{std::move(object)};
    held_.emplace_back(&Destroy<T>, ctx);
    return ctx;
  }

  void FillTexts(const ClientOptions& from) {
    options.server = OrNull(from.server);
    options.ca_file = OrNull(from.ca_file);
    options.certificate_file = OrNull(from.certificate_file);
    options.key_file = OrNull(from.key_file);
    options.insecure_subject = OrNull(from.insecure_subject);
    options.state_dir = OrNull(from.state_dir);
    options.cache_limit_bytes = from.cache_limit_bytes;
    options.no_sync = from.sync ? 0 : 1;
    for (const std::string& key : from.trusted_keys) keys_.push_back(key.c_str());
    options.trusted_keys = keys_.data();
    options.trusted_key_count = keys_.size();
    for (const OfferedDataset& dataset : from.datasets) {
      fedwatt_dataset offered = FEDWATT_INIT(fedwatt_dataset);
      offered.name = dataset.name.c_str();
      offered.schema_version = dataset.schema_version;
      offered.examples = dataset.examples;
      datasets_.push_back(offered);
    }
    for (const fedwatt_dataset& dataset : datasets_) dataset_list_.push_back(&dataset);
    options.datasets = dataset_list_.data();
    options.dataset_count = dataset_list_.size();
    options.app_version = OrNull(from.app_version);
    options.tenant = OrNull(from.tenant);
    options.population = OrNull(from.population);
    options.device_class = OrNull(from.device_class);
    for (const auto& [key, value] : from.labels) labels_.push_back({key.c_str(), value.c_str()});
    options.labels = labels_.data();
    options.label_count = labels_.size();
    options.telemetry_level = from.telemetry_level;
    options.long_poll_ms = from.long_poll_ms;
    options.callback_ms = from.callback_ms;
    options.checkpoint_ms = from.checkpoint_ms;
    options.pause_ms = from.pause_ms;
    options.torch_program = OrNull(from.torch_program);
    options.trainer_memory_bytes = from.trainer_memory_bytes;
    options.no_meter = from.no_meter ? 1 : 0;
  }

  void FillObjects(const ClientOptions& from) {
    if (from.data != nullptr) {
      data_.ctx = Hold(from.data);
      data_.rewind = &RewindData;
      data_.next = &NextData;
      data_.destroy = &Destroy<DataSource>;
      options.data = &data_;
    }
    if (from.trainer != nullptr) {
      name_ = from.trainer->Name();
      formats_ = from.trainer->Formats();
      for (const std::string& format : formats_) format_list_.push_back(format.c_str());
      trainer_.ctx = Hold(from.trainer);
      trainer_.name = name_.c_str();
      trainer_.formats = format_list_.data();
      trainer_.format_count = format_list_.size();
      trainer_.run = &RunTrainer;
      trainer_.destroy = &Destroy<Trainer>;
      options.trainer = &trainer_;
    }
    if (from.meter != nullptr) {
      meter_.ctx = Hold(from.meter);
      meter_.scope = static_cast<int32_t>(from.meter->Scope());
      meter_.update_us = from.meter->UpdateUs();
      meter_.total_uj = &TotalUj;
      meter_.destroy = &Destroy<EnergyMeter>;
      options.meter = &meter_;
    }
    if (from.conditions != nullptr) {
      conditions_.ctx = Hold(from.conditions);
      conditions_.read = &ReadConditions;
      conditions_.destroy = &Destroy<DeviceConditions>;
      options.conditions = &conditions_;
    }
    if (from.listener != nullptr) {
      listener_.ctx = Hold(from.listener);
      listener_.log = &WriteLog;
      listener_.event = &TellEvent;
      listener_.wake = &WakeHost;
      listener_.destroy = &Destroy<Listener>;
      options.listener = &listener_;
    }
  }

  void FillRules(const DeviceRules& rules) {
    rules_.require_charging = rules.require_charging ? 1 : 0;
    rules_.allow_metered = rules.allow_metered ? 1 : 0;
    rules_.min_charge = rules.min_charge.value_or(0);
    rules_.max_temperature_c = rules.max_temperature_c.value_or(0);
    rules_.max_load = rules.max_load.value_or(0);
    options.rules = &rules_;
  }

  bool released_ = false;
  std::vector<std::pair<void (*)(void*), void*>> held_;
  std::vector<const char*> keys_;
  std::vector<fedwatt_dataset> datasets_;
  std::vector<const fedwatt_dataset*> dataset_list_;
  std::vector<fedwatt_label> labels_;
  std::string name_;
  std::vector<std::string> formats_;
  std::vector<const char*> format_list_;
  fedwatt_data_source data_ = FEDWATT_INIT(fedwatt_data_source);
  fedwatt_trainer trainer_ = FEDWATT_INIT(fedwatt_trainer);
  fedwatt_meter meter_ = FEDWATT_INIT(fedwatt_meter);
  fedwatt_conditions conditions_ = FEDWATT_INIT(fedwatt_conditions);
  fedwatt_listener listener_ = FEDWATT_INIT(fedwatt_listener);
  fedwatt_rules rules_ = FEDWATT_INIT(fedwatt_rules);
};

}  // namespace fedwatt::detail
