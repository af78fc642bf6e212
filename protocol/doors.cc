#include "protocol/doors.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace mortar {
namespace {

bool SameDoor(const Door& a, const Door& b) { return a.endpoint == b.endpoint && a.key == b.key; }

void Add(std::vector<TriedDoor>& all, Door door) {
  const auto is_this = [&](const TriedDoor& tried) { return SameDoor(tried.door, door); };
  if (std::ranges::none_of(all, is_this)) all.push_back({.door = std::move(door)});
}

void Rebuild(ServerDoors& doors, const std::vector<Door>& told) {
  std::vector<TriedDoor> all;
  for (const Door& door : told) Add(all, door);
  doors.told = all.size();
  for (const PublicKey& key : doors.keys) Add(all, {.endpoint = doors.endpoint, .key = key});
  // The server may come back where it was with a key that it told of.
  for (const Door& door : told) Add(all, {.endpoint = doors.endpoint, .key = door.key});
  if (doors.keys.empty()) Add(all, {.endpoint = doors.endpoint});
  doors.all = std::move(all);
}

// More than a connection that is being made: what a person can act on.
bool Says(DialState state) {
  return state != DialState::kTrying && state != DialState::kConnected &&
         state != DialState::kGreeted;
}

}  // namespace

ServerDoors DoorsOf(const std::string& endpoint, const std::vector<PublicKey>& keys) {
  CHECK(keys.size() <= kServerKeysMax);
  ServerDoors doors{.endpoint = endpoint, .keys = keys};
  Rebuild(doors, {});
  return doors;
}

void Tell(ServerDoors& doors, const std::vector<Door>& told) {
  CHECK(told.size() <= kDoorsMax);
  const std::vector<TriedDoor> before = doors.all;
  const Door here = before[doors.at].door;
  Rebuild(doors, told);
  // Where it is no door any more, the first is the next.
  doors.at = doors.all.size() - 1;
  doors.tried = 0;
  for (size_t i = 0; i < doors.all.size(); ++i) {
    TriedDoor& door = doors.all[i];
    if (SameDoor(door.door, here)) doors.at = i;
    for (const TriedDoor& old : before) {
      if (!SameDoor(door.door, old.door)) continue;
      door.came = old.came;
      door.turned_away = old.turned_away;
      door.noted = old.noted;
    }
  }
}

const Door* BetterThan(const ServerDoors& doors, const Door& door) {
  if (doors.told == 0) return nullptr;
  const Door& first = doors.all.front().door;
  return SameDoor(first, door) ? nullptr : &first;
}

void Note(ServerDoors& doors, DialState state) {
  if (!Says(state)) return;
  TriedDoor& here = doors.all[doors.at];
  here.came = state;
  if (IsTurnedAway(state) && !std::exchange(here.noted, true)) ++here.turned_away;
}

bool IsNextDue(const ServerDoors& doors, DialState state, Duration since) {
  const bool refused = IsTurnedAway(state);
  if (doors.all.size() == 1) {
    const bool once = doors.all.front().turned_away <= 1;
    return refused && since > (once && state == DialState::kNotAllowed ? kListSeenMax : kDoorRest);
  }
  const bool round_over = doors.tried + 1 >= doors.all.size();
  if (refused || state == DialState::kRefused || state == DialState::kLost) {
    return !round_over || since > kDoorRest;
  }
  return since > kDoorPatience;
}

const Door& Next(ServerDoors& doors) {
  if (++doors.tried >= doors.all.size()) doors.tried = 0;
  doors.at = (doors.at + 1) % doors.all.size();
  doors.all[doors.at].noted = false;
  return doors.all[doors.at].door;
}

void NoteOpened(ServerDoors& doors, const Door& door) {
  doors.tried = 0;
  for (size_t i = 0; i < doors.all.size(); ++i) {
    doors.all[i].came = DialState::kTrying;
    doors.all[i].turned_away = 0;
    doors.all[i].noted = false;
    if (SameDoor(doors.all[i].door, door)) doors.at = i;
  }
}

bool AllTurnAway(const ServerDoors& doors) {
  return std::ranges::all_of(doors.all, [&](const TriedDoor& tried) {
    if (!IsTurnedAway(tried.came)) return false;
    const bool at_once = tried.came == DialState::kKeysWanted || tried.came == DialState::kNoKeys;
    return tried.turned_away > (at_once ? 0 : 1);
  });
}

std::string WhyClosed(const ServerDoors& doors, DialState now) {
  const DialState here = doors.all[doors.at].came;
  const DialState shown = Says(here) ? here : now;
  if (doors.all.size() == 1) return Describe(shown);
  std::string text;
  for (size_t i = 0; i < doors.all.size(); ++i) {
    const TriedDoor& tried = doors.all[i];
    const DialState state = i == doors.at ? shown : tried.came;
    if (i != doors.at && state == DialState::kTrying) continue;
    text += (text.empty() ? "" : "; ") + tried.door.endpoint + " with key " +
            ToHex(tried.door.key).substr(0, 8) + "…: " + Describe(state);
  }
  return text;
}

}  // namespace mortar
