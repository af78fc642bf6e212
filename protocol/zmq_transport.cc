#include "protocol/zmq_transport.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "protocol/limits.h"
#include "protocol/zmq_links.h"

namespace mortar {
namespace {

// Nodes whose messages are counted. Nodes come and go: beyond it those without a link are
// forgotten.
constexpr size_t kCountedMax = size_t{2} * kNodesMax;
// Messages that are dealt with before Poll returns without one for the loop.
constexpr int kMessagesPerPoll = 64;

std::span<const std::byte> RowBytes(const Rows& rows) {
  return std::as_bytes(std::span<const float>(rows.data(), rows.bytes() / sizeof(float)));
}

size_t StreamBytesOf(size_t head_bytes, const Rows& rows, bool encrypted) {
  return StreamBytes(head_bytes, encrypted) +
         (rows.empty() ? 0 : StreamBytes(rows.bytes(), encrypted));
}

std::span<const std::byte> BodyOf(const PendingMessage& message) {
  return message.rows.empty() ? std::span<const std::byte>(message.body) : RowBytes(message.rows);
}

}  // namespace

void ChooseId(ZmqOptions& options, RandomSource& random) {
  options.self = kNoNode;
  if (!options.keys) {
    options.self = NewNodeId(random);
    return;
  }
  Hello& card = options.card;
  while (options.self.value < kReservedNodeIds) {
    uint8_t bytes[sizeof card.instance];
    random.Fill(bytes, sizeof bytes);
    std::memcpy(&card.instance, bytes, sizeof bytes);
    options.self = NodeIdOf(options.keys->public_key, card.instance);
  }
}

Counts RefusalsOf(const ZmqCounters& n) {
  return {{"malformed", n.malformed - n.wrong_sizes},
          {"wrong_sizes", n.wrong_sizes},
          {"strangers", n.strangers},
          {"impostors", n.impostors},
          {"misdirected", n.misdirected},
          {"unknown_keys", n.not_allowed - n.forged_ids - n.wrong_roles - n.revoked},
          {"forged_ids", n.forged_ids},
          {"wrong_roles", n.wrong_roles},
          {"revoked_keys", n.revoked},
          {"other_terms", n.other_terms},
          {"queues_full", n.queues_full}};
}

// --- Sending ---

ZmqLink* ZmqTransport::State::PathTo(NodeId to) {
  const auto found = by_node.find(to);
  if (found != by_node.end()) return found->second;
  if (IsCoordinator(to)) {
    const auto at = static_cast<size_t>(CoordinatorIndex(to));
    return at < upstreams.size() ? upstreams[at].link : nullptr;
  }
  if (relay.link != nullptr && relay.link->open) return relay.link;
  return OpenUpstream();
}

absl::Status ZmqTransport::State::SendAs(NodeId from, ZmqLink& link, NodeId to,
                                         const AnyMessage& message) {
  const bool greeted = IsGreeted(link);
  if (!greeted && !std::holds_alternative<Hello>(message)) {
    return Unavailable("no connection to " + link.socket->endpoint() +
                       " yet: " + Describe(link.socket->dial_state()));
  }
  // One Hello waits for the greeting: the last.
  if (!greeted) DropPending(link);
  const auto head = writer.Write(from, to, message);
  const auto* frame = std::get_if<Activation>(&message);
  const std::span<const std::byte> body =
      frame == nullptr ? std::span<const std::byte>{} : RowBytes(frame->rows);
  const bool opens = std::holds_alternative<Open>(message) && link.server == nullptr;
  if (!body.empty() || opens) NoteFrame(link, parts.clock.Now());
  SendOutcome outcome = SendOutcome::kFull;
  if (greeted && link.pending.empty()) {
    outcome = link.socket->Send(link.connection, head, body);
  }
  if (outcome == SendOutcome::kSent) {
    if (from == options.self) Count(to, head.size_bytes(), frame ? &frame->rows : nullptr);
    return absl::OkStatus();
  }
  if (outcome == SendOutcome::kGone) {
    Lose(link, "its connection is gone", parts.clock.Now());
    return Unavailable("the connection to node " + ToString(to) + " is gone");
  }
  return Queue(link, {.to = to,
                      .head = {head.begin(), head.end()},
                      .rows = frame == nullptr ? Rows() : frame->rows,
                      .body = {},
                      .is_frame = frame != nullptr,
                      .forwarded = from != options.self});
}

absl::Status ZmqTransport::State::Queue(ZmqLink& link, PendingMessage message) {
  const size_t bytes = message.bytes();
  if (link.pending_bytes + bytes > kQueueBytesPerPeerMax ||
      link.pending.size() >= kQueueMessagesPerPeerMax || pending_bytes + bytes > kQueueBytesMax) {
    ++counters.queues_full;
    return ResourceExhausted("queue to node " + ToString(link.node) +
                             " is full: " + std::to_string(link.pending.size()) + " messages, " +
                             std::to_string(link.pending_bytes) + " bytes, to all nodes " +
                             std::to_string(pending_bytes) + " bytes");
  }
  link.pending_bytes += bytes;
  pending_bytes += bytes;
  link.pending.push_back(std::move(message));
  return absl::OkStatus();
}

bool ZmqTransport::State::IsGreeted(ZmqLink& link) {
  return link.open || link.own == nullptr || link.own->dial_state() == DialState::kGreeted;
}

void ZmqTransport::State::Flush(ZmqLink& link) {
  if (link.pending.empty() || !IsGreeted(link)) return;
  while (!link.pending.empty()) {
    const PendingMessage& first = link.pending.front();
    const SendOutcome outcome = link.socket->Send(link.connection, first.head, BodyOf(first));
    if (outcome == SendOutcome::kFull) return;
    if (outcome == SendOutcome::kGone) {
      return Lose(link, "its connection is gone", parts.clock.Now());
    }
    if (!first.forwarded) {
      Count(first.to, first.head.size() * sizeof(uint64_t), first.is_frame ? &first.rows : nullptr);
    }
    link.pending_bytes -= first.bytes();
    pending_bytes -= first.bytes();
    link.pending.pop_front();
  }
}

void ZmqTransport::State::DropPending(ZmqLink& link) {
  pending_bytes -= link.pending_bytes;
  link.pending_bytes = 0;
  link.pending.clear();
}

void ZmqTransport::State::Count(NodeId to, size_t head_bytes, const Rows* rows) {
  if (rows == nullptr) {
    // Whoever makes up ids gets no place in the table by it.
    if (by_node.contains(to)) ++Counters(to).others;
    return;
  }
  LinkCounters& link = Counters(to);
  ++link.frames;
  link.frame_bytes += StreamBytesOf(head_bytes, *rows, options.keys.has_value());
  link.rows += static_cast<uint64_t>(rows->n());
}

LinkCounters& ZmqTransport::State::Counters(NodeId to) {
  const auto found = counted.find(to);
  if (found != counted.end()) return found->second;
  if (counted.size() >= kCountedMax) {
    std::erase_if(counted, [&](const auto& entry) { return !by_node.contains(entry.first); });
  }
  return counted.emplace(to, LinkCounters{.to = to}).first->second;
}

// --- The transport ---

ZmqTransport::ZmqTransport(std::unique_ptr<State> state) : state_(std::move(state)) {}
ZmqTransport::~ZmqTransport() = default;

absl::StatusOr<std::unique_ptr<ZmqTransport>> ZmqTransport::Create(ZmqOptions options,
                                                                   Parts parts) {
  auto state = std::make_unique<State>(std::move(options), parts);
  RETURN_IF_ERROR(state->Start());
  return std::unique_ptr<ZmqTransport>(new ZmqTransport(std::move(state)));
}

NodeId ZmqTransport::self() const { return state_->options.self; }

absl::Status ZmqTransport::Send(NodeId to, AnyMessage message) {
  State& s = *state_;
  if (auto* hello = std::get_if<Hello>(&message)) {  // what it proves is not the loop's to say
    hello->key = s.options.card.key;
    hello->instance = s.options.card.instance;
  }
  ZmqLink* link = s.PathTo(to);
  const bool welcomes = std::holds_alternative<Welcome>(message);
  const bool refuses = std::holds_alternative<Goodbye>(message);
  const auto asks = s.asking.find(to);
  if (asks != s.asking.end() && (welcomes || refuses)) link = asks->second;
  absl::Status sent =
      link == nullptr ? NotFound("no way to node " + ToString(to)) : s.SendOn(*link, to, message);
  // The way was gone, as it turned out: the message takes the next one, if there is any.
  if (link != nullptr && link->removed) {
    link = s.PathTo(to);
    if (link != nullptr) sent = s.SendOn(*link, to, message);
  }
  if (!sent.ok()) {
    if (s.by_node.contains(to)) ++s.Counters(to).refused;
    return sent;
  }
  // A coordinator's answer opens a member's link or ends it.
  if (!s.options.members) return sent;
  if (welcomes) {
    s.asking.erase(to);
    if (!link->open) s.Opened(*link, to, s.parts.clock.Now());
    s.SayDoors(*link);
  } else if (refuses) {
    s.Remove(*link);
  }
  return sent;
}

std::optional<Incoming> ZmqTransport::State::TakeNext(Time now) {
  // The listeners stand behind the links in the round.
  const size_t n_sockets = dialled.size() + doors.size();
  const size_t first = next_socket;
  for (size_t k = 0; k < n_sockets; ++k) {
    const size_t at = (first + k) % n_sockets;
    ZmqLink* link = at < dialled.size() ? dialled[at] : nullptr;
    ZmqSocket* socket =
        link == nullptr ? doors[at - dialled.size()]->socket.get() : link->own.get();
    const std::optional<ZmqSocket::Head> head = socket->ReceiveHead();
    if (!head) continue;
    next_socket = at + 1;
    received = true;
    return Take(*socket, link, *head, now);
  }
  return std::nullopt;
}

std::optional<Incoming> ZmqTransport::Poll() {
  State& s = *state_;
  const Time now = s.parts.clock.Now();
  s.removed.clear();
  if (s.gate != nullptr && now - s.gate_looked >= kGateInterval) s.AnswerGate(now);
  s.Tick(now);
  if (s.pending_bytes > 0) {
    for (size_t i = s.links.size(); i > 0; --i) {
      if (i <= s.links.size()) s.Flush(*s.links[i - 1]);
    }
  }
  for (int i = 0; i < kMessagesPerPoll; ++i) {
    if (!s.events.empty()) return s.events.pop_front();
    s.received = false;
    std::optional<Incoming> incoming = s.TakeNext(now);
    if (incoming && !s.events.empty()) {  // what it brought to light happened before it
      s.events.push_back(*std::move(incoming));
      return s.events.pop_front();
    }
    if (incoming || !s.received) return incoming;
  }
  return std::nullopt;
}

std::vector<LinkCounters> ZmqTransport::Links() const {
  std::vector<LinkCounters> links;
  for (const auto& [node, sent] : state_->counted) links.push_back(sent);
  return links;
}

size_t ZmqTransport::BytesOf(const Activation& frame) const {
  return StreamBytesOf(EncodedBytes(frame.envelope), frame.rows, state_->options.keys.has_value());
}

bool ZmqTransport::Wait(Duration longest) {
  std::vector<ZmqSocket*> sockets, dialling;
  for (const auto& door : state_->doors) sockets.push_back(door->socket.get());
  for (const ZmqLink* link : state_->dialled) {
    sockets.push_back(link->own.get());
    // What waits for a greeting leaves as soon as it comes.
    if (!link->open && !link->pending.empty()) dialling.push_back(link->own.get());
  }
  void* gate = state_->gate == nullptr ? nullptr : state_->gate->handle();
  return WaitForMessages(sockets, dialling, gate, state_->wake, longest);
}

void ZmqTransport::Wake() {
  const uint64_t one = 1;
  const ssize_t written = write(state_->wake, &one, sizeof one);
  (void)written;  // full means that it is awake already
}

std::string ZmqTransport::endpoint() const { return state_->options.card.endpoint; }

absl::Status ZmqTransport::UpstreamStatus() const {
  const State& s = *state_;
  if (s.upstreams.empty() || s.OpenUpstream() != nullptr) return absl::OkStatus();
  std::string why;
  for (const ZmqServer& upstream : s.upstreams) {
    if (!upstream.refusal.ok()) continue;
    why += (why.empty() ? "cannot reach the coordinator at " : ", nor that at ") +
           upstream.doors.endpoint + ": " + State::WhyNotOpen(*upstream.link);
  }
  return why.empty() ? s.upstreams.front().refusal : Unavailable(why);
}

int ZmqTransport::coordinators() const { return static_cast<int>(state_->upstreams.size()); }

absl::Status ZmqTransport::TurnedAway() const {
  const State& s = *state_;
  if (s.upstreams.empty() || s.OpenUpstream() != nullptr) return absl::OkStatus();
  const bool all =
      std::ranges::all_of(s.upstreams, [](const ZmqServer& u) { return AllTurnAway(u.doors); });
  return all ? UpstreamStatus() : absl::OkStatus();
}

const KeyPair* ZmqTransport::keys() const { return state_->keys(); }

bool ZmqTransport::IsDirect(NodeId node) const { return state_->by_node.contains(node); }

const ZmqCounters& ZmqTransport::counters() const { return state_->counters; }

}  // namespace mortar
