// How links come and go: the table in zmq_transport.h, but for what messages do and for how others
// are dialled (zmq_dial.cc).
#include "protocol/zmq_links.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/check.h"
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
  for (const auto& door : doors) door->socket->Linger(kLastWordsMax);
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
    RETURN_IF_ERROR(OpenDoor(options.listen, keys()));
    // The port that was taken.
    options.listen = doors.front()->listen = doors.front()->socket->endpoint();
    if (!options.advertise.empty()) doors.front()->endpoint = options.advertise;
    options.card.endpoint = doors.front()->endpoint;
    if (options.next) RETURN_IF_ERROR(OpenDoor(options.next->listen, &options.next->keys));
  }
  CHECK(options.upstreams.size() <= static_cast<size_t>(kCoordinatorsMax));
  upstreams.resize(options.upstreams.size());
  for (size_t i = 0; i < upstreams.size(); ++i) {
    upstreams[i].node = CoordinatorNode(static_cast<int>(i));
    // Keys that stand in the order of their coordinators are right at once.
    std::vector<PublicKey> known = options.server_keys;
    if (!known.empty()) std::ranges::rotate(known, known.begin() + (i % known.size()));
    RETURN_IF_ERROR(DialServer(upstreams[i], options.upstreams[i], known, now));
  }
  if (!options.relay.empty()) {
    RETURN_IF_ERROR(DialServer(relay, options.relay, options.relay_keys, now));
    SayHello(*relay.link, now);
  }
  return absl::OkStatus();
}

ZmqLink* ZmqTransport::State::OpenUpstream() const {
  for (const ZmqServer& upstream : upstreams) {
    if (upstream.link->open) return upstream.link;
  }
  return nullptr;
}

ZmqLink& ZmqTransport::State::Accept(ZmqDoor& door, ConnectionId connection, NodeId node,
                                     const Hello& hello, Time now) {
  links.push_back(std::make_unique<ZmqLink>());
  ZmqLink& link = *links.back();
  link.socket = door.socket.get();
  link.door = &door;
  link.connection = connection;
  link.as = options.self;
  link.node = node;
  link.key = hello.key;
  link.role = hello.role;
  // A relay brings what others say to a coordinator, and nobody else is dialled by one.
  link.vouches = hello.role == Role::kRelay && options.members;
  link.since = link.heard = now;
  door.by_connection[connection] = &link;
  return link;
}

void ZmqTransport::State::Opened(ZmqLink& link, NodeId node, Time now) {
  link.node = node;
  link.open = true;
  link.turned_away = false;
  link.since = link.heard = link.alive_sent = now;
  link.carried.reset();  // by this connection; whoever is at its other end begins there too
  // Two nodes may have dialled one another: the older link stays the way.
  const auto way = by_node.emplace(node, &link).first;
  const bool moves = way->second != &link && way->second->own == nullptr && link.own == nullptr;
  if (moves) Replace(*way->second, link, now + kDrainAccepted, now);
  // Between two nodes: somebody dials because a session begins, whose first frame may take a while.
  if (link.server == nullptr && !options.forwards) NoteFrame(link, now);
  if (link.server != nullptr) NoteOpened(link.server->doors, {link.socket->endpoint(), link.key});
  const bool missed = Keeps(link) && std::exchange(link.server->missed, false);
  if (missed && UpstreamOf(link) != nullptr) {
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
  if (link.leaves_at) return Remove(link);
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
  link.since = link.heard = link.server->closed_at = now;
  if (&link == relay.link) link.node = kNoNode;  // it may be another one that comes back
}

void ZmqTransport::State::LogLost(const ZmqLink& link, const std::string& why) {
  ZmqServer* upstream = UpstreamOf(link);
  if (upstream == nullptr) {
    return parts.log.Info("link_lost", {{"node", ToString(link.node)}, {"why", why}});
  }
  upstream->missed = true;
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
  for (const NodeId sender : lost.senders) {
    if (IsBehind(sender)) {
      (void)parts.behind->Forward(lost.node, sender, Goodbye{Unavailable(why)});
    }
  }
}

void ZmqTransport::State::Remove(ZmqLink& link) {
  if (link.removed) return;
  link.removed = true;
  Shut(link);
  DropPending(link);
  if (link.door != nullptr) link.door->by_connection.erase(link.connection);
  if (link.server != nullptr && link.server->moving == &link) link.server->moving = nullptr;
  const auto asks = asking.find(link.node);
  if (asks != asking.end() && asks->second == &link) asking.erase(asks);
  std::erase(dialled, &link);
  const auto found = std::ranges::find(links, &link, &std::unique_ptr<ZmqLink>::get);
  removed.push_back(std::move(*found));
  links.erase(found);
}

bool ZmqTransport::State::MayStay(const ZmqLink& link) const {
  if (!options.keys || link.server != nullptr) return true;
  if (link.own == nullptr) return options.allowed.Allows(link.key, link.role);
  // Dialled because the coordinator said so. Without a list of its own a node takes its word alone.
  return doors.empty() || options.allowed.Knows(link.key);
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
    if (link->node == node && link->server == nullptr) to_node.push_back(link.get());
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
  if (options.new_keys) {
    if (auto keys = options.new_keys()) TakeNewKeys(*std::move(keys), now);
  }
  if (!doors.empty()) ArrangeDoors(now);
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
  for (ZmqServer* server : Servers()) TickServer(*server, now);
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
  if (link.leaves_at) {
    if (now < *link.leaves_at) return;
    if (link.own != nullptr) link.own->Linger(kLastWordsMax);
    return Remove(link);
  }
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
  if (Keeps(link)) {
    Note(link.server->doors, dial);
    if (IsNextDue(link.server->doors, dial, now - link.since)) return DialAnew(link, now);
  } else if (IsTurnedAway(dial) && now - link.since > kRedialDelay) {
    return Remove(link);
  }
  if (UpstreamOf(link) != nullptr) return;  // the loop says Hello there
  const bool given_up = now - (Keeps(link) ? link.server->closed_at : link.since) > kDialMax;
  if (given_up && &link == relay.link && !std::exchange(relay.missed, true)) {
    parts.log.Warning("relay_unreachable",
                      {{"endpoint", link.socket->endpoint()}, {"why", WhyNotOpen(link)}});
  }
  if (given_up && &link != relay.link) {
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
