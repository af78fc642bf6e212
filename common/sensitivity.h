// Whose a brick is: a property of the brick, not a flag of a command.
#pragma once

#include <cstdint>

namespace mortar {

// kPrivate: it never leaves its owner's edge. What is made from it is private too.
enum class Sensitivity : uint8_t { kPublic = 0, kPrivate = 1 };

}  // namespace mortar
