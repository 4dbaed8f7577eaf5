#include "common/wire/energy_wire.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/model/field_checks.h"
#include "common/wire/message_checks.h"

namespace fedwatt::wire {
namespace {

static_assert(static_cast<int>(EnergyQuality::kMeasured) == v1::ENERGY_QUALITY_MEASURED &&
              static_cast<int>(EnergyQuality::kUnavailable) == v1::ENERGY_QUALITY_UNAVAILABLE);
static_assert(static_cast<int>(EnergyScope::kProcess) == v1::ENERGY_SCOPE_PROCESS &&
              static_cast<int>(EnergyScope::kDevice) == v1::ENERGY_SCOPE_DEVICE);
static_assert(static_cast<int>(Phase::kDownload) == v1::PHASE_DOWNLOAD &&
              static_cast<int>(Phase::kEvaluate) == v1::PHASE_EVALUATE);

// Fills what is sound of `in` into `out`; the first thing that is not is the error.
absl::Status Fill(const v1::EnergySample& in, EnergySample* out) {
  FW_RETURN_IF_ERROR(OptionalEnumFrom("phase", in.phase(), Phase::kEvaluate, &out->phase));
  FW_RETURN_IF_ERROR(CheckSigned("duration_us", in.duration_us(), 0, kMaxDurationMs * 1000));
  out->duration_us = in.duration_us();
  FW_RETURN_IF_ERROR(CheckCount("bytes", in.bytes(), 0, 4 * bounds::kMaxBlobBytes));
  out->bytes = in.bytes();
  FW_RETURN_IF_ERROR(CheckReal("coverage", in.coverage(), 0, 1));
  out->coverage = in.coverage();
  FW_RETURN_IF_ERROR(EnumFrom("scope", in.scope(), EnergyScope::kDevice, &out->scope));
  EnergyQuality quality = EnergyQuality::kUnavailable;
  FW_RETURN_IF_ERROR(EnumFrom("quality", in.quality(), EnergyQuality::kUnavailable, &quality));
  if (quality == EnergyQuality::kUnavailable) return absl::OkStatus();
  if (!in.has_energy_uj()) return absl::InvalidArgumentError("the sample carries no figure");
  FW_RETURN_IF_ERROR(CheckSigned("energy_uj", in.energy_uj(), 0, kMaxEnergyUj));
  if (in.has_sigma_uj()) {
    FW_RETURN_IF_ERROR(CheckSigned("sigma_uj", in.sigma_uj(), 0, kMaxEnergyUj));
    out->sigma_uj = in.sigma_uj();
  }
  if (in.has_machine_energy_uj()) {
    FW_RETURN_IF_ERROR(CheckSigned("machine_energy_uj", in.machine_energy_uj(), 0, kMaxEnergyUj));
    out->machine_energy_uj = in.machine_energy_uj();
  }
  out->energy_uj = in.energy_uj();
  out->quality = quality;
  return absl::OkStatus();
}

}  // namespace

void ToProto(const EnergySample& sample, v1::EnergySample* out) {
  out->set_source(SafeText(sample.source, bounds::kMaxNameLength));
  out->set_quality(static_cast<v1::EnergyQuality>(sample.quality));
  out->set_scope(static_cast<v1::EnergyScope>(sample.scope));
  out->set_phase(static_cast<v1::Phase>(sample.phase));
  if (sample.energy_uj) out->set_energy_uj(*sample.energy_uj);
  if (sample.sigma_uj) out->set_sigma_uj(*sample.sigma_uj);
  out->set_idle_subtracted(sample.idle_subtracted);
  out->set_coverage(sample.coverage);
  out->set_duration_us(sample.duration_us);
  out->set_bytes(sample.bytes);
  if (sample.machine_energy_uj) out->set_machine_energy_uj(*sample.machine_energy_uj);
  out->set_reason(SafeText(sample.reason, bounds::kMaxReasonLength));
}

EnergySample FromProto(const v1::EnergySample& in) {
  EnergySample sample;
  sample.source = SafeText(in.source(), bounds::kMaxNameLength);
  if (sample.source.empty()) sample.source = "unnamed";
  sample.idle_subtracted = in.idle_subtracted();
  sample.reason = SafeText(in.reason(), bounds::kMaxReasonLength);
  const absl::Status status = Fill(in, &sample);
  if (!status.ok()) {
    sample.quality = EnergyQuality::kUnavailable;
    sample.sigma_uj.reset();
    sample.machine_energy_uj.reset();
    sample.reason = absl::StrCat("refused: ", status.message());
  }
  return sample;
}

}  // namespace fedwatt::wire
