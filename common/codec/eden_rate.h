#pragma once

// The Gaussian quantised with a uniform step: index k where z / step rounds to k.

namespace fedwatt {

struct UniformRate {
  double entropy_bits = 0;  // of the index
  // E[Q^2] E[z^2] / E[Q z]^2 - 1: what EDEN's scale, ||x||^2 / <Q, r>, makes of the quantiser.
  double vnmse = 0;
};

UniformRate RateOfUniformStep(double step);

// The step whose index has an entropy of `bits`, 0.5 to 8; to 12 significant bits, so that a libm
// that differs in its last bit gives the same step.
double UniformStepFor(double bits);

}  // namespace fedwatt
