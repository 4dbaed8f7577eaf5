#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/session_core.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

// Payloads stay what they are while they are downloaded: complete when they have their size. So
// they are never in a cache that is shared with another session, which might drop them first.
namespace fedwatt {

absl::Status SessionCore::TakeInlineSteps(Held* held) {
  KeptAssignment& record = held->record;
  if (record.assignment.model_steps.empty()) return absl::OkStatus();
  absl::Status written;
  for (ModelStep& step : record.assignment.model_steps) {
    Resource& payload = step.payload;
    if (payload.inline_data.empty()) continue;
    written.Update(cache_.PutPart(payload.sha256, payload.inline_data));
    payload.size = payload.inline_data.size();
    record.report.metrics.bytes_down += payload.size;
    payload.inline_data.clear();
    payload.inline_data.shrink_to_fit();
  }
  if (!written.ok()) GiveUpSteps(held, written);
  if (!record.model_inline) return absl::OkStatus();
  // A model that others follow by steps: kept longer than its assignment.
  const Digest& model = record.assignment.model.sha256;
  FW_RETURN_IF_ERROR(cache_.Adopt(model, store_.ModelPath(record.assignment.id)));
  record.model_inline = false;
  return absl::OkStatus();
}

bool SessionCore::CanUseSteps(Held* held) {
  const Assignment& assignment = held->record.assignment;
  if (assignment.model_steps.empty()) return false;
  const Digest& base = assignment.model_steps.front().base;
  absl::Status status = CheckSteps(assignment);
  if (status.ok() && base != Digest{} && !cache_.Has(base)) {
    status = absl::NotFoundError(
        absl::StrCat("the model ", DigestHex(base), " that they start from is not in the cache"));
  }
  if (!status.ok()) GiveUpSteps(held, status);
  return status.ok();
}

std::optional<size_t> SessionCore::NextStep(const Held& held) const {
  const std::vector<ModelStep>& steps = held.record.assignment.model_steps;
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string path = cache_.PartPath(steps[i].payload.sha256);
    if (!FileExists(path)) return i;
    const absl::StatusOr<uint64_t> bytes = FileSize(path);
    if (!bytes.ok() || *bytes != steps[i].payload.size) return i;
  }
  return std::nullopt;
}

ModelAssembly SessionCore::MakeAssembly(const Held& held) const {
  const Assignment& assignment = held.record.assignment;
  ModelAssembly assembly;
  assembly.model = assignment.model.sha256;
  assembly.model_path = cache_.Path(assembly.model);
  // Not the part file: a download of the model may have begun there.
  assembly.temporary_path = absl::StrCat(cache_.PartPath(assembly.model), ".new");
  for (const ModelStep& step : assignment.model_steps) {
    assembly.payloads.push_back({cache_.PartPath(step.payload.sha256), step.payload.sha256});
  }
  if (!assignment.model_steps.empty() && assignment.model_steps.front().base != Digest{}) {
    assembly.base = assignment.model_steps.front().base;
    assembly.base_path = cache_.Path(assembly.base);
  }
  return assembly;
}

void SessionCore::AssemblyDone(Held* held, const AssemblyResult& result,
                               const EnergySample& sample) {
  Report& report = held->record.report;
  AddEnergySample(sample, &report.energy);
  report.metrics.seconds_by_phase["download"] += static_cast<double>(sample.duration_us) * 1e-6;
  const Assignment& assignment = held->record.assignment;
  if (!result.status.ok()) {
    if (result.base_damaged) (void)cache_.Remove(assignment.model_steps.front().base);
    return GiveUpSteps(held, result.status);
  }
  cache_.Touch(assignment.model.sha256);
  SessionEvent event{SessionEventKind::kAssembled};
  event.assignment_id = assignment.id;
  event.text = DescribeSteps(assignment);
  event.bytes = StepBytes(assignment);
  event.total_bytes = assignment.model.size;
  event.assignment = &assignment;
  Emit(event);
  DropSteps(held);
}

void SessionCore::GiveUpSteps(Held* held, const absl::Status& why) {
  const Assignment& assignment = held->record.assignment;
  EmitProblem(absl::StrCat("cannot use the steps to the model of ", assignment.id, ": ",
                           StatusText(why), "; downloading all ",
                           HumanBytes(assignment.model.size)));
  DropSteps(held);
}

void SessionCore::DropSteps(Held* held) {
  KeptAssignment& record = held->record;
  for (const ModelStep& step : record.assignment.model_steps) {
    // What cannot be removed is evicted some day.
    (void)RemoveIfExists(cache_.PartPath(step.payload.sha256));
  }
  record.assignment.model_steps.clear();
  record.part_bytes[kModel] = KeptAssignment::kNotBegun;
  Written(*held, store_.Put(record));
}

}  // namespace fedwatt
