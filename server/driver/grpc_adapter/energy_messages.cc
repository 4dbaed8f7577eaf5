#include "server/driver/grpc_adapter/energy_messages.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr int64_t kMsPerHour = 3'600'000;

}  // namespace

absl::StatusOr<EnergyQuestion> ReadQuestion(const v1::QueryEnergyRequest& request) {
  EnergyQuestion question;
  FW_ASSIGN_OR_RETURN(question.axis,
                      ParseEnergyAxis(request.by().empty() ? "phase" : request.by()));
  if (request.where_size() > static_cast<int>(bounds::kMaxOffers)) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.where_size(), " conditions; at most ", bounds::kMaxOffers));
  }
  for (const std::string& condition : request.where()) {
    FW_RETURN_IF_ERROR(question.filter.Add(condition));
  }
  question.filter.since_hour = HourOf(request.since_ms());
  if (request.has_until_ms()) {
    const int64_t hour = HourOf(request.until_ms());
    question.filter.until_hour = hour * kMsPerHour < request.until_ms() ? hour + 1 : hour;
  }
  return question;
}

void FillAnswer(EnergyAxis axis, const std::vector<EnergySum>& sums,
                v1::QueryEnergyResponse* response) {
  for (const EnergySum& sum : sums) {
    const EnergyLabel& label = sum.label;
    const EnergyFigures& figures = sum.figures;
    v1::EnergySum* out = response->add_sums();
    out->set_party(label.party == EnergyParty::kClients ? "clients" : "coordinator");
    out->set_source(label.source);
    out->set_quality(static_cast<v1::EnergyQuality>(label.quality));
    out->set_scope(static_cast<v1::EnergyScope>(label.scope));
    out->set_use(label.use == JouleUse::kUseful ? "useful" : "wasted");
    out->set_carbon(label.carbon);
    if (axis == EnergyAxis::kRound) {
      out->set_round(label.round);
    }
    out->set_evaluation(label.evaluation);
    if (label.phase) out->set_phase(static_cast<v1::Phase>(*label.phase));
    if (axis == EnergyAxis::kDay) out->set_day_ms(label.hour * kMsPerHour);
    out->set_client(label.client);
    out->set_energy_uj(figures.energy_uj);
    out->set_sigma_uj(figures.sigma_uj);
    out->set_samples(figures.samples);
    out->set_unavailable(figures.unavailable);
    out->set_duration_us(figures.duration_us);
    out->set_bytes(figures.bytes);
    out->set_micrograms(figures.micrograms);
    out->set_stale_micrograms(figures.stale_micrograms);
  }
}

}  // namespace fedwatt
