#include "server/driver/matching.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace fedwatt {
namespace {

bool Contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

Need CommonNeed(const JobSpec& spec, const BundleHeader& bundle) {
  Need need;
  need.tenant = spec.tenant;
  need.population = spec.population;
  need.dataset = spec.dataset.name;
  need.schema_version = spec.dataset.schema_version;
  need.trainer = spec.eligibility.trainer;
  need.min_memory_bytes = spec.eligibility.min_memory_bytes;
  need.min_sdk = spec.plan.min_sdk;
  for (const Artifact& artifact : bundle.artifacts) need.formats.push_back(artifact.format);
  return need;
}

uint64_t NextPart(const std::string& text, size_t* at) {
  uint64_t part = 0;
  const char* end = text.data() + text.size();
  std::from_chars(text.data() + std::min(*at, text.size()), end, part);
  const size_t dot = text.find('.', std::min(*at, text.size()));
  *at = dot == std::string::npos ? text.size() : dot + 1;
  return part;
}

bool DatasetFits(const Need& need, const DatasetRef& dataset) {
  return dataset.name == need.dataset &&
         (need.schema_version == 0 || dataset.schema_version == need.schema_version) &&
         dataset.example_count_bucket >= ExampleCountBucket(need.min_examples);
}

std::string WhyNoDataset(const Need& need, const Offer& offer) {
  const DatasetRef* named = nullptr;
  for (const DatasetRef& dataset : offer.request.datasets) {
    if (DatasetFits(need, dataset)) return "";
    if (dataset.name == need.dataset) named = &dataset;
  }
  if (named == nullptr) return absl::StrCat("needs dataset '", need.dataset, "'");
  if (need.schema_version != 0 && named->schema_version != need.schema_version) {
    return absl::StrCat("needs dataset '", need.dataset, "' in schema version ",
                        need.schema_version, ", not ", named->schema_version);
  }
  return absl::StrCat("needs ", need.min_examples, " examples of dataset '", need.dataset, "'");
}

bool FormatFits(const Need& need, const Capabilities& offered) {
  // A trainer that lists no formats reads no artifact, hence takes every bundle.
  if (need.formats.empty() || offered.artifact_formats.empty()) return true;
  return std::any_of(need.formats.begin(), need.formats.end(), [&offered](const std::string& f) {
    return Contains(offered.artifact_formats, f);
  });
}

std::string WhyNoCodec(const Need& need, const Capabilities& offered) {
  if (need.codecs.empty()) return "";
  std::vector<std::string> names;
  std::string stateful;
  for (const CodecNeed& codec : need.codecs) {
    if (CanEncode(offered, codec)) return "";
    names.push_back(absl::StrCat("'", codec.codec, "'"));
    if (Contains(offered.codecs, codec.codec)) stateful = codec.codec;
  }
  if (!stateful.empty()) {
    return absl::StrCat("needs a client that keeps state, for codec '", stateful, "'");
  }
  return absl::StrCat("needs codec ", absl::StrJoin(names, " or "));
}

std::string WhyNotCapable(const Need& need, const Capabilities& offered) {
  if (!need.trainer.empty() && !Contains(offered.trainers, need.trainer)) {
    return absl::StrCat("needs trainer '", need.trainer, "'");
  }
  if (!FormatFits(need, offered)) {
    return absl::StrCat("needs a trainer for ", absl::StrJoin(need.formats, " or "));
  }
  if (offered.memory_bytes < need.min_memory_bytes) {
    return absl::StrCat("needs ", need.min_memory_bytes, " bytes of memory, not ",
                        offered.memory_bytes);
  }
  for (const auto& [name, value] : need.labels) {
    const auto it = offered.labels.find(name);
    if (it == offered.labels.end() || it->second != value) {
      return absl::StrCat("needs label ", name, " = '", value, "'");
    }
  }
  return WhyNoCodec(need, offered);
}

}  // namespace

bool CanEncode(const Capabilities& offered, const CodecNeed& codec) {
  return Contains(offered.codecs, codec.codec) && (offered.keeps_state || !codec.keeps_state);
}

Need TrainingNeed(const JobSpec& spec, const BundleHeader& bundle, std::vector<CodecNeed> codecs) {
  Need need = CommonNeed(spec, bundle);
  need.min_examples = spec.dataset.min_examples;
  need.labels = spec.eligibility.labels;
  need.codecs = std::move(codecs);
  return need;
}

Need EvaluationNeed(const JobSpec& spec, const BundleHeader& bundle) {
  Need need = CommonNeed(spec, bundle);
  if (!spec.evaluation.dataset.empty()) {
    need.dataset = spec.evaluation.dataset;
    need.schema_version = 0;
  }
  if (spec.evaluation.where == "evaluator") {
    need.role = Role::kEvaluator;
  } else {
    need.labels = spec.eligibility.labels;
  }
  return need;
}

std::strong_ordering CompareVersions(const std::string& a, const std::string& b) {
  size_t at_a = 0;
  size_t at_b = 0;
  while (at_a < a.size() || at_b < b.size()) {
    const uint64_t part_a = NextPart(a, &at_a);
    const uint64_t part_b = NextPart(b, &at_b);
    if (part_a != part_b) return part_a <=> part_b;
  }
  return std::strong_ordering::equal;
}

std::string WhyNot(const Need& need, const Offer& offer) {
  const CheckInRequest& request = offer.request;
  if (need.tenant != offer.tenant || need.population != request.population) {
    return absl::StrCat("is for tenant '", need.tenant, "', population '", need.population, "'");
  }
  if (need.role != request.role) return absl::StrCat("needs role ", RoleName(need.role));
  if (CompareVersions(request.sdk_version, need.min_sdk) < 0) {
    return absl::StrCat("needs SDK ", need.min_sdk, ", not ", request.sdk_version,
                        "; upgrade the client");
  }
  const std::string dataset = WhyNoDataset(need, offer);
  return dataset.empty() ? WhyNotCapable(need, request.capabilities) : dataset;
}

const DatasetRef* MatchingDataset(const Need& need, const Offer& offer) {
  for (const DatasetRef& dataset : offer.request.datasets) {
    if (DatasetFits(need, dataset)) return &dataset;
  }
  return nullptr;
}

std::string ChosenTrainer(const Need& need, const Offer& offer) {
  if (!need.trainer.empty()) return need.trainer;
  const auto& trainers = offer.request.capabilities.trainers;
  return trainers.empty() ? "" : trainers.front();
}

}  // namespace fedwatt
