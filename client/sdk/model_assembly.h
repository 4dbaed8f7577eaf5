#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/crypto/sha256.h"
#include "common/model/fleet.h"
#include "common/model/manifest.h"

// Puts a flat model together from the steps of an assignment (common/codec/model_step.h) instead of
// downloading all of it.
namespace fedwatt {

struct ModelAssembly {
  struct Payload {
    std::string path;
    Digest sha256{};
  };

  std::string base_path;  // empty: the first payload is a whole model
  Digest base{};
  std::vector<Payload> payloads;
  std::string temporary_path;  // on the file system of model_path
  std::string model_path;
  Digest model{};
};

// INVALID_ARGUMENT unless the steps lead to assignment.model, each from what the one before it
// leads to (or from nothing, as a whole model).
absl::Status CheckSteps(const Assignment& assignment);

// Their payloads' bytes.
uint64_t StepBytes(const Assignment& assignment);

// "step from 1f2e3d4c: 412.0 kB instead of 6.7 MB".
std::string DescribeSteps(const Assignment& assignment);

struct AssemblyResult {
  absl::Status status;
  bool base_damaged = false;  // and not to be used again
};

// Writes `model_path`, atomically and without fsync: like all of the cache it is verified before
// use. Every payload and the result is compared with its hash, the result also when `model_path` is
// there already; the base only if something is wrong, to say whether it is that. Blocks; needs
// memory for one payload, and for a model unless there is one step only.
//
// NOT_FOUND: base or payload is not there. DATA_LOSS: one has not its hash. INVALID_ARGUMENT: a
// payload that cannot be applied (of another model, or damaged before it was hashed), or a base of
// another size.
// FAILED_PRECONDITION: the steps lead to another model than they should.
AssemblyResult AssembleModel(const ModelAssembly& assembly, const Manifest& manifest,
                             const UpdateLayout& layout);

}  // namespace fedwatt
