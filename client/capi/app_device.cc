#include "client/capi/app_device.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/capi/host_loop.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

constexpr double kAbsoluteZeroC = -273;
constexpr double kMaxTemperatureC = 200;
constexpr double kMaxCapacityWh = 1e6;
constexpr int64_t kDefaultUpdateUs = 1'000'000;
constexpr double kUnknown = -1;
constexpr double kUnknownTemperature = -1000;

fedwatt_device_state UnknownState() {
  fedwatt_device_state state = FEDWATT_INIT(fedwatt_device_state);
  state.charging = -1;
  state.metered = -1;
  state.charge = kUnknown;
  state.capacity_wh = kUnknown;
  state.temperature_c = kUnknownTemperature;
  state.load = kUnknown;
  return state;
}

std::optional<bool> Flag(int32_t value) {
  return value < 0 ? std::nullopt : std::optional(value != 0);
}

// NaN and what is below `low` are unknown; what is above `high` as well, with a flaw.
std::optional<double> Figure(double value, double low, double high, const char* name,
                             std::vector<std::string>* flaws) {
  if (std::isnan(value) || value < low) return std::nullopt;
  if (value <= high) return value;
  flaws->push_back(absl::StrCat("the app says that ", name, " is ", value, ", above ", high,
                                "; it counts as unknown"));
  return std::nullopt;
}

class AppConditions final : public DeviceConditions {
 public:
  explicit AppConditions(std::shared_ptr<AppObject<fedwatt_conditions>> conditions)
      : conditions_(std::move(conditions)) {}

  DeviceState Read() override {
    fedwatt_device_state given = UnknownState();
    absl::Status status;
    try {
      status = CallApp("the app's conditions", [&](fedwatt_error* error) {
        return conditions_->table().read(conditions_->ctx(), &given, error);
      });
    } catch (...) {
      status = ExceptionStatus("the app's conditions");
    }
    DeviceState state;
    if (!status.ok()) {
      state.flaws.push_back(absl::StrCat(StatusText(status), "; all counts as unknown"));
      return state;
    }
    state.charging = Flag(given.charging);
    state.metered = Flag(given.metered);
    state.charge = Figure(given.charge, 0, 1, "charge", &state.flaws);
    state.capacity_wh = Figure(given.capacity_wh, 0, kMaxCapacityWh, "capacity_wh", &state.flaws);
    state.temperature_c = Figure(given.temperature_c, kAbsoluteZeroC, kMaxTemperatureC,
                                 "temperature_c", &state.flaws);
    state.hottest = "the app's sensor";
    state.load = Figure(given.load, 0, 1, "load", &state.flaws);
    return state;
  }

 private:
  const std::shared_ptr<AppObject<fedwatt_conditions>> conditions_;
};

absl::Status CheckShare(double value, const char* field) {
  if (value >= 0 && value <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("options.rules: ", field, " is ", value, "; must be 0 to 1"));
}

}  // namespace

absl::StatusOr<fedwatt_meter> CheckAppMeter(const fedwatt_meter* meter) {
  FW_ASSIGN_OR_RETURN(const fedwatt_meter table, TakeStruct(meter, "options.meter"));
  if (table.total_uj == nullptr) {
    return absl::InvalidArgumentError("options.meter: total_uj is NULL");
  }
  if (table.scope < FEDWATT_SCOPE_PROCESS || table.scope > FEDWATT_SCOPE_DEVICE) {
    return absl::InvalidArgumentError(
        absl::StrCat("options.meter: scope is ", table.scope,
                     "; say whose joules these are with one of FEDWATT_SCOPE_*"));
  }
  if (table.update_us < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("options.meter: update_us is ", table.update_us, "; must not be below 0"));
  }
  return table;
}

absl::StatusOr<fedwatt_conditions> CheckAppConditions(const fedwatt_conditions* conditions) {
  FW_ASSIGN_OR_RETURN(const fedwatt_conditions table, TakeStruct(conditions, "options.conditions"));
  if (table.read != nullptr) return table;
  return absl::InvalidArgumentError("options.conditions: read is NULL");
}

absl::StatusOr<ConditionRules> RulesOf(const fedwatt_rules* rules) {
  ConditionRules out;
  if (rules == nullptr) return out;
  FW_ASSIGN_OR_RETURN(const fedwatt_rules given, TakeStruct(rules, "options.rules"));
  FW_RETURN_IF_ERROR(CheckShare(given.min_charge, "min_charge"));
  FW_RETURN_IF_ERROR(CheckShare(given.max_load, "max_load"));
  if (!(given.max_temperature_c >= 0 && given.max_temperature_c <= kMaxTemperatureC)) {
    return absl::InvalidArgumentError(absl::StrCat("options.rules: max_temperature_c is ",
                                                   given.max_temperature_c,
                                                   "; must be 0 (no limit) to ", kMaxTemperatureC));
  }
  out.require_charging = given.require_charging != 0;
  out.allow_metered = given.allow_metered != 0;
  if (given.min_charge > 0) out.min_charge = given.min_charge;
  if (given.max_temperature_c > 0) out.max_temperature_c = given.max_temperature_c;
  if (given.max_load > 0) out.max_load = given.max_load;
  return out;
}

HostEnergy HostEnergyOf(std::shared_ptr<AppObject<fedwatt_meter>> meter) {
  HostEnergy host;
  host.scope = static_cast<EnergyScope>(meter->table().scope);
  host.update_us = meter->table().update_us > 0 ? meter->table().update_us : kDefaultUpdateUs;
  host.total_uj = [meter, mutex = std::make_shared<Mutex>()]() -> absl::StatusOr<int64_t> {
    MutexLock lock(mutex.get());
    int64_t energy_uj = -1;
    try {
      FW_RETURN_IF_ERROR(CallApp("the app's meter", [&](fedwatt_error* error) {
        return meter->table().total_uj(meter->ctx(), &energy_uj, error);
      }));
    } catch (...) {
      return ExceptionStatus("the app's meter");
    }
    if (energy_uj < 0) {
      return absl::DataLossError(absl::StrCat("the app's meter reads ", energy_uj, " uJ"));
    }
    return energy_uj;
  };
  return host;
}

std::unique_ptr<DeviceConditions> MakeAppConditions(
    std::shared_ptr<AppObject<fedwatt_conditions>> conditions) {
  return std::make_unique<AppConditions>(std::move(conditions));
}

}  // namespace fedwatt
