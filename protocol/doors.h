// The doors of a coordinator or relay as whoever dials it knows them: endpoints and keys that he
// was started with, and those that the server itself has told of (Doors in wire.capnp), which go
// first. Any of the endpoints may have any of the keys: where a server ended an old key and serves
// the new one in its place, who knows both finds it there.
//
// Values and pure functions: the clock is passed in.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/clock.h"
#include "protocol/messages.h"
#include "protocol/zmq_socket.h"

namespace mortar {

// Keys that a person may give for one server.
inline constexpr size_t kServerKeysMax = 8;
// How soon a running node heeds a list that was just changed: a key that is not allowed is tried
// again after it, before that is said to be the end.
inline constexpr Duration kListSeenMax = std::chrono::milliseconds(600);
// Between two rounds over all doors.
inline constexpr Duration kDoorRest = std::chrono::seconds(1);
// How long a door is waited for that neither opens nor refuses, where there is another one: three
// round trips of the greeting over the slowest link, and the turn of a loop that is busy.
inline constexpr Duration kDoorPatience = std::chrono::seconds(2);

struct TriedDoor {
  Door door;
  DialState came = DialState::kTrying;  // of the last try; kTrying: nothing yet
  int turned_away = 0;                  // tries that were, since one opened
  bool noted = false;                   // the newest of them
};

struct ServerDoors {
  std::string endpoint{};         // that was given; empty: there is no such server
  std::vector<PublicKey> keys{};  // the same; none: links without keys
  std::vector<TriedDoor> all{};   // one at least, in the order in which they are tried
  size_t told = 0;                // so many of them, the first
  size_t at = 0;                  // in `all`: dialled now
  size_t tried = 0;               // in this round, before that one
};

// At most kServerKeysMax keys.
ServerDoors DoorsOf(const std::string& endpoint, const std::vector<PublicKey>& keys);
// What the server said, most wanted first, in the place of what it said before; at most kDoorsMax.
// What came of the tries so far is kept.
void Tell(ServerDoors& doors, const std::vector<Door>& told);
// Where one who is at `door` should be instead: the first that was told. Null: nowhere.
const Door* BetterThan(const ServerDoors& doors, const Door& door);

// The dialled door is in this state, which may be news.
void Note(ServerDoors& doors, DialState state);
// Whether the next door is to be dialled, when this one has been for `since`. With one door alone:
// the same again.
bool IsNextDue(const ServerDoors& doors, DialState state, Duration since);
const Door& Next(ServerDoors& doors);
// One of them has opened: at which others are found is known no more.
void NoteOpened(ServerDoors& doors, const Door& door);

// All doors have turned this node away, and none will take it by itself: an error for whoever
// waits. A key that is not allowed and a greeting that was broken off count the second time: a list
// may have just been changed, a server just started.
bool AllTurnAway(const ServerDoors& doors);
// What stands in the way, for people; `now` is what the door that is dialled shows.
std::string WhyClosed(const ServerDoors& doors, DialState now);

}  // namespace mortar
