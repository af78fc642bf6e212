// What a worker's memory has no room for, told before it joins.
#pragma once

#include <string>

#include "worker/state.h"

namespace mortar {

// The warning that goes with a worker whose memory holds not one of its layers with the KV of its
// sessions (of a fixed run: not all of it), or nothing: a coordinator that places by what it
// measures gives it no layers, and would not say why to whoever started it.
std::string RoomWarning(const WorkerOptions& options);

}  // namespace mortar
