#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "fedwatt/v1/admin_service.pb.h"
#include "server/ledger/energy_sums.h"

// What an operator asks of the ledger, and what it answers.
namespace fedwatt {

struct EnergyQuestion {
  EnergyAxis axis = EnergyAxis::kPhase;
  EnergyFilter filter;
};

// INVALID_ARGUMENT names what is not understood. Times are rounded out to whole hours.
absl::StatusOr<EnergyQuestion> ReadQuestion(const v1::QueryEnergyRequest& request);

void FillAnswer(EnergyAxis axis, const std::vector<EnergySum>& sums,
                v1::QueryEnergyResponse* response);

}  // namespace fedwatt
