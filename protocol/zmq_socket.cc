#include "protocol/zmq_socket.h"

#include <unistd.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "common/check.h"
#include "protocol/limits.h"

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace mortar {
namespace {

// ZeroMQ's own code is not instrumented, so the thread sanitizer does not see that what one
// process thread wrote before a send happened before what another reads after a receive.
[[maybe_unused]] char g_order;
void BeforeSend() {
#ifdef __SANITIZE_THREAD__
  __tsan_release(&g_order);
#endif
}
void AfterReceive() {
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(&g_order);
#endif
}

int Ms(Duration d) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}

void Set(void* socket, int option, int value) {
  CHECK(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

void SetLimits(void* socket) {
  Set(socket, ZMQ_LINGER, 0);
  Set(socket, ZMQ_SNDHWM, kHighWater);
  Set(socket, ZMQ_RCVHWM, kHighWater);
  Set(socket, ZMQ_HANDSHAKE_IVL, Ms(kGreetingMax));
  const int64_t bytes_max = static_cast<int64_t>(kMessageBytesMax);
  CHECK(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0);
}

// ZeroMQ's routing ids: a zero byte and four that count up.
constexpr size_t kRoutingIdBytes = 5;

std::array<uint8_t, kRoutingIdBytes> RoutingId(ConnectionId id) {
  std::array<uint8_t, kRoutingIdBytes> bytes;
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(id);
    id >>= 8;
  }
  return bytes;
}

ConnectionId FromRoutingId(const uint8_t* bytes, size_t n) {
  ConnectionId id = 0;
  for (size_t i = n; i > 0; --i) id = id << 8 | bytes[i - 1];
  return id;
}

absl::Status ZmqStatus(const std::string& what) {
  const int error = zmq_errno();
  if (error == EINVAL || error == EPROTONOSUPPORT) {
    return InvalidArgument(what + ": not an endpoint; give tcp://ADDRESS:PORT");
  }
  return Unavailable(what + ": " + zmq_strerror(error));
}

}  // namespace

const char* Describe(DialState state) {
  switch (state) {
    case DialState::kTrying:
      return "nobody answers there";
    case DialState::kRefused:
      return "nobody listens there";
    case DialState::kConnected:
      return "whoever listens there is no Mortar node";
    case DialState::kGreeted:
      return "connected";
    case DialState::kLost:
      return "the connection was lost";
  }
  return "unknown";
}

ZmqContext::ZmqContext() : handle_(zmq_ctx_new()) { CHECK(handle_ != nullptr); }
ZmqContext::~ZmqContext() { zmq_ctx_term(handle_); }

ZmqSocket::ZmqSocket(void* handle, bool listens)
    : handle_(handle), listens_(listens), head_(kMessageBytesMax / sizeof(uint64_t)) {}

ZmqSocket::~ZmqSocket() {
  if (monitor_ != nullptr) zmq_close(monitor_);
  zmq_close(handle_);
}

absl::StatusOr<std::unique_ptr<ZmqSocket>> ZmqSocket::Listen(ZmqContext& context,
                                                             const std::string& endpoint) {
  void* handle = zmq_socket(context.handle(), ZMQ_ROUTER);
  if (handle == nullptr) return ZmqStatus("listening on " + endpoint);
  std::unique_ptr<ZmqSocket> socket(new ZmqSocket(handle, true));
  SetLimits(handle);
  Set(handle, ZMQ_ROUTER_MANDATORY, 1);
  if (zmq_bind(handle, endpoint.c_str()) != 0) return ZmqStatus("cannot listen on " + endpoint);
  char bound[kEndpointBytesMax + 1] = {};
  size_t size = sizeof bound;
  CHECK(zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, bound, &size) == 0);
  socket->endpoint_ = bound;
  socket->state_ = DialState::kGreeted;
  return socket;
}

absl::StatusOr<std::unique_ptr<ZmqSocket>> ZmqSocket::Dial(ZmqContext& context,
                                                           const std::string& endpoint) {
  void* handle = zmq_socket(context.handle(), ZMQ_DEALER);
  if (handle == nullptr) return ZmqStatus("dialling " + endpoint);
  std::unique_ptr<ZmqSocket> socket(new ZmqSocket(handle, false));
  SetLimits(handle);
  // Nothing is queued for a peer that is not there.
  Set(handle, ZMQ_IMMEDIATE, 1);
  Set(handle, ZMQ_RECONNECT_IVL, 100);
  Set(handle, ZMQ_RECONNECT_IVL_MAX, 2000);
  const std::string name =
      "inproc://monitor-" + std::to_string(reinterpret_cast<uintptr_t>(handle));
  CHECK(zmq_socket_monitor(handle, name.c_str(), ZMQ_EVENT_ALL) == 0);
  socket->monitor_ = zmq_socket(context.handle(), ZMQ_PAIR);
  CHECK(socket->monitor_ != nullptr);
  Set(socket->monitor_, ZMQ_LINGER, 0);
  CHECK(zmq_connect(socket->monitor_, name.c_str()) == 0);
  if (zmq_connect(handle, endpoint.c_str()) != 0) return ZmqStatus("cannot dial " + endpoint);
  socket->endpoint_ = endpoint;
  return socket;
}

DialState ZmqSocket::dial_state() {
  if (monitor_ == nullptr) return state_;
  uint8_t event[6];
  while (zmq_recv(monitor_, event, sizeof event, ZMQ_DONTWAIT) == sizeof event) {
    uint16_t kind;
    std::memcpy(&kind, event, sizeof kind);
    char address[kEndpointBytesMax];
    zmq_recv(monitor_, address, sizeof address, ZMQ_DONTWAIT);
    if (kind == ZMQ_EVENT_CONNECTED) {
      state_ = DialState::kConnected;
    } else if (kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
      state_ = DialState::kGreeted;
    } else if (kind == ZMQ_EVENT_DISCONNECTED) {
      // Before the greeting was over, the other end is the kind that hangs up.
      state_ = state_ == DialState::kConnected ? DialState::kConnected : DialState::kLost;
    } else if (kind == ZMQ_EVENT_CLOSED && state_ == DialState::kTrying) {
      state_ = DialState::kRefused;
    }
  }
  return state_;
}

bool ZmqSocket::SendPart(const void* data, size_t bytes, bool more, SendOutcome& outcome) {
  const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
  if (zmq_send(handle_, data, bytes, flags) >= 0) return true;
  if (zmq_errno() == EAGAIN) {
    // ZeroMQ looks only now and then at what its I/O thread says of room in a queue, and refuses
    // meanwhile; asking for events makes it look.
    int events = 0;
    size_t size = sizeof events;
    CHECK(zmq_getsockopt(handle_, ZMQ_EVENTS, &events, &size) == 0);
    if (zmq_send(handle_, data, bytes, flags) >= 0) return true;
  }
  outcome = zmq_errno() == EHOSTUNREACH ? SendOutcome::kGone : SendOutcome::kFull;
  return false;
}

SendOutcome ZmqSocket::Send(ConnectionId to, std::span<const uint64_t> head,
                            std::span<const std::byte> body) {
  BeforeSend();
  SendOutcome outcome = SendOutcome::kSent;
  if (listens_) {
    const auto id = RoutingId(to);
    if (!SendPart(id.data(), id.size(), true, outcome)) return outcome;
  }
  // Only the first part can be refused: a message goes as a whole.
  if (!SendPart(head.data(), head.size_bytes(), !body.empty(), outcome)) return outcome;
  if (!body.empty()) CHECK(SendPart(body.data(), body.size(), false, outcome));
  return outcome;
}

void ZmqSocket::DropRest() {
  while (more_) {
    char byte;
    if (zmq_recv(handle_, &byte, 1, ZMQ_DONTWAIT) < 0) return;
    int more = 0;
    size_t size = sizeof more;
    CHECK(zmq_getsockopt(handle_, ZMQ_RCVMORE, &more, &size) == 0);
    more_ = more != 0;
  }
}

std::optional<ZmqSocket::Head> ZmqSocket::ReceiveHead() {
  DropRest();
  const auto more = [&] {
    int value = 0;
    size_t size = sizeof value;
    CHECK(zmq_getsockopt(handle_, ZMQ_RCVMORE, &value, &size) == 0);
    return value != 0;
  };
  Head head;
  if (listens_) {
    uint8_t id[256];  // as long as a routing id can be
    const int size = zmq_recv(handle_, id, sizeof id, ZMQ_DONTWAIT);
    if (size < 0) return std::nullopt;
    head.connection = FromRoutingId(id, std::min(static_cast<size_t>(size), kRoutingIdBytes));
    more_ = more();
    if (!more_) return head;  // no message at all
  }
  const size_t capacity = head_.size() * sizeof(uint64_t);
  const int size = zmq_recv(handle_, head_.data(), capacity, ZMQ_DONTWAIT);
  if (size < 0) return std::nullopt;
  AfterReceive();
  more_ = more();
  head.has_body = more_;
  const size_t bytes = static_cast<size_t>(size);
  head_words_ = bytes <= capacity && bytes % sizeof(uint64_t) == 0 ? bytes / sizeof(uint64_t) : 0;
  head.words = std::span<const uint64_t>(head_).first(head_words_);
  return head;
}

absl::Status ZmqSocket::ReceiveRows(Rows& rows) {
  CHECK(more_);
  const int size = zmq_recv(handle_, rows.mutable_data(), rows.bytes(), ZMQ_DONTWAIT);
  CHECK(size >= 0);  // parts of a message come together
  int more = 0;
  size_t option_size = sizeof more;
  CHECK(zmq_getsockopt(handle_, ZMQ_RCVMORE, &more, &option_size) == 0);
  more_ = more != 0;
  const bool too_many = more_;
  DropRest();
  if (static_cast<size_t>(size) != rows.bytes()) {
    return InvalidArgument("rows of " + std::to_string(size) + " bytes, the envelope says " +
                           std::to_string(rows.bytes()));
  }
  if (too_many) return InvalidArgument("more than two parts in a message");
  return absl::OkStatus();
}

std::vector<std::byte> ZmqSocket::ReceiveBody() {
  std::vector<std::byte> body;
  if (!more_) return body;
  zmq_msg_t part;
  zmq_msg_init(&part);
  CHECK(zmq_msg_recv(&part, handle_, ZMQ_DONTWAIT) >= 0);
  more_ = zmq_msg_more(&part) != 0;
  const auto* data = static_cast<const std::byte*>(zmq_msg_data(&part));
  body.assign(data, data + zmq_msg_size(&part));
  zmq_msg_close(&part);
  DropRest();
  return body;
}

SendOutcome ZmqSocket::Forward(ZmqSocket& out, ConnectionId to) {
  BeforeSend();
  SendOutcome outcome = SendOutcome::kSent;
  if (out.listens_) {
    const auto id = RoutingId(to);
    if (!out.SendPart(id.data(), id.size(), true, outcome)) return outcome;
  }
  if (!out.SendPart(head_.data(), head_words_ * sizeof(uint64_t), more_, outcome)) return outcome;
  while (more_) {
    zmq_msg_t part;
    zmq_msg_init(&part);
    CHECK(zmq_msg_recv(&part, handle_, ZMQ_DONTWAIT) >= 0);
    more_ = zmq_msg_more(&part) != 0;
    CHECK(zmq_msg_send(&part, out.handle_, ZMQ_DONTWAIT | (more_ ? ZMQ_SNDMORE : 0)) >= 0);
  }
  return outcome;
}

void WaitForMessages(std::span<ZmqSocket* const> sockets, int wake, Duration longest) {
  std::vector<zmq_pollitem_t> items;
  items.reserve(sockets.size() + 1);
  for (ZmqSocket* socket : sockets) {
    items.push_back({.socket = socket->handle(), .fd = 0, .events = ZMQ_POLLIN, .revents = 0});
  }
  if (wake >= 0)
    items.push_back({.socket = nullptr, .fd = wake, .events = ZMQ_POLLIN, .revents = 0});
  zmq_poll(items.data(), static_cast<int>(items.size()), Ms(longest));
  if (wake >= 0 && (items.back().revents & ZMQ_POLLIN) != 0) {
    uint64_t count;
    while (read(wake, &count, sizeof count) > 0) {
    }
  }
}

}  // namespace mortar
