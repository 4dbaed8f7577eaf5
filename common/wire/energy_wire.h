#pragma once

// proto/fedwatt/v1/energy.proto <-> common/energy/energy_sample.h (rules: model_wire.h).

#include "common/energy/energy_sample.h"
#include "fedwatt/v1/energy.pb.h"

namespace fedwatt::wire {

void ToProto(const EnergySample& sample, v1::EnergySample* out);

// Total, unlike the other FromProto: one broken meter must not cost the other samples, nor the
// update. A figure that cannot be (negative, beyond 1e9 J, of unknown quality or scope, with a
// coverage outside 0..1) becomes quality `unavailable` with the reason, never a number.
EnergySample FromProto(const v1::EnergySample& in);

}  // namespace fedwatt::wire
