// Where a user's files are, by the environment.
#pragma once

#include <string>
#include <string_view>

#include "cli/settings.h"

namespace mortar {

// Empty when it is not set.
std::string Variable(const Environment& environment, std::string_view name);
// The user's home: HOME, else what the user database says. Used by one thread, before others start.
std::string Home(const Environment& environment);

}  // namespace mortar
