#include "tests/simulation/sim_relay.h"

#include <utility>

#include "tests/simulation/sim_liars.h"

namespace mortar {
namespace {

constexpr size_t kKeptMax = 512;  // messages: those of several sessions

}  // namespace

void LyingRelay::Pass(NodeId from, NodeId to, const AnyMessage& message) {
  if (IsCoordinator(from) || IsCoordinator(to) || !view_.Has(from)) return;
  Keep({from, to, message});
}

void LyingRelay::Keep(Kept kept) {
  if (kept_.size() < kKeptMax) {
    kept_.push_back(std::move(kept));
  } else {
    kept_[oldest_++ % kKeptMax] = std::move(kept);
  }
}

// A word about the session of a frame, in the name of the frame's sender, its receiver or its edge.
// A tag that somebody made for something else is the best that there is.
void LyingRelay::MakeUp(const Kept& kept) {
  const auto* frame = std::get_if<Activation>(&kept.message);
  if (frame == nullptr) return;
  const Envelope& e = frame->envelope;
  const NodeId hop = view_.workers.contains(kept.to) ? kept.to : kept.from;
  const uint32_t epoch = e.epoch + static_cast<uint32_t>(Any(2));
  switch (Any(6)) {
    case 0:
      return network_.Bring(e.edge, hop, End{e.session, e.seal});
    case 1:
      return network_.Bring(e.edge, hop, Cancel{e.session, e.seal});
    case 2:
      return network_.Bring(hop, e.edge,
                            Rejected{.session = e.session,
                                     .epoch = epoch,
                                     .step = e.step,
                                     .status = InvalidArgument(kMadeUp),
                                     .seal = e.seal});
    case 3:
      return network_.Bring(
          hop, e.edge,
          NeedRoute{.session = e.session, .epoch = epoch, .step = e.step, .seal = e.seal});
    case 4:
      return network_.Bring(hop, e.edge,
                            NeedPrefix{.session = e.session,
                                       .epoch = epoch,
                                       .step = e.step,
                                       .have = static_cast<int>(Any(300)),
                                       .seal = e.seal});
    default:
      return network_.Bring(e.edge, hop, Goodbye{Unavailable(kMadeUp)});
  }
}

void LyingRelay::Misbehave(int burst) {
  for (int i = 0; i < burst && !kept_.empty(); ++i) {
    const Kept& kept = kept_[Any(kept_.size())];
    switch (Any(4)) {
      case 0:
        MakeUp(kept);
        break;
      case 1: {
        AnyMessage spoilt = kept.message;
        SpoilOne(random_, spoilt);
        network_.Bring(kept.from, kept.to, spoilt);
        break;
      }
      default:
        network_.Bring(kept.from, kept.to, kept.message);
    }
  }
}

}  // namespace mortar
