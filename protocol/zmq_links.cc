// How links come and go: the table in zmq_transport.h, but for what messages do.
#include "protocol/zmq_links.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "protocol/endpoint.h"
#include "protocol/limits.h"

namespace mortar {
namespace {

// Between two looks at the clocks of the links.
constexpr Duration kTickInterval = std::chrono::milliseconds(100);
// A tick that comes later says that this node stood still.
constexpr Duration kLateTick = 2 * kTickInterval;
// Whoever is watched shows life for so much longer than whoever watches minds its silence: the last
// frame left one end before it came to the other.
constexpr Duration kAliveAfterWatch = std::chrono::seconds(2);
// How long a node that ends waits for what it said last to leave.
constexpr Duration kLastWordsMax = std::chrono::milliseconds(200);

}  // namespace

ZmqTransport::State::~State() {
  for (ZmqLink* link : dialled) {
    if (link->open) link->own->Linger(kLastWordsMax);
  }
  if (listener != nullptr) listener->Linger(kLastWordsMax);
  if (wake >= 0) close(wake);
}

absl::Status ZmqTransport::State::Start() {
  const Time now = parts.clock.Now();
  last_tick = now;
  wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake < 0) return ErrnoStatus(errno, "eventfd");
  if (options.keys) options.card.key = options.keys->public_key;
  if (!options.listen.empty()) {
    if (options.keys) {
      ASSIGN_OR_RETURN(gate, ZmqGate::Create(context));
    }
    ASSIGN_OR_RETURN(listener, ZmqSocket::Listen(context, options.listen, keys()));
    options.card.endpoint = options.advertise.empty() ? listener->endpoint() : options.advertise;
  }
  if (!options.upstream.empty()) {
    ASSIGN_OR_RETURN(
        upstream, Dial(options.upstream, kCoordinatorNode, KeyToTry(options.server_keys, 0), now));
    upstream->vouches = true;
  }
  if (!options.relay.empty()) {
    ASSIGN_OR_RETURN(relay, Dial(options.relay, kNoNode, KeyToTry(options.relay_keys, 0), now));
    relay->vouches = true;
    SayHello(*relay, now);
  }
  return absl::OkStatus();
}

std::string WhyNotOpen(const ZmqLink& link) {
  const DialState dial = link.socket->dial_state();
  return dial == DialState::kGreeted ? "it does not answer" : Describe(dial);
}

PublicKey ZmqTransport::State::KeyToTry(const std::vector<PublicKey>& known, size_t at) const {
  if (!options.keys) return {};
  CHECK(!known.empty());
  return known[at % known.size()];
}

absl::StatusOr<ZmqLink*> ZmqTransport::State::Dial(const std::string& endpoint, NodeId node,
                                                   const PublicKey& key, Time now) {
  auto link = std::make_unique<ZmqLink>();
  ASSIGN_OR_RETURN(link->own, ZmqSocket::Dial(context, endpoint, keys(), key));
  link->socket = link->own.get();
  link->node = node;
  link->key = key;
  link->since = link->heard = now;
  ++counters.dialled;
  dialled.push_back(link.get());
  links.push_back(std::move(link));
  return links.back().get();
}

void ZmqTransport::State::DialAnew(ZmqLink& link, Time now) {
  const size_t next = link.key_tried + 1;
  const PublicKey key = KeyToTry(&link == relay ? options.relay_keys : options.server_keys, next);
  auto socket = ZmqSocket::Dial(context, link.socket->endpoint(), keys(), key);
  link.since = link.heard = now;
  if (!socket.ok()) {
    parts.log.Warning("not_dialled", {{"why", Message(socket.status())}});
    return;
  }
  ++counters.dialled;
  DropPending(link);
  link.key_tried = next;
  link.key = key;
  link.own = *std::move(socket);
  link.socket = link.own.get();
  link.hello_sent.reset();
}

void ZmqTransport::State::SayTurnedAway(ZmqLink& link) {
  if (std::exchange(link.turned_away, true)) return;
  // At the start the person who waits for the coordinator is told by an error.
  if (&link == upstream && !upstream_missed) return;
  const char* event = &link == upstream ? "coordinator_refuses"
                      : &link == relay  ? "relay_refuses"
                                        : "not_direct";
  parts.log.Warning(
      event, {{"endpoint", link.socket->endpoint()}, {"why", Describe(link.socket->dial_state())}});
}

namespace {

// Rows go there: only where the person who started this node lets them go.
bool MayDial(const ZmqOptions& options, const Introduction& peer) {
  const absl::StatusOr<Endpoint> read = ParseEndpoint(peer.endpoint);
  if (!read.ok() || IsAnyAddress(*read)) return false;
  if (options.keys) return !peer.key.empty();
  return IsLoopback(*read) || options.insecure;
}

}  // namespace

void ZmqTransport::Introduce(const Introduction& peer) {
  State& s = *state_;
  const NodeId node = peer.node;
  if (!s.options.direct || peer.endpoint.empty()) return;
  if (!MayDial(s.options, peer)) {
    s.parts.log.Warning("not_direct", {{"node", ToString(node)}, {"endpoint", peer.endpoint}});
    return;
  }
  if (!s.introduced.contains(node) && !s.MakeRoomToIntroduce()) {
    s.parts.log.Warning("not_direct", {{"node", ToString(node)}, {"why", "too many are dialled"}});
    return;
  }
  const auto at =
      s.introduced.insert_or_assign(node, Introduced{.endpoint = peer.endpoint, .key = peer.key})
          .first;
  s.DialIntroduced(node, at->second, s.parts.clock.Now());
}

bool ZmqTransport::State::MakeRoomToIntroduce() {
  if (introduced.size() < kDialledMax) return true;
  std::erase_if(introduced, [&](const auto& entry) {
    const bool given_up = entry.second.redials >= kRedialsMax;
    return given_up && std::ranges::find(dialled, entry.first, &ZmqLink::node) == dialled.end();
  });
  return introduced.size() < kDialledMax;
}

void ZmqTransport::State::DialIntroduced(NodeId node, Introduced& peer, Time now) {
  peer.redial_at = now + kRedialDelay * (1 << peer.redials);
  if (by_node.contains(node)) return;
  for (const ZmqLink* link : dialled) {
    if (link->node == node) return;  // dialled already
  }
  ++peer.redials;
  const auto dialled_link = Dial(peer.endpoint, node, peer.key, now);
  if (!dialled_link.ok()) {
    parts.log.Warning("not_direct",
                      {{"node", ToString(node)}, {"why", Message(dialled_link.status())}});
    return;
  }
  SayHello(**dialled_link, now);
}

ZmqLink& ZmqTransport::State::Accept(ConnectionId connection, NodeId node, const Hello& hello,
                                     Time now) {
  links.push_back(std::make_unique<ZmqLink>());
  ZmqLink& link = *links.back();
  link.socket = listener.get();
  link.connection = connection;
  link.node = node;
  link.key = hello.key;
  link.role = hello.role;
  // A relay brings what others say to a coordinator, and nobody else is dialled by one.
  link.vouches = hello.role == Role::kRelay && options.members;
  link.since = link.heard = now;
  by_connection[connection] = &link;
  return link;
}

void ZmqTransport::State::Opened(ZmqLink& link, NodeId node, Time now) {
  link.node = node;
  link.open = true;
  link.turned_away = false;
  link.since = link.heard = link.alive_sent = now;
  // Two nodes may have dialled one another: the older link stays the way.
  by_node.emplace(node, &link);
  // Between two nodes: somebody dials because a session begins, whose first frame may take a while.
  if (!Keeps(link) && !options.forwards) NoteFrame(link, now);
  if (&link == relay) relay_missed = false;
  if (&link == upstream && std::exchange(upstream_missed, false)) {
    parts.log.Warning("coordinator_back", {{"endpoint", link.socket->endpoint()}});
  }
  const auto found = introduced.find(node);
  if (found != introduced.end()) found->second.redials = 0;
}

void ZmqTransport::State::Shut(ZmqLink& link) {
  link.open = false;
  const auto found = by_node.find(link.node);
  if (found == by_node.end() || found->second != &link) return;
  by_node.erase(found);
  for (const auto& other : links) {
    if (other.get() != &link && other->open && other->node == link.node) {
      by_node[link.node] = other.get();
      return;
    }
  }
}

void ZmqTransport::State::Lose(ZmqLink& link, const std::string& why, Time now) {
  if (link.open) {
    ++counters.links_lost;
    LogLost(link, why);
    LoseNodesBehind(link, why);
    Shut(link);
    if (!by_node.contains(link.node)) {
      events.push_back({.from = link.node, .message = Goodbye{Unavailable(why)}});
      TellSenders(link, why);
    }
  }
  if (!Keeps(link)) return Remove(link);
  DropPending(link);
  link.hello_sent.reset();
  link.since = link.heard = now;
  if (&link == relay) link.node = kNoNode;  // it may be another one that comes back
}

void ZmqTransport::State::LogLost(const ZmqLink& link, const std::string& why) {
  if (&link != upstream) {
    return parts.log.Info("link_lost", {{"node", ToString(link.node)}, {"why", why}});
  }
  upstream_missed = true;
  parts.log.Warning("coordinator_lost", {{"endpoint", link.socket->endpoint()}, {"why", why}});
}

void ZmqTransport::State::LoseNodesBehind(const ZmqLink& link, const std::string& why) {
  for (const auto& [node, sent] : counted) {
    if (sent.frames == 0 || node == link.node || PathTo(node) != &link) continue;
    events.push_back({.from = node, .message = Goodbye{Unavailable("its relay: " + why)}});
  }
}

void ZmqTransport::State::TellSenders(const ZmqLink& lost, const std::string& why) {
  std::vector<ZmqLink*> to;
  for (const auto& link : links) {
    const bool sent_to_lost = lost.senders.contains(link->node);
    if (link->open && link.get() != &lost && (link->senders.erase(lost.node) > 0 || sent_to_lost)) {
      to.push_back(link.get());
    }
  }
  for (ZmqLink* link : to) {
    if (link->open) (void)SendAs(lost.node, *link, link->node, Goodbye{Unavailable(why)});
  }
}

void ZmqTransport::State::Remove(ZmqLink& link) {
  if (link.removed) return;
  link.removed = true;
  Shut(link);
  DropPending(link);
  if (link.own == nullptr) by_connection.erase(link.connection);
  const auto asks = asking.find(link.node);
  if (asks != asking.end() && asks->second == &link) asking.erase(asks);
  std::erase(dialled, &link);
  const auto found = std::ranges::find(links, &link, &std::unique_ptr<ZmqLink>::get);
  removed.push_back(std::move(*found));
  links.erase(found);
}

bool ZmqTransport::State::MayStay(const ZmqLink& link) const {
  if (!options.keys || Keeps(link)) return true;
  if (link.own == nullptr) return options.allowed.Allows(link.key, link.role);
  // Dialled because the coordinator said so. Without a list of its own a node takes its word alone.
  return listener == nullptr || options.allowed.Knows(link.key);
}

void ZmqTransport::State::TurnOut(ZmqLink& link, Time now) {
  ++counters.revoked;
  NoteNotAllowed(link.key, "taken off the list", now);
  const Goodbye goodbye{PermissionDenied("this node's key is not on the allow-list any more")};
  const NodeId node = link.node;
  const bool was_open = link.open;
  Answer(*link.socket, link.connection, node, goodbye);
  Lose(link, "its key is not allowed any more", now);
  if (!options.members || !was_open) return;
  std::vector<ZmqLink*> others;
  for (const auto& other : links) {
    if (other->open) others.push_back(other.get());
  }
  for (ZmqLink* other : others) {
    if (other->open) (void)SendAs(node, *other, other->node, goodbye);
  }
}

void ZmqTransport::State::Shun(NodeId node, const absl::Status& why, Time now) {
  introduced.erase(node);
  std::vector<ZmqLink*> to_node;
  for (const auto& link : links) {
    if (link->node == node && !Keeps(*link)) to_node.push_back(link.get());
  }
  for (ZmqLink* link : to_node) {
    if (!link->removed) Lose(*link, Message(why), now);
  }
}

void ZmqTransport::State::Allow(AllowList allowed, Time now) {
  options.allowed = std::move(allowed);
  std::vector<ZmqLink*> out;
  for (const auto& link : links) {
    if (!MayStay(*link)) out.push_back(link.get());
  }
  for (ZmqLink* link : out) {
    if (!link->removed) TurnOut(*link, now);
  }
}

void ZmqTransport::Allow(AllowList allowed) {
  state_->Allow(std::move(allowed), state_->parts.clock.Now());
}

void ZmqTransport::State::Tick(Time now) {
  const Duration stood_still = now - last_tick;
  if (stood_still < kTickInterval) return;
  last_tick = now;
  if (options.new_list) {
    if (auto list = options.new_list()) Allow(*std::move(list), now);
  }
  // Whoever stood still judges nobody by that time: their messages may lie in the queue. One tick
  // of it counts, so that a node that is always late notices after all.
  if (stood_still > kLateTick) {
    for (const auto& link : links) link->heard += stood_still - kTickInterval;
  }
  for (auto& [node, peer] : introduced) {
    if (peer.redials < kRedialsMax && now >= peer.redial_at) DialIntroduced(node, peer, now);
  }
  std::vector<ZmqLink*> all;  // one that is lost may take others with it
  for (const auto& link : links) all.push_back(link.get());
  for (ZmqLink* link : all) {
    if (!link->removed) TickLink(*link, now);
  }
}

namespace {

bool CarriedWithin(const ZmqLink& link, Duration time, Time now) {
  return link.carried && now - *link.carried <= time;
}

bool IsSilent(const ZmqLink& link, Time now) {
  if (now - link.heard > kStatusAgeMax) return true;
  return CarriedWithin(link, kWatchedFor, now) &&
         now - std::max(link.heard, link.watched) > kWatchedSilenceMax;
}

Duration AliveInterval(const ZmqLink& link, Time now) {
  return CarriedWithin(link, kWatchedFor + kAliveAfterWatch, now) ? kWatchedAliveInterval
                                                                  : kAliveInterval;
}

}  // namespace

void ZmqTransport::State::NoteFrame(ZmqLink& link, Time now) {
  if (!CarriedWithin(link, kWatchedFor, now)) link.watched = now;
  link.carried = now;
}

void ZmqTransport::State::TickLink(ZmqLink& link, Time now) {
  const DialState dial = link.socket->dial_state();
  if (link.open) {
    if (link.own != nullptr && dial != DialState::kGreeted) return Lose(link, Describe(dial), now);
    if (IsSilent(link, now)) return Lose(link, "it is silent", now);
    if (now - link.alive_sent < AliveInterval(link, now)) return;
    link.alive_sent = now;
    (void)SendOn(link, link.node, Alive{});  // may lose the link
    return;
  }
  if (IsTurnedAway(dial)) SayTurnedAway(link);
  if (IsTurnedAway(dial) && now - link.since > kRedialDelay) {
    if (!Keeps(link)) return Remove(link);
    return DialAnew(link, now);
  }
  if (&link == upstream) return;  // the loop says Hello there
  const bool given_up = now - link.since > kDialMax;
  if (given_up && &link == relay && !relay_missed) {
    relay_missed = true;
    parts.log.Warning("relay_unreachable",
                      {{"endpoint", link.socket->endpoint()}, {"why", WhyNotOpen(link)}});
  }
  if (given_up && &link != relay) {
    if (link.own != nullptr) {
      parts.log.Info("not_direct",
                     {{"endpoint", link.socket->endpoint()}, {"why", WhyNotOpen(link)}});
    }
    return Remove(link);
  }
  if (link.own != nullptr && (!link.hello_sent || now - *link.hello_sent >= kHelloInterval)) {
    SayHello(link, now);
  }
}

void ZmqTransport::State::SayHello(ZmqLink& link, Time now) {
  link.hello_sent = now;
  (void)SendOn(link, link.node, options.card);
}

}  // namespace mortar
