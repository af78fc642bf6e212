#include "protocol/zmq_transport.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "common/check.h"
#include "protocol/limits.h"
#include "protocol/zmq_links.h"

namespace mortar {
namespace {

// Between two looks at the clocks of the links.
constexpr Duration kTickInterval = std::chrono::milliseconds(100);
// Nodes whose messages are counted. Nodes come and go: beyond it those without a link are
// forgotten.
constexpr size_t kCountedMax = size_t{2} * kNodesMax;
// Messages that are dealt with before Poll returns without one for the loop.
constexpr int kMessagesPerPoll = 64;

std::span<const std::byte> RowBytes(const Rows& rows) {
  return std::as_bytes(std::span<const float>(rows.data(), rows.bytes() / sizeof(float)));
}

size_t StreamBytesOf(size_t head_bytes, const Rows& rows) {
  return StreamBytes(head_bytes) + (rows.empty() ? 0 : StreamBytes(rows.bytes()));
}

std::span<const std::byte> BodyOf(const PendingMessage& message) {
  return message.rows.empty() ? std::span<const std::byte>(message.body) : RowBytes(message.rows);
}

}  // namespace

// --- Links ---

ZmqTransport::State::~State() {
  if (wake >= 0) close(wake);
}

absl::Status ZmqTransport::State::Start() {
  const Time now = parts.clock.Now();
  last_tick = now;
  wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake < 0) return ErrnoStatus(errno, "eventfd");
  if (!options.listen.empty()) {
    ASSIGN_OR_RETURN(listener, ZmqSocket::Listen(context, options.listen));
    options.card.endpoint = listener->endpoint();
  }
  if (!options.upstream.empty()) {
    ASSIGN_OR_RETURN(upstream, Dial(options.upstream, kCoordinatorNode, now));
    upstream->vouches = true;
  }
  if (!options.relay.empty()) {
    ASSIGN_OR_RETURN(relay, Dial(options.relay, kNoNode, now));
    relay->vouches = true;
  }
  return absl::OkStatus();
}

absl::StatusOr<ZmqLink*> ZmqTransport::State::Dial(const std::string& endpoint, NodeId node,
                                                   Time now) {
  auto link = std::make_unique<ZmqLink>();
  ASSIGN_OR_RETURN(link->own, ZmqSocket::Dial(context, endpoint));
  link->socket = link->own.get();
  link->node = node;
  link->since = link->heard = now;
  links.push_back(std::move(link));
  return links.back().get();
}

ZmqLink& ZmqTransport::State::Accept(ConnectionId connection, NodeId node, bool vouches, Time now) {
  links.push_back(std::make_unique<ZmqLink>());
  ZmqLink& link = *links.back();
  link.socket = listener.get();
  link.connection = connection;
  link.vouches = vouches;
  by_connection[connection] = &link;
  Opened(link, node, now);
  return link;
}

void ZmqTransport::State::Opened(ZmqLink& link, NodeId node, Time now) {
  link.node = node;
  link.open = true;
  link.since = link.heard = link.alive_sent = now;
  by_node[node] = &link;
}

void ZmqTransport::State::Lose(ZmqLink& link, const std::string& why, Time now) {
  if (link.open) {
    ++counters.links_lost;
    parts.log.Info("link_lost", {{"node", ToString(link.node)}, {"why", why}});
    events.push_back({.from = link.node, .message = Goodbye{Unavailable(why)}});
    LoseNodesBehind(link, why);
    const auto found = by_node.find(link.node);
    if (found != by_node.end() && found->second == &link) by_node.erase(found);
    // Two nodes may have dialled one another.
    for (const auto& other : links) {
      if (other.get() != &link && other->open && other->node == link.node) {
        by_node[link.node] = other.get();
      }
    }
  }
  if (&link != upstream && &link != relay) return Remove(link);
  link.open = false;
  link.pending.clear();
  link.pending_bytes = 0;
  link.hello_sent.reset();
  link.since = link.heard = now;
}

void ZmqTransport::State::LoseNodesBehind(const ZmqLink& link, const std::string& why) {
  for (const auto& [node, sent] : counted) {
    if (node == link.node || PathTo(node) != &link) continue;
    events.push_back({.from = node, .message = Goodbye{Unavailable("its relay: " + why)}});
  }
}

void ZmqTransport::State::Remove(ZmqLink& link) {
  if (link.own == nullptr) by_connection.erase(link.connection);
  std::erase_if(links, [&](const std::unique_ptr<ZmqLink>& l) { return l.get() == &link; });
}

void ZmqTransport::State::Tick(Time now) {
  const Duration stood_still = now - last_tick;
  if (stood_still < kTickInterval) return;
  last_tick = now;
  // Whoever stood still judges nobody by that time: their messages may lie in the queue.
  if (stood_still > kStallMax) {
    for (const auto& link : links) link->heard += stood_still;
  }
  for (size_t i = links.size(); i > 0; --i) TickLink(*links[i - 1], now);
}

void ZmqTransport::State::TickLink(ZmqLink& link, Time now) {
  const DialState dialled = link.socket->dial_state();
  if (link.open) {
    if (link.own != nullptr && dialled != DialState::kGreeted) {
      return Lose(link, Describe(dialled), now);
    }
    if (now - link.heard > kStatusAgeMax) return Lose(link, "it is silent", now);
    if (now - link.alive_sent < kAliveInterval) return;
    link.alive_sent = now;
    (void)SendOn(link, link.node, Alive{});  // may lose the link
    return;
  }
  if (&link == upstream) return;  // the loop says Hello there
  const bool given_up = now - link.since > kDialMax;
  if (given_up && &link != relay) {
    parts.log.Info("not_direct",
                   {{"endpoint", link.socket->endpoint()}, {"why", Describe(dialled)}});
    return Remove(link);
  }
  if (dialled == DialState::kGreeted &&
      (!link.hello_sent || now - *link.hello_sent >= kHelloInterval)) {
    link.hello_sent = now;
    (void)SendOn(link, link.node, options.card);
  }
}

// --- Sending ---

ZmqLink* ZmqTransport::State::PathTo(NodeId to) {
  const auto found = by_node.find(to);
  if (found != by_node.end()) return found->second;
  if (to == kCoordinatorNode) return upstream;
  if (relay != nullptr && relay->open) return relay;
  return upstream != nullptr && upstream->open ? upstream : nullptr;
}

absl::Status ZmqTransport::State::SendOn(ZmqLink& link, NodeId to, const AnyMessage& message) {
  const auto head = writer.Write(options.self, to, message);
  const auto* frame = std::get_if<Activation>(&message);
  const std::span<const std::byte> body =
      frame == nullptr ? std::span<const std::byte>{} : RowBytes(frame->rows);
  SendOutcome outcome = SendOutcome::kFull;
  if (link.pending.empty()) outcome = link.socket->Send(link.connection, head, body);
  if (outcome == SendOutcome::kSent) {
    Count(to, head.size_bytes(), frame == nullptr ? nullptr : &frame->rows);
    return absl::OkStatus();
  }
  if (outcome == SendOutcome::kGone) {
    Lose(link, "its connection is gone", parts.clock.Now());
    return Unavailable("the connection to node " + ToString(to) + " is gone");
  }
  if (!link.open) {
    return Unavailable("no connection to " + link.socket->endpoint() +
                       " yet: " + Describe(link.socket->dial_state()));
  }
  return Queue(link, {.to = to,
                      .head = {head.begin(), head.end()},
                      .rows = frame == nullptr ? Rows() : frame->rows,
                      .body = {},
                      .is_frame = frame != nullptr});
}

absl::Status ZmqTransport::State::Queue(ZmqLink& link, PendingMessage message) {
  const size_t bytes = message.bytes();
  if (link.pending_bytes + bytes > kQueueBytesPerPeerMax ||
      link.pending.size() >= kQueueMessagesPerPeerMax) {
    return ResourceExhausted("queue to node " + ToString(link.node) +
                             " is full: " + std::to_string(link.pending.size()) + " messages, " +
                             std::to_string(link.pending_bytes) + " bytes");
  }
  link.pending_bytes += bytes;
  link.pending.push_back(std::move(message));
  return absl::OkStatus();
}

void ZmqTransport::State::Flush(ZmqLink& link) {
  while (!link.pending.empty()) {
    const PendingMessage& first = link.pending.front();
    const auto body = BodyOf(first);
    if (link.socket->Send(link.connection, first.head, body) != SendOutcome::kSent) return;
    if (!first.forwarded) {
      Count(first.to, first.head.size() * sizeof(uint64_t), first.is_frame ? &first.rows : nullptr);
    }
    link.pending_bytes -= first.bytes();
    link.pending.pop_front();
  }
}

void ZmqTransport::State::Count(NodeId to, size_t head_bytes, const Rows* rows) {
  LinkCounters& link = Counters(to);
  if (rows == nullptr) {
    ++link.others;
    return;
  }
  ++link.frames;
  link.frame_bytes += StreamBytesOf(head_bytes, *rows);
  link.rows += static_cast<uint64_t>(rows->n());
}

LinkCounters& ZmqTransport::State::Counters(NodeId to) {
  const auto found = counted.find(to);
  if (found != counted.end()) return found->second;
  if (counted.size() >= kCountedMax) {
    std::erase_if(counted, [&](const auto& entry) { return !by_node.contains(entry.first); });
  }
  if (counted.size() >= kCountedMax) counted.clear();
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
  ZmqLink* link = state_->PathTo(to);
  absl::Status sent = link == nullptr ? NotFound("no way to node " + ToString(to))
                                      : state_->SendOn(*link, to, message);
  if (!sent.ok()) ++state_->Counters(to).refused;
  return sent;
}

std::optional<Incoming> ZmqTransport::Poll() {
  State& s = *state_;
  const Time now = s.parts.clock.Now();
  s.Tick(now);
  for (const auto& link : s.links) s.Flush(*link);
  for (int i = 0; i < kMessagesPerPoll; ++i) {
    if (!s.events.empty()) return s.events.pop_front();
    bool any = false;
    // The listener stands behind the links in the round.
    for (size_t k = 0; k <= s.links.size(); ++k) {
      const size_t at = (s.next_link + k) % (s.links.size() + 1);
      ZmqLink* link = at < s.links.size() ? s.links[at].get() : nullptr;
      ZmqSocket* socket = link == nullptr ? s.listener.get() : link->own.get();
      if (socket == nullptr) continue;
      const size_t n_links = s.links.size();
      std::optional<ZmqSocket::Head> head = socket->ReceiveHead();
      if (!head) continue;
      any = true;
      s.next_link = at + 1;
      std::optional<Incoming> incoming = s.Take(*socket, link, *head, now);
      if (incoming) return incoming;
      if (s.links.size() != n_links || !s.events.empty()) break;  // the round is another one
    }
    if (!any) return std::nullopt;
  }
  return std::nullopt;
}

std::vector<LinkCounters> ZmqTransport::Links() const {
  std::vector<LinkCounters> links;
  for (const auto& [node, sent] : state_->counted) links.push_back(sent);
  return links;
}

size_t ZmqTransport::BytesOf(const Activation& frame) const {
  return StreamBytesOf(EncodedBytes(frame.envelope), frame.rows);
}

void ZmqTransport::Introduce(NodeId node, const std::string& endpoint) {
  State& s = *state_;
  if (!s.options.direct || endpoint.empty() || s.by_node.contains(node)) return;
  for (const auto& link : s.links) {
    if (link->node == node) return;  // dialled already
  }
  const auto dialled = s.Dial(endpoint, node, s.parts.clock.Now());
  if (!dialled.ok()) {
    s.parts.log.Warning("not_direct",
                        {{"node", ToString(node)}, {"why", Message(dialled.status())}});
  }
}

void ZmqTransport::Wait(Duration longest) {
  std::vector<ZmqSocket*> sockets;
  if (state_->listener != nullptr) sockets.push_back(state_->listener.get());
  for (const auto& link : state_->links) {
    if (link->own != nullptr) sockets.push_back(link->own.get());
  }
  WaitForMessages(sockets, state_->wake, longest);
}

void ZmqTransport::Wake() {
  const uint64_t one = 1;
  const ssize_t written = write(state_->wake, &one, sizeof one);
  (void)written;  // full means that it is awake already
}

std::string ZmqTransport::endpoint() const { return state_->options.card.endpoint; }

absl::Status ZmqTransport::UpstreamStatus() const {
  const State& s = *state_;
  if (s.upstream == nullptr || s.upstream->open) return absl::OkStatus();
  if (!s.upstream_refusal.ok()) return s.upstream_refusal;
  const DialState dialled = s.upstream->socket->dial_state();
  return Unavailable("cannot reach the coordinator at " + s.options.upstream + ": " +
                     (dialled == DialState::kGreeted ? "it does not answer" : Describe(dialled)));
}

bool ZmqTransport::IsDirect(NodeId node) const {
  const auto found = state_->by_node.find(node);
  return found != state_->by_node.end();
}

const ZmqCounters& ZmqTransport::counters() const { return state_->counters; }

}  // namespace mortar
