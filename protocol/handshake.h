// What both ends of a link agree on before anything else crosses it. Pure functions: used by the
// coordinator for its members, and by transports for links between other nodes.
#pragma once

#include <optional>

#include "common/status.h"
#include "protocol/messages.h"

namespace mortar {

// A worker that joins to fetch its model.
bool HasNoModel(const Hello& hello);

// OK when a node that serves `model` (absent: any) may talk to whoever said this. The error names
// what differs, and both values, for the one who reads it at the other end. FailedPrecondition:
// another version, contract or model, or keys without what keys have brought since;
// InvalidArgument: a name that is none.
absl::Status CheckHello(const Hello& hello, const std::optional<ModelId>& model);

// The answer to a Hello that passed: the features that both have.
Welcome WelcomeFor(const Hello& hello);

// The same from the other side, over a link with keys or without. An answer may come from a node of
// another version.
absl::Status CheckWelcome(const Welcome& welcome, bool has_keys);

}  // namespace mortar
