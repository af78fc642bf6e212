// What becomes of each message that comes over ZeroMQ: the table in zmq_transport.h, row by row.
#include <algorithm>
#include <optional>
#include <utility>

#include "protocol/handshake.h"
#include "protocol/limits.h"
#include "protocol/zmq_links.h"

namespace mortar {
namespace {

// Between two lines of the log on keys that are not allowed.
constexpr Duration kNotAllowedInterval = std::chrono::seconds(1);
// Nodes, and relays between them. Beyond it a Hello is refused.
constexpr size_t kLinksMax = static_cast<size_t>(kNodesMax) + 64;

std::optional<ModelId> ModelOf(const Hello& card) {
  return card.model.n_layers > 0 ? std::optional<ModelId>(card.model) : std::nullopt;
}

// What is no message before anybody reads it.
absl::Status CheckParts(const ZmqSocket::Head& head) {
  if (head.connection == kNoConnection) {
    return InvalidArgument("a client that chose a routing id of its own");
  }
  if (head.n_parts == 1 || head.n_parts == 2) return absl::OkStatus();
  return InvalidArgument("message of " + std::to_string(head.n_parts) + " parts, at most 2");
}

}  // namespace

void ZmqTransport::State::Answer(ZmqSocket& socket, ConnectionId connection, NodeId to,
                                 const AnyMessage& message) {
  // Whether it arrives is the asker's concern: it asks again.
  (void)socket.Send(connection, writer.Write(options.self, to, message), {});
}

std::optional<Incoming> ZmqTransport::State::Take(ZmqSocket& socket, ZmqLink* link,
                                                  const ZmqSocket::Head& head, Time now) {
  if (link == nullptr) {
    const ZmqDoor& door = DoorOf(socket);
    const auto found = door.by_connection.find(head.connection);
    if (found != door.by_connection.end()) link = found->second;
  }
  if (link != nullptr && link->own == nullptr && head.speaker != link->key) {
    ++counters.impostors;
    return std::nullopt;
  }
  const absl::Status whole = CheckParts(head);
  if (whole.ok() && options.forwards && link != nullptr && link->open) {
    const auto ends = ReadEnds(head.words);
    if (ends.ok() && !IsForUs(link, ends->to)) {
      if (!MaySpeak(*link, ends->from)) {
        ++counters.impostors;
      } else {
        link->heard = now;
        Forward(socket, *link, head, *ends, now);
      }
      return std::nullopt;
    }
  }
  absl::StatusOr<WireMessage> read = whole.ok() ? ReadMessage(head.words) : whole;
  if (!read.ok()) {
    ++counters.malformed;
    // Whoever vouches brought it for somebody else, and has no part in it.
    const bool own = link == nullptr || !link->vouches;
    if (socket.listens() && own) Answer(socket, head.connection, kNoNode, Goodbye{read.status()});
    return std::nullopt;
  }
  const NodeId from = read->from;
  if (auto* hello = std::get_if<Hello>(&read->message); hello != nullptr && socket.listens()) {
    return TakeHello(socket, link, head, {.from = from, .to = read->to}, *hello, now);
  }
  if (!IsForUs(link, read->to)) {
    ++counters.misdirected;
    return std::nullopt;
  }
  if (link == nullptr) {
    ++counters.strangers;
    Answer(socket, head.connection, from, Goodbye{Unavailable("say Hello first")});
    return std::nullopt;
  }
  if (auto* welcome = std::get_if<Welcome>(&read->message)) {
    return TakeWelcome(*link, from, *welcome, now);
  }
  return TakeFromLink(socket, *link, head, from, read->message, now);
}

void ZmqTransport::State::AnswerGate(Time now) {
  gate_looked = now;
  gate->Answer([&](const PublicKey& key) {
    const bool knows = options.allowed.Knows(key);
    if (!knows) NoteNotAllowed(key, "not on the list", now);
    return knows;
  });
}

void ZmqTransport::State::NoteNotAllowed(const PublicKey& key, const std::string& why, Time now) {
  ++counters.not_allowed;
  ++not_allowed_unsaid;
  if (now - not_allowed_said < kNotAllowedInterval) return;
  not_allowed_said = now;
  parts.log.Warning(
      "not_allowed",
      {{"key", ToHex(key)}, {"why", why}, {"times", std::exchange(not_allowed_unsaid, 0)}});
}

absl::Status ZmqTransport::State::CheckIdentity(const PublicKey& speaker, NodeId from,
                                                const Hello& hello) {
  if (!options.keys) return absl::OkStatus();
  if (hello.key != speaker || from != NodeIdOf(speaker, hello.instance)) {
    ++counters.forged_ids;
    return PermissionDenied("node id " + ToString(from) + " is not one of this key's");
  }
  if (!options.allowed.Allows(speaker, hello.role)) {
    ++(options.allowed.Knows(speaker) ? counters.wrong_roles : counters.revoked);
    return PermissionDenied(std::string("this node's key is not allowed as ") + Name(hello.role));
  }
  return absl::OkStatus();
}

std::optional<Incoming> ZmqTransport::State::TakeHello(ZmqSocket& socket, ZmqLink* link,
                                                       const ZmqSocket::Head& head,
                                                       const WireEnds& ends, Hello& hello,
                                                       Time now) {
  const ConnectionId connection = head.connection;
  const NodeId from = ends.from, to = ends.to;
  const auto refuse = [&](absl::Status why) {
    Answer(socket, connection, from, Goodbye{std::move(why)});
    return std::nullopt;
  };
  if (absl::Status proved = CheckIdentity(head.speaker, from, hello); !proved.ok()) {
    NoteNotAllowed(head.speaker, Message(proved), now);
    return refuse(std::move(proved));
  }
  if (to != options.self && IsCoordinator(to) && IsCoordinator(options.self)) {
    return refuse(InvalidArgument("this is " + ToString(options.self) + ", and not " +
                                  ToString(to) +
                                  ": nodes name a cluster's coordinators in the order of their "
                                  "--index"));
  }
  if (from.value < kReservedNodeIds || from == options.self || IsBehind(from) ||
      (link && link->node != from)) {
    ++counters.impostors;
    return refuse(InvalidArgument("node id " + ToString(from) + " is not the sender's"));
  }
  if (link != nullptr && link->role != hello.role) {
    return refuse(InvalidArgument(std::string("this node came as ") + Name(link->role) +
                                  ", and stays that until it comes anew"));
  }
  const ZmqLink* before = link == nullptr ? ComesAnew(from, head.speaker) : nullptr;
  if (before != nullptr && before->role != hello.role) {
    return refuse(InvalidArgument(std::string("this node came as ") + Name(before->role) +
                                  ", and stays that until it comes anew"));
  }
  const bool fresh = link == nullptr && before == nullptr;
  if (fresh && options.keys && LinksOf(head.speaker) >= kLinksPerKeyMax) {
    return refuse(ResourceExhausted("this key has " + std::to_string(kLinksPerKeyMax) +
                                    " links already; give other nodes keys of their own"));
  }
  if (fresh && ProbeConnection(from)) {
    return refuse(Unavailable("node id " + ToString(from) + " is in use by another connection"));
  }
  if (fresh && links.size() >= kLinksMax) {
    return refuse(ResourceExhausted("this node has " + std::to_string(links.size()) + " links"));
  }
  ZmqDoor& door = DoorOf(socket);
  if (options.members && hello.role != Role::kRelay) {
    if (link == nullptr) link = &Accept(door, connection, from, hello, now);
    if (!link->open) asking[from] = link;
    return Incoming{.from = from, .message = std::move(hello)};
  }
  absl::Status fits = CheckHello(hello, ModelOf(options.card));
  if (!fits.ok()) {
    ++counters.other_terms;
    return refuse(std::move(fits));
  }
  if (link == nullptr) {
    link = &Accept(door, connection, from, hello, now);
    Opened(*link, from, now);
  }
  Answer(socket, connection, from, WelcomeFor(hello));
  SayDoors(*link);
  return std::nullopt;
}

size_t ZmqTransport::State::LinksOf(const PublicKey& key) const {
  return static_cast<size_t>(
      std::ranges::count_if(links, [&](const auto& link) { return link->key == key; }));
}

bool ZmqTransport::State::ProbeConnection(NodeId node) {
  // A node that this one has dialled may dial it too.
  const auto accepted = [&] {
    const auto found = by_node.find(node);
    return found != by_node.end() && found->second->own == nullptr ? found->second : nullptr;
  };
  // Whether a connection still stands shows when something is sent there: whoever was missed and
  // comes back need not wait for its old one to be missed too.
  if (ZmqLink* link = accepted(); link != nullptr) (void)SendOn(*link, node, Alive{});
  return accepted() != nullptr;
}

std::optional<Incoming> ZmqTransport::State::TakeWelcome(ZmqLink& link, NodeId from,
                                                         Welcome& welcome, Time now) {
  const bool expected = link.own != nullptr && (link.node == from || link.node == kNoNode);
  const absl::Status fits = CheckWelcome(welcome, options.keys.has_value());
  if (!expected || !fits.ok()) {
    ++counters.impostors;
    if (ZmqServer* upstream = UpstreamOf(link); expected && upstream) upstream->refusal = fits;
    return std::nullopt;
  }
  const bool moving = link.server != nullptr && link.server->moving == &link;
  const bool moved = moving && TakePlace(*link.server, link, from, now);
  if (!link.open) Opened(link, from, now);
  link.heard = now;
  ZmqServer* upstream = UpstreamOf(link);
  if (upstream == nullptr || moved) return std::nullopt;  // the loop never missed it
  upstream->refusal = absl::OkStatus();
  return Incoming{.from = from, .message = std::move(welcome)};
}

std::optional<Incoming> ZmqTransport::State::TakeFromLink(ZmqSocket& socket, ZmqLink& link,
                                                          const ZmqSocket::Head& head, NodeId from,
                                                          AnyMessage& message, Time now) {
  auto* goodbye = std::get_if<Goodbye>(&message);
  if (goodbye != nullptr && !link.open && UpstreamOf(link) == nullptr) {
    parts.log.Info("not_direct", {{"node", ToString(from)}, {"why", Message(goodbye->status)}});
    if (&link != relay.link) Remove(link);
    return std::nullopt;
  }
  if (goodbye != nullptr && !link.open && IsCoordinator(from) && from != link.node) {
    NoteOtherCoordinator(link, goodbye->status);
    return std::nullopt;
  }
  if (!link.open && goodbye == nullptr) {
    ++counters.strangers;
    return std::nullopt;
  }
  if (IsCoordinator(from) && (!LeadsToCoordinator(link) || from != link.node)) {
    ++counters.impostors;
    return std::nullopt;
  }
  // A relay brings a coordinator what others say to one another: to itself they speak themselves.
  if (from != link.node && (!link.vouches || options.members)) {
    ++counters.impostors;
    return std::nullopt;
  }
  link.heard = now;
  if (std::holds_alternative<Alive>(message)) return std::nullopt;
  if (auto* doors_said = std::get_if<Doors>(&message)) return TakeDoors(link, from, *doors_said);
  auto* frame = std::get_if<Activation>(&message);
  const bool opens = std::holds_alternative<Open>(message) && link.server == nullptr;
  if (head.n_parts == 2 || opens) NoteFrame(link, now);
  if (frame == nullptr && head.n_parts == 2) {
    ++counters.malformed;
    return std::nullopt;
  }
  if (frame != nullptr && !TakeFrame(socket, head, *frame)) {
    // Without its rows an answer's edge finds it broken, and asks again at once.
    const bool goes_on = frame->envelope.is_answer() && frame->envelope.n > 0;
    if (!goes_on) return std::nullopt;
  }
  if (goodbye != nullptr && from == link.node && link.leaves_at) {  // it is left already
    Remove(link);
    return std::nullopt;
  }
  if (goodbye != nullptr && from == link.node) TakeGoodbye(link, goodbye->status, now);
  if (goodbye != nullptr && from != link.node && LeadsToCoordinator(link) &&
      absl::IsPermissionDenied(goodbye->status)) {
    Shun(from, goodbye->status, now);
  }
  return Incoming{.from = from, .message = std::move(message)};
}

void ZmqTransport::State::NoteOtherCoordinator(ZmqLink& link, const absl::Status& why) {
  ZmqServer* upstream = UpstreamOf(link);
  if (upstream == nullptr) return;
  upstream->refusal = why;
  // Whoever waits for the only one is told by an error.
  if (OpenUpstream() == nullptr || std::exchange(upstream->missed, true)) return;
  parts.log.Warning("coordinator_refuses",
                    {{"endpoint", link.socket->endpoint()}, {"why", Message(why)}});
}

void ZmqTransport::State::TakeGoodbye(ZmqLink& link, const absl::Status& status, Time now) {
  if (link.open) {
    LoseNodesBehind(link, Message(status));
    TellSenders(link, Message(status));
  }
  if (!Keeps(link)) return Remove(link);
  // It knows us no more, or wants none of us. The loop says Hello to the coordinator; a relay hears
  // ours again.
  Shut(link);
  link.hello_sent = now;
  ZmqServer* upstream = UpstreamOf(link);
  if (upstream != nullptr && !absl::IsUnavailable(status)) upstream->refusal = status;
}

bool ZmqTransport::State::TakeFrame(ZmqSocket& socket, const ZmqSocket::Head& head,
                                    Activation& frame) {
  absl::Status fits = TakeRows(socket, head, frame);
  if (fits.ok()) return true;
  ++counters.malformed;
  ++counters.wrong_sizes;
  frame.rows = {};
  const Envelope& e = frame.envelope;
  if (!e.is_answer()) {
    TellEdge(
        e.edge,
        Rejected{
            .session = e.session, .epoch = e.epoch, .step = e.step, .status = std::move(fits)});
  }
  return false;
}

absl::Status ZmqTransport::State::TakeRows(ZmqSocket& socket, const ZmqSocket::Head& head,
                                           Activation& frame) {
  const Envelope& e = frame.envelope;
  const int width = options.card.model.n_embd;
  if (width == 0) return FailedPrecondition("this node has no layers");
  if ((head.n_parts == 2) != (e.n > 0)) {
    return InvalidArgument("frame of " + std::to_string(e.n) + " rows in " +
                           (head.n_parts == 2 ? "two parts" : "one part"));
  }
  if (e.n == 0) return absl::OkStatus();
  if (e.n > static_cast<uint32_t>(FrameRowsMax(width))) {
    return InvalidArgument("frame of " + std::to_string(e.n) + " rows, at most " +
                           std::to_string(FrameRowsMax(width)) + " are allowed");
  }
  frame.rows = parts.pool.Take(static_cast<int>(e.n), width);
  return socket.ReceiveRows(frame.rows);
}

void ZmqTransport::State::Forward(ZmqSocket& socket, ZmqLink& from, const ZmqSocket::Head& head,
                                  const WireEnds& ends, Time now) {
  if (IsBehind(ends.to)) return ForwardBehind(socket, from, head, now);
  const auto found = by_node.find(ends.to);
  ZmqLink* out = found != by_node.end() ? found->second : nullptr;
  if (out == nullptr && !LeadsToCoordinator(from)) out = OpenUpstream();
  if (out == nullptr || out == &from) return Undeliverable(head);
  if (head.n_parts == 2) {  // rows: what the ends count too
    NoteFrame(from, now);
    NoteFrame(*out, now);
  }
  SendOutcome outcome = SendOutcome::kFull;
  if (out->pending.empty()) outcome = socket.Forward(*out->socket, out->connection);
  if (outcome == SendOutcome::kGone) {
    Lose(*out, "its connection is gone", now);
    return Undeliverable(head);
  }
  if (outcome == SendOutcome::kFull) {
    PendingMessage message{.to = ends.to,
                           .head = {head.words.begin(), head.words.end()},
                           .rows = {},
                           .body = socket.ReceiveBody()};
    message.forwarded = true;
    if (!Queue(*out, std::move(message)).ok()) return Undeliverable(head);
  }
  ++counters.forwarded;
  if (out->node != ends.to) return;  // on to another relay, which tells
  RememberSender(*out, ends.from);
}

void ZmqTransport::State::Undeliverable(const ZmqSocket::Head& head) {
  ++counters.undeliverable;
  const auto read = ReadMessage(head.words);
  if (!read.ok()) return;
  const auto* frame = std::get_if<Activation>(&read->message);
  if (frame == nullptr || frame->envelope.is_answer()) return;
  const Envelope& e = frame->envelope;
  TellEdge(e.edge, NeedRoute{.session = e.session, .epoch = e.epoch, .step = e.step});
}

void ZmqTransport::State::TellEdge(NodeId edge, const AnyMessage& message) {
  if (IsBehind(edge)) {
    (void)parts.behind->Forward(options.self, edge, message);
  } else if (ZmqLink* path = PathTo(edge); path != nullptr) {
    (void)SendOn(*path, edge, message);
  }
}

}  // namespace mortar
