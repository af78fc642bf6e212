// What is checked of a message, once, where it enters a node. Behind it, a frame is known to
// have the size and the finite values that its envelope promises.
#pragma once

#include "common/status.h"
#include "protocol/messages.h"

namespace mortar {

// InvalidArgument, with the row and the column, when a value is infinite or not a number.
// Reads every float once; vectorised by the compiler.
absl::Status CheckFinite(const Rows& rows);

// A frame as a worker takes it: 1 <= n, rows [n, n_embd] within kFrameRowBytesMax, at most
// kHopsMax - 1 remaining hops, no unknown flag, not an answer, positions below 2^31, finite.
absl::Status CheckFrame(const Activation& frame, int n_embd);

// An answer as an edge takes it: the flag, no remaining hops, and rows that fit the envelope.
absl::Status CheckAnswer(const Activation& answer, int n_embd);

}  // namespace mortar
