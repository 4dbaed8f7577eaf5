#pragma once

// Logarithm, exponential and power that give the same bits on every machine, as libm does not:
// selections depend on them, and equal requests must give equal selections. Only +, -, *, / and
// exact scalings by powers of two; relative error below 1e-14.
namespace fedwatt {

double PortableLn(double x);             // x finite and above 0
double PortableExp2(double x);           // saturates at 2^-1000 and 2^1000
double PortablePow(double x, double y);  // x at least 0; 0^y is 0 but for y = 0

}  // namespace fedwatt
