// The floating-point environment that the numeric contract needs: rounding to nearest even,
// subnormals neither flushed nor read as zero, halves as IEEE 754 has them.
#pragma once

namespace mortar {

// For this thread: sets the default environment.
void SetFloatEnvironment();

// Whether this thread rounds to nearest even and keeps subnormals: found out by computing.
bool FloatEnvironmentHolds();

}  // namespace mortar
