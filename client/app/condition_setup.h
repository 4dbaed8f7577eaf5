#pragma once

#include <memory>
#include <string>

#include "client/app/client_config.h"
#include "client/sdk/condition_rules.h"
#include "client/sdk/device_conditions.h"
#include "client/sdk/trainer.h"
#include "common/base/clock.h"

// From flags to when this device works.
namespace fedwatt::client {

ConditionRules RulesOf(const ClientConfig& config);

// `clock` and `trainer`, whose CPU time is ours, outlive it.
std::unique_ptr<DeviceConditions> FindConditions(const ClientConfig& config, const Clock* clock,
                                                 const Trainer* trainer);

// For --check: what is known of the device, and whether it would take part.
std::string DescribeConditions(const ClientConfig& config, const DeviceState& state);

}  // namespace fedwatt::client
