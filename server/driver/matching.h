#pragma once

#include <compare>
#include <string>
#include <vector>

#include "common/model/bundle_header.h"
#include "common/model/example_count.h"
#include "common/model/fleet.h"
#include "common/model/job_spec.h"

// Which client can do which job's work. Pure functions of what the job needs and the client offers.
namespace fedwatt {

// A check-in past the door: identities are pseudonyms from here on.
struct Offer {
  std::string client;  // pseudonym
  std::string tenant;
  CheckInRequest request;
};

// A codec as far as matching goes.
struct CodecNeed {
  std::string codec;         // its name
  bool keeps_state = false;  // only for clients that do: it corrects one update's error in the next
  bool operator==(const CodecNeed&) const = default;
};

// What one kind of work (training or evaluation) of one job asks of a client.
struct Need {
  std::string tenant;
  std::string population;
  Role role = Role::kClient;
  std::string dataset;
  uint32_t schema_version = 0;  // 0: any
  uint64_t min_examples = 0;
  std::string trainer;               // empty: any
  std::vector<std::string> formats;  // one of them; empty: the bundle has no artifacts
  uint64_t min_memory_bytes = 0;
  std::map<std::string, std::string> labels;
  std::vector<CodecNeed> codecs;  // of updates: one of them; empty: there are none
  std::string min_sdk;
};

Need TrainingNeed(const JobSpec& spec, const BundleHeader& bundle, std::vector<CodecNeed> codecs);
Need EvaluationNeed(const JobSpec& spec, const BundleHeader& bundle);

// Numeric by dotted part: "1.10" is above "1.9"; missing and non-numeric parts count as 0.
std::strong_ordering CompareVersions(const std::string& a, const std::string& b);

bool CanEncode(const Capabilities& offered, const CodecNeed& codec);

// Empty when `offer` fits, else the first thing that does not: "no job for dataset 'x'" fits a
// sentence about this job alone as "needs dataset 'x'".
std::string WhyNot(const Need& need, const Offer& offer);

// The offered dataset that fits; null when none does.
const DatasetRef* MatchingDataset(const Need& need, const Offer& offer);

// The trainer that an assignment names: the one needed, else the client's first.
std::string ChosenTrainer(const Need& need, const Offer& offer);

}  // namespace fedwatt
