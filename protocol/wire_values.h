// What readers of messages share (wire_read.cc): values that stand in several of them, and how one
// is refused.
#pragma once

#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "protocol/capnp.h"
#include "protocol/messages.h"
#include "protocol/schema/wire.capnp.h"

namespace mortar {

inline constexpr uint32_t kIntMax = static_cast<uint32_t>(std::numeric_limits<int32_t>::max());

// Why a message is refused. Thrown by all of these and caught in ReadMessage, as kj's own
// exceptions are: reading a message is one expression with one place where it fails.
struct Refusal {
  std::string why;
};

std::string String(capnp::Text::Reader text, size_t bytes_max, const char* field);
// Counts are unsigned on the wire and int behind it.
int Int(uint32_t value, const char* field);
// Of bytes that say nothing their number. Refused: more than a frame's rows may have.
uint32_t Padding(capnp::Data::Reader data);
Digest ReadDigest(capnp::Data::Reader data);
// Empty where it has no bytes.
PublicKey ReadKey(capnp::Data::Reader data);
// Absent where it has no bytes.
std::optional<SealTag> ReadSeal(capnp::Data::Reader data);
// A model's layers, or a part of them: each is a brick at least, and a node names so many.
int LayerCount(int32_t n, const char* field);
// Of messages that stand for an error: OK there would make a success of it.
absl::Status ReadError(wire::Status::Reader in, const char* message);
// Never negative and never backwards, so that sums and sizes of what was read stay within an int.
LayerRange Read(wire::LayerRange::Reader in);
SessionId Read(wire::SessionId::Reader in);
absl::Status Read(wire::Status::Reader in);
// A relay has no model: its digest is absent.
ModelId Read(wire::ModelId::Reader in);
std::vector<LayerBrick> ReadBricks(capnp::List<wire::LayerBrick>::Reader in);

template <typename List>
unsigned CheckedSize(const List& list, size_t n_max, const char* field) {
  if (list.size() <= n_max) return list.size();
  throw Refusal{std::to_string(list.size()) + " " + field + ", at most " + std::to_string(n_max) +
                " are allowed"};
}

template <typename To, typename From>
To Enum(From value, To last, const char* field) {
  const auto number = static_cast<uint16_t>(value);
  if (number <= static_cast<uint16_t>(last)) return static_cast<To>(number);
  throw Refusal{std::string(field) + " of unknown kind " + std::to_string(number)};
}

template <size_t n>
std::array<uint8_t, n> ReadBytes(capnp::Data::Reader data, const char* field) {
  std::array<uint8_t, n> bytes;
  if (data.size() != n) {
    throw Refusal{std::string(field) + " of " + std::to_string(data.size()) + " bytes, expected " +
                  std::to_string(n)};
  }
  std::memcpy(bytes.data(), data.begin(), n);
  return bytes;
}

template <typename Message>
Message ReadStep(wire::StepRef::Reader in) {
  Message m;
  m.session = Read(in.getSession());
  m.epoch = in.getEpoch();
  m.step = in.getStep();
  m.seal = ReadSeal(in.getSeal());
  return m;
}

template <typename Message>
Message ReadEnd(wire::SessionRef::Reader in) {
  return {Read(in.getSession()), ReadSeal(in.getSeal())};
}

}  // namespace mortar
