#include "protocol/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "protocol/limits.h"

namespace mortar {
namespace {

constexpr std::string_view kScheme = "tcp://";

bool ReadAddress(std::string_view text, std::array<uint8_t, 4>& address) {
  if (text == "localhost") {
    address = {127, 0, 0, 1};
    return true;
  }
  // inet_pton reads up to a zero byte.
  if (text.find('\0') != std::string_view::npos) return false;
  return inet_pton(AF_INET, std::string(text).c_str(), address.data()) == 1;
}

bool ReadPort(std::string_view text, uint16_t& port) {
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  return !text.empty() && read.ec == std::errc() && read.ptr == end;
}

}  // namespace

absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text) {
  if (text.size() > kEndpointBytesMax) {
    return InvalidArgument("an endpoint of " + std::to_string(text.size()) + " bytes, at most " +
                           std::to_string(kEndpointBytesMax) + " are allowed");
  }
  const std::string quoted = "\"" + std::string(text) + "\"";
  if (text.starts_with("tcp://[")) {
    return InvalidArgument(quoted +
                           " is an IPv6 endpoint, and nodes speak IPv4 alone; give "
                           "tcp://A.B.C.D:PORT");
  }
  Endpoint endpoint;
  const size_t colon = text.rfind(':');
  if (!text.starts_with(kScheme) || colon < kScheme.size() ||
      !ReadAddress(text.substr(kScheme.size(), colon - kScheme.size()), endpoint.address) ||
      !ReadPort(text.substr(colon + 1), endpoint.port)) {
    return InvalidArgument(quoted +
                           " is no endpoint; give tcp://A.B.C.D:PORT with a port up to "
                           "65535");
  }
  return endpoint;
}

std::string ToString(const Endpoint& endpoint) {
  std::string text(kScheme);
  for (const uint8_t byte : endpoint.address) text += std::to_string(byte) + ".";
  text.back() = ':';
  return text + std::to_string(endpoint.port);
}

bool IsLoopback(const Endpoint& endpoint) { return endpoint.address[0] == 127; }

bool IsAnyAddress(const Endpoint& endpoint) {
  return std::ranges::all_of(endpoint.address, [](uint8_t byte) { return byte == 0; });
}

}  // namespace mortar
