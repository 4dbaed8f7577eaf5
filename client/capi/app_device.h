#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "client/capi/app_object.h"
#include "client/sdk/condition_rules.h"
#include "client/sdk/device_conditions.h"
#include "common/base/mutex.h"
#include "common/energy/energy_meter_env.h"

// What an app says of its device, behind the interfaces that the session knows.
namespace fedwatt {

// Each INVALID_ARGUMENT names what is missing or out of its bounds.
absl::StatusOr<fedwatt_meter> CheckAppMeter(const fedwatt_meter* meter);
absl::StatusOr<fedwatt_conditions> CheckAppConditions(const fedwatt_conditions* conditions);
// Null: the rules of who sets none.
absl::StatusOr<ConditionRules> RulesOf(const fedwatt_rules* rules);

// For EnergyMeterEnv::host. Its function takes turns with itself.
HostEnergy HostEnergyOf(std::shared_ptr<AppObject<fedwatt_meter>> meter);

// A figure that cannot be (a charge of 300 %) becomes unknown, with a flaw that says so.
std::unique_ptr<DeviceConditions> MakeAppConditions(
    std::shared_ptr<AppObject<fedwatt_conditions>> conditions);

}  // namespace fedwatt
