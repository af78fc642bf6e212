#include "protocol/zmq_gate.h"

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "common/check.h"
#include "protocol/zmq_call.h"
#include "protocol/zmq_socket.h"

namespace mortar {
namespace {

constexpr char kZapEndpoint[] = "inproc://zeromq.zap.01";  // RFC 27
constexpr std::string_view kZapVersion = "1.0";
// Frames of a request: who asks within this process, nothing, version, id, domain, address, routing
// id, mechanism, credentials.
constexpr size_t kZapFrames = 9;
enum ZapFrame { kAsker = 0, kVersion = 2, kRequestId = 3, kMechanism = 7, kCredentials = 8 };
// A routing id or a domain has 255 bytes at most; one byte more shows what is too long.
constexpr size_t kZapFrameBytesMax = 256;
// Questions that are answered before the loop goes on.
constexpr int kAnswersAtATime = 64;

using Request = std::array<std::string, kZapFrames>;

// Empties the message whatever it holds. False: none waits. A request that is no such has empty
// frames, which nobody is allowed by.
bool ReceiveRequest(void* socket, Request& request) {
  char bytes[kZapFrameBytesMax];
  for (size_t i = 0;; ++i) {
    const int size =
        Uninterrupted([&] { return zmq_recv(socket, bytes, sizeof bytes, ZMQ_DONTWAIT); });
    if (size < 0) return false;  // whole messages alone come
    const bool fits = static_cast<size_t>(size) <= sizeof bytes;
    if (i < kZapFrames) request[i] = fits ? std::string(bytes, static_cast<size_t>(size)) : "";
    int more = 0;
    size_t more_size = sizeof more;
    CHECK(Uninterrupted([&] { return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size); }) ==
          0);
    if (more == 0) return true;
  }
}

// Whoever asked and is gone gets none, and the whole is dropped.
void Reply(void* socket, std::initializer_list<std::string_view> frames) {
  size_t left = frames.size();
  for (const std::string_view frame : frames) {
    const int flags = ZMQ_DONTWAIT | (--left > 0 ? ZMQ_SNDMORE : 0);
    if (Uninterrupted([&] { return zmq_send(socket, frame.data(), frame.size(), flags); }) < 0) {
      return;
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ZmqGate>> ZmqGate::Create(ZmqContext& context) {
  void* handle = zmq_socket(context.handle(), ZMQ_ROUTER);
  if (handle == nullptr) return Unavailable("ZeroMQ's gate: " + std::string(zmq_strerror(errno)));
  std::unique_ptr<ZmqGate> gate(new ZmqGate(handle));
  const int linger = 0;
  CHECK(zmq_setsockopt(handle, ZMQ_LINGER, &linger, sizeof linger) == 0);
  if (zmq_bind(handle, kZapEndpoint) != 0) {
    return Unavailable("ZeroMQ's gate: " + std::string(zmq_strerror(errno)));
  }
  return gate;
}

ZmqGate::~ZmqGate() { zmq_close(handle_); }

void ZmqGate::Answer(const std::function<bool(const PublicKey&)>& allowed) {
  Request request;
  for (int i = 0; i < kAnswersAtATime && ReceiveRequest(handle_, request); ++i) {
    PublicKey key;
    const std::string& credentials = request[kCredentials];
    const bool curve = request[kVersion] == kZapVersion && request[kMechanism] == "CURVE" &&
                       credentials.size() == key.bytes.size();
    if (curve) std::memcpy(key.bytes.data(), credentials.data(), credentials.size());
    const bool enters = curve && allowed(key);
    const std::string user = enters ? ToHex(key) : "";
    Reply(handle_, {request[kAsker], "", kZapVersion, request[kRequestId], enters ? "200" : "400",
                    enters ? "OK" : "this key is not allowed", user, ""});
    request = {};
  }
}

}  // namespace mortar
