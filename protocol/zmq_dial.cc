// How this node dials others: its servers again after they turned it away, and nodes that it was
// told of.
#include <algorithm>
#include <utility>

#include "protocol/endpoint.h"
#include "protocol/zmq_links.h"

namespace mortar {

std::string ZmqTransport::State::WhyNotOpen(const ZmqLink& link) {
  const DialState dial = link.socket->dial_state();
  if (Keeps(link) && dial != DialState::kGreeted) return WhyClosed(link.server->doors, dial);
  return dial == DialState::kGreeted ? "it does not answer" : Describe(dial);
}

absl::StatusOr<ZmqLink*> ZmqTransport::State::Dial(const std::string& endpoint, NodeId node,
                                                   const PublicKey& key, Time now) {
  auto link = std::make_unique<ZmqLink>();
  ASSIGN_OR_RETURN(link->own, ZmqSocket::Dial(context, endpoint, keys(), key));
  link->socket = link->own.get();
  link->node = node;
  link->key = key;
  link->as = options.self;
  link->since = link->heard = now;
  ++counters.dialled;
  dialled.push_back(link.get());
  links.push_back(std::move(link));
  return links.back().get();
}

void ZmqTransport::State::DialAnew(ZmqLink& link, Time now) {
  const Door door = Next(link.server->doors);
  auto socket = ZmqSocket::Dial(context, door.endpoint, keys(), door.key);
  link.since = link.heard = now;
  if (!socket.ok()) {
    parts.log.Warning("not_dialled", {{"why", Message(socket.status())}});
    return;
  }
  ++counters.dialled;
  // What waits there is a Hello, and still good.
  if (link.as != options.self) DropPending(link);
  link.as = options.self;
  link.key = door.key;
  link.own = *std::move(socket);
  link.socket = link.own.get();
  link.hello_sent.reset();
}

void ZmqTransport::State::SayTurnedAway(ZmqLink& link) {
  // At the start the person who waits for a coordinator is told by an error.
  const ZmqServer* upstream = UpstreamOf(link);
  if (upstream != nullptr && !upstream->missed && OpenUpstream() == nullptr) return;
  if (std::exchange(link.turned_away, true)) return;
  const char* event = upstream != nullptr   ? "coordinator_refuses"
                      : &link == relay.link ? "relay_refuses"
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

}  // namespace mortar
