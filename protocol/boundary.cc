#include "protocol/boundary.h"

#include <cstdint>
#include <limits>
#include <string>

#include "common/finite.h"

namespace mortar {
namespace {

absl::Status CheckShape(const Activation& a, int n_embd) {
  const Envelope& e = a.envelope;
  if ((e.flags & ~kFlagsKnown) != 0) {
    return InvalidArgument("frame has unknown flags " + std::to_string(e.flags));
  }
  if (e.rows_wanted > RowsWanted::kAll) {
    return InvalidArgument("frame wants rows of unknown kind " +
                           std::to_string(static_cast<int>(e.rows_wanted)));
  }
  if (e.n_hops > kHopsMax - 1) {
    return InvalidArgument("frame has " + std::to_string(e.n_hops) + " remaining hops, at most " +
                           std::to_string(kHopsMax - 1) + " are allowed");
  }
  if (e.n > static_cast<uint32_t>(FrameRowsMax(n_embd))) {
    return InvalidArgument("frame of " + std::to_string(e.n) + " rows, at most " +
                           std::to_string(FrameRowsMax(n_embd)) + " are allowed");
  }
  if (e.base > static_cast<uint32_t>(std::numeric_limits<int32_t>::max()) - e.n) {
    return InvalidArgument("frame at position " + std::to_string(e.base) + " ends beyond 2^31");
  }
  if (static_cast<uint32_t>(a.rows.n()) != e.n || (e.n > 0 && a.rows.n_embd() != n_embd)) {
    return InvalidArgument("frame holds rows [" + std::to_string(a.rows.n()) + ", " +
                           std::to_string(a.rows.n_embd()) + "], its envelope says [" +
                           std::to_string(e.n) + ", " + std::to_string(n_embd) + "]");
  }
  return CheckFinite(a.rows);
}

}  // namespace

absl::Status CheckFinite(const Rows& rows) {
  const float* values = rows.data();
  if (AllFinite({values, rows.bytes() / sizeof(float)})) return absl::OkStatus();
  size_t at = 0;
  while (IsFinite(values[at])) ++at;
  const size_t width = static_cast<size_t>(rows.n_embd());
  return InvalidArgument("row " + std::to_string(at / width) + ", column " +
                         std::to_string(at % width) + " is not finite");
}

absl::Status CheckFrame(const Activation& frame, int n_embd) {
  if (frame.envelope.is_answer()) return InvalidArgument("an answer came to a worker");
  if (frame.envelope.n == 0) return InvalidArgument("frame without rows");
  return CheckShape(frame, n_embd);
}

absl::Status CheckAnswer(const Activation& answer, int n_embd) {
  if (!answer.envelope.is_answer()) return InvalidArgument("a frame came to an edge");
  if (answer.envelope.n_hops != 0) return InvalidArgument("answer with remaining hops");
  return CheckShape(answer, n_embd);
}

}  // namespace mortar
