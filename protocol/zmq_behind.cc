// What crosses between the links of a coordinator and the nodes behind it (NodesBehind): where rank
// 0 of an MPI job listens, its ranks.
#include <utility>

#include "protocol/zmq_links.h"

namespace mortar {

bool ZmqTransport::State::MaySpeak(const ZmqLink& link, NodeId from) const {
  return from == link.node || (link.vouches && !IsBehind(from));
}

void ZmqTransport::State::RememberSender(ZmqLink& link, NodeId other) {
  if (link.senders.size() >= kSendersMax) link.senders.clear();
  link.senders.insert(other);
}

// Unlike what goes from link to link it is read before it is handed on: those behind take a
// message that is none for a fault of this process.
void ZmqTransport::State::ForwardBehind(ZmqSocket& socket, ZmqLink& from,
                                        const ZmqSocket::Head& head, Time now) {
  absl::StatusOr<WireMessage> read = ReadMessage(head.words);
  auto* frame = read.ok() ? std::get_if<Activation>(&read->message) : nullptr;
  if (!read.ok() || (frame == nullptr && head.n_parts == 2)) {
    ++counters.malformed;
    return;
  }
  if (frame != nullptr) {
    if (!TakeFrame(socket, head, *frame)) return;
    if (frame->envelope.n > 0) NoteFrame(from, now);
  }
  const NodeId to = read->to;
  const absl::Status sent = parts.behind->Forward(read->from, to, std::move(read->message));
  if (absl::IsInvalidArgument(sent)) {  // too long: nothing that a node of ours says
    ++counters.malformed;
    return;
  }
  if (!sent.ok()) return Undeliverable(head);
  ++counters.forwarded;
  // Of one whose words a relay brings too: its own link is what is lost with it.
  const auto sender = by_node.find(read->from);
  if (sender != by_node.end()) RememberSender(*sender->second, to);
}

absl::Status ZmqTransport::Forward(NodeId from, NodeId to, const AnyMessage& message) {
  State& s = *state_;
  absl::Status sent = NotFound("no way to node " + ToString(to));
  if (const auto found = s.by_node.find(to); found != s.by_node.end()) {
    ZmqLink& link = *found->second;
    sent = s.SendAs(from, link, to, message);
    if (sent.ok()) {
      ++s.counters.forwarded;
      State::RememberSender(link, from);
      return sent;
    }
  }
  ++s.counters.undeliverable;
  const auto* frame = std::get_if<Activation>(&message);
  if (frame != nullptr && !frame->envelope.is_answer()) {
    const Envelope& e = frame->envelope;
    s.TellEdge(e.edge, NeedRoute{.session = e.session, .epoch = e.epoch, .step = e.step});
  }
  return sent;
}

}  // namespace mortar
