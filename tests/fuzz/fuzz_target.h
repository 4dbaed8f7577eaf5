#pragma once

// Decoders of what peers send, and what must hold of each whatever the bytes are.
//
// fedwatt-fuzz --target=NAME runs one of them under libFuzzer with AddressSanitizer and
// UndefinedBehaviorSanitizer: `./dev fuzz NAME` for long, the suite for a few seconds each.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/bytes.h"
#include "common/base/rng.h"

namespace fedwatt::fuzz {

struct FuzzTarget {
  std::string name;
  // Decodes; ends the process (Expect) when a property does not hold.
  std::function<void(ByteSpan input)> run;
  // A well-formed input: mutations start from such, since a random string hardly ever passes a
  // length check. May be empty: no input this time.
  std::function<std::string(Rng& rng)> well_formed;
};

std::vector<FuzzTarget> CodecTargets();  // one for each of BuiltinCodecs(), of the same name
FuzzTarget CodecTextTarget();            // codecs as text, with their parameters
FuzzTarget GraphTarget();                // common/graph, and a training step of what passes
FuzzTarget SymbolTarget();               // common/codec/symbol_coder.h
FuzzTarget ModelStepTarget();            // common/codec/model_step.h
std::vector<FuzzTarget> WireTargets();   // messages of clients, of the coordinator, bundle headers

// Aborts, with the reason, unless `holds`.
void Expect(bool holds, const std::string& property);

// Decoders refuse bytes with INVALID_ARGUMENT and nothing else.
void ExpectOkOrRefused(const absl::Status& status);

}  // namespace fedwatt::fuzz
