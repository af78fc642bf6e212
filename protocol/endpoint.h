// Where a node can be dialled, "tcp://A.B.C.D:PORT", read strictly: what ZeroMQ would do with
// anything else (a name that a resolver answers, a second address behind ';') must not depend on
// who said it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace mortar {

struct Endpoint {
  std::array<uint8_t, 4> address{};  // IPv4, most significant byte first
  uint16_t port = 0;                 // 0: a listener takes a free one
  bool operator==(const Endpoint&) const = default;
};

// "localhost" becomes 127.0.0.1, and nothing else is looked up. InvalidArgument says what to give.
absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text);
std::string ToString(const Endpoint& endpoint);

// 127.0.0.0/8: what cannot leave this machine, whatever a resolver says.
bool IsLoopback(const Endpoint& endpoint);
// 0.0.0.0: every address of this machine to a listener, none to whoever dials.
bool IsAnyAddress(const Endpoint& endpoint);

}  // namespace mortar
