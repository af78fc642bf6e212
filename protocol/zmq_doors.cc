// Doors: where this node listens, with one key each, and those of the servers that it dials. A
// server that changes its key has two doors for a while; whoever came by one is told of both, and
// moves: dials the other, and leaves the first when he is welcomed there.
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "protocol/endpoint.h"
#include "protocol/grant.h"
#include "protocol/limits.h"
#include "protocol/zmq_links.h"

namespace mortar {
namespace {

// A port whose listener was closed is free a moment later. After this it is somebody else's.
constexpr Duration kPortFreed = std::chrono::seconds(2);

Door ValueOf(const ZmqDoor& door) { return {door.endpoint, door.key, door.signer}; }

// Where the server says that it listens on every address of its machine, it is at the one that was
// dialled. Empty: nowhere that this node may dial.
std::string DialableAs(const Door& door, const std::string& dialled) {
  absl::StatusOr<Endpoint> there = ParseEndpoint(door.endpoint);
  const absl::StatusOr<Endpoint> here = ParseEndpoint(dialled);
  if (!there.ok() || !here.ok() || there->port == 0 || door.key.empty()) return "";
  if (IsAnyAddress(*there)) there->address = here->address;
  return ToString(*there);
}

}  // namespace

// --- Where this node listens ---

absl::Status ZmqTransport::State::OpenDoor(const std::string& listen, const KeyPair* pair) {
  if (doors.size() >= kDoorsMax) {
    return ResourceExhausted("this node has " + std::to_string(doors.size()) + " doors");
  }
  auto door = std::make_unique<ZmqDoor>();
  ASSIGN_OR_RETURN(door->socket, ZmqSocket::Listen(context, listen, pair));
  door->listen = listen;
  door->endpoint = door->socket->endpoint();
  if (pair != nullptr) {
    door->key = pair->public_key;
    if (options.members) door->signer = Signer(*pair).key();
  }
  doors.insert(doors.begin(), std::move(door));
  return absl::OkStatus();
}

void ZmqTransport::State::CloseDoor(ZmqDoor& door, const std::string& why, Time now) {
  std::vector<ZmqLink*> out;
  for (const auto& link : links) {
    if (link->door == &door) out.push_back(link.get());
  }
  for (ZmqLink* link : out) {
    if (!link->removed) Lose(*link, why, now);
  }
  for (const auto& link : removed) {
    if (link->door == &door) link->door = nullptr;
  }
  parts.log.Warning("door_closed",
                    {{"endpoint", door.endpoint}, {"key", ToHex(door.key)}, {"why", why}});
  std::erase_if(doors, [&](const auto& d) { return d.get() == &door; });
}

ZmqDoor& ZmqTransport::State::DoorOf(const ZmqSocket& socket) const {
  const auto found =
      std::ranges::find_if(doors, [&](const auto& door) { return door->socket.get() == &socket; });
  CHECK(found != doors.end());
  return **found;
}

bool ZmqTransport::State::IsServed(const PublicKey& key) const {
  return key == options.card.key || (options.next && key == options.next->keys.public_key);
}

void ZmqTransport::State::ArrangeDoors(Time now) {
  struct Wanted {
    std::string listen;
    const KeyPair* pair;
  };
  if (!options.keys) return;
  std::vector<Wanted> wanted = {{options.listen, keys()}};
  if (options.next && options.next->keys.public_key != options.keys->public_key) {
    wanted.push_back({options.next->listen, &options.next->keys});
  }
  const auto is = [](const ZmqDoor& door, const Wanted& want) {
    return door.key == want.pair->public_key && door.listen == want.listen;
  };
  bool changed = false;
  for (size_t i = doors.size(); i > 0; --i) {
    ZmqDoor& door = *doors[i - 1];
    const bool stays = std::ranges::any_of(wanted, [&](const Wanted& w) { return is(door, w); });
    const bool in_the_way = !stays && std::ranges::any_of(wanted, [&](const Wanted& w) {
      return door.socket->endpoint() == w.listen;
    });
    if (stays) {
      door.left.reset();
    } else if (!IsServed(door.key) || in_the_way) {
      CloseDoor(door, "its key has ended", now);
      changed = true;
    } else if (!door.left) {
      door.left = now;
      changed = true;
    }
  }
  for (const Wanted& want : wanted) {
    if (std::ranges::any_of(doors, [&](const auto& d) { return is(*d, want); })) continue;
    if (absl::Status open = OpenDoor(want.listen, want.pair); !open.ok()) {
      if (!door_wanted) door_wanted = now;
      if (now - *door_wanted > kPortFreed && !std::exchange(door_missed, true)) {
        parts.log.Warning("door_not_opened", {{"why", Message(open)}});
      }
      continue;
    }
    door_wanted.reset();
    door_missed = false;
    changed = true;
    ZmqDoor& door = *doors.front();
    if (want.pair == keys() && !options.advertise.empty()) door.endpoint = options.advertise;
    parts.log.Warning("door_opened", {{"endpoint", door.endpoint}, {"key", ToHex(door.key)}});
  }
  if (changed) SayDoorsToAll();
  if (door_wanted) return;  // who is at the old one has nowhere to go
  for (size_t i = doors.size(); i > 0; --i) {
    ZmqDoor& door = *doors[i - 1];
    if (!door.left || now - *door.left < kDrainAccepted) continue;
    if (door.by_connection.empty() || now - *door.left > kDoorLeavesMax) {
      CloseDoor(door, "its key is served elsewhere", now);
    }
  }
}

void ZmqTransport::State::TakeNewKeys(NodeKeys fresh, Time now) {
  CHECK(options.keys.has_value());
  options.next = std::move(fresh.next);
  if (fresh.own.public_key != options.keys->public_key) {
    options.keys = fresh.own;
    options.card.key = fresh.own.public_key;
    if (!IsCoordinator(options.self)) {
      options.self = NodeIdOf(fresh.own.public_key, options.card.instance);
    }
    parts.log.Warning("key_changed", {{"key", ToHex(options.card.key)}});
    for (ZmqServer* server : Servers()) server->move_at = now;
  }
  if (!doors.empty()) ArrangeDoors(now);
}

void ZmqTransport::State::SayDoors(ZmqLink& link) {
  if (doors.size() < 2 || !options.forwards || !link.open) return;
  Doors said;
  for (const auto& door : doors) {
    if (!door->left) said.doors.push_back(ValueOf(*door));
  }
  if (!said.doors.empty()) (void)SendOn(link, link.node, said);
}

void ZmqTransport::State::SayDoorsToAll() {
  Doors said;
  for (const auto& door : doors) {
    if (!door->left) said.doors.push_back(ValueOf(*door));
  }
  if (said.doors.empty() || !options.forwards) return;
  std::vector<ZmqLink*> to;
  for (const auto& link : links) {
    if (link->door != nullptr && link->open && !link->leaves_at) to.push_back(link.get());
  }
  for (ZmqLink* link : to) {
    if (link->open) (void)SendOn(*link, link->node, said);
  }
}

ZmqLink* ZmqTransport::State::ComesAnew(NodeId from, const PublicKey& speaker) const {
  const auto found = by_node.find(from);
  if (!options.keys || found == by_node.end()) return nullptr;
  ZmqLink* link = found->second;
  return link->own == nullptr && link->key == speaker ? link : nullptr;
}

void ZmqTransport::State::Replace(ZmqLink& old, ZmqLink& link, Time keep_until, Time now) {
  by_node[link.node] = &link;
  if (const auto known = by_node.find(old.node); known != by_node.end() && known->second == &old) {
    by_node.erase(known);
  }
  old.leaves_at = keep_until;
  link.senders.merge(old.senders);
  // Both ends count alike.
  link.carried = old.carried;
  link.watched = now;
}

// --- Servers that this node dials ---

absl::Status ZmqTransport::State::DialServer(ZmqServer& server, const std::string& endpoint,
                                             const std::vector<PublicKey>& known, Time now) {
  CHECK(options.keys ? !known.empty() : known.empty());
  server.doors = DoorsOf(endpoint, known);
  ASSIGN_OR_RETURN(server.link,
                   Dial(endpoint, server.node, server.doors.all.front().door.key, now));
  server.link->server = &server;
  server.link->vouches = true;
  server.closed_at = now;
  return absl::OkStatus();
}

std::vector<ZmqServer*> ZmqTransport::State::Servers() {
  std::vector<ZmqServer*> servers;
  for (ZmqServer& upstream : upstreams) servers.push_back(&upstream);
  if (relay.link != nullptr) servers.push_back(&relay);
  return servers;
}

void ZmqTransport::State::TickServer(ZmqServer& server, Time now) {
  if (!server.link->open || server.moving != nullptr) return;
  if (now < server.move_at) return;
  const Door here{server.link->socket->endpoint(), server.link->key};
  const Door* better = BetterThan(server.doors, here);
  if (better == nullptr && server.link->as == options.self) return;
  server.move_at = now + kMoveRetry;
  const Door door = better == nullptr ? here : *better;
  const auto link = Dial(door.endpoint, server.node, door.key, now);
  if (!link.ok()) {
    parts.log.Warning("not_dialled", {{"why", Message(link.status())}});
    return;
  }
  (*link)->server = &server;
  (*link)->vouches = true;
  server.moving = *link;
  SayHello(**link, now);
}

bool ZmqTransport::State::TakePlace(ZmqServer& server, ZmqLink& link, NodeId node, Time now) {
  ZmqLink& old = *server.link;
  link.node = node;
  server.link = &link;
  server.moving = nullptr;
  const bool moved = old.open;
  if (moved) {
    parts.log.Info("moved", {{"from", old.socket->endpoint()}, {"to", link.socket->endpoint()}});
    Replace(old, link, now + kDrain, now);
  } else {
    Remove(old);
  }
  return moved;
}

std::optional<Incoming> ZmqTransport::State::TakeDoors(ZmqLink& link, NodeId from, Doors& said) {
  if (link.server == nullptr || from != link.node || !options.keys) {
    ++counters.impostors;  // nobody speaks of another's doors
    return std::nullopt;
  }
  if (link.leaves_at) return std::nullopt;
  std::vector<Door> usable;
  for (Door& door : said.doors) {
    door.endpoint = DialableAs(door, link.socket->endpoint());
    if (!door.endpoint.empty()) usable.push_back(door);
  }
  Tell(link.server->doors, usable);
  link.server->move_at = {};
  if (!LeadsToCoordinator(link)) return std::nullopt;
  return Incoming{.from = from, .message = std::move(said)};
}

bool ZmqTransport::State::IsForUs(const ZmqLink* link, NodeId to) const {
  return to == options.self || to == kNoNode || (link != nullptr && to == link->as);
}

void ZmqTransport::TakeKeys(NodeKeys keys) {
  state_->TakeNewKeys(std::move(keys), state_->parts.clock.Now());
}

}  // namespace mortar
