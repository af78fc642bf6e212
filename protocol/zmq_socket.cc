#include "protocol/zmq_socket.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "common/check.h"
#include "common/random.h"
#include "protocol/limits.h"
#include "protocol/zmq_call.h"

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

void SetKey(void* socket, int option, const std::array<uint8_t, kKeyBytes>& key) {
  CHECK(zmq_setsockopt(socket, option, key.data(), key.size()) == 0);
}

constexpr char kZapDomain[] = "mortar";

void ListenWithKeys(void* socket, const KeyPair& keys) {
  Set(socket, ZMQ_CURVE_SERVER, 1);
  SetKey(socket, ZMQ_CURVE_SECRETKEY, keys.secret_key.bytes);
  CHECK(zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, kZapDomain, sizeof kZapDomain - 1) == 0);
}

void DialWithKeys(void* socket, const KeyPair& keys, const PublicKey& server) {
  SetKey(socket, ZMQ_CURVE_SERVERKEY, server.bytes);
  SetKey(socket, ZMQ_CURVE_PUBLICKEY, keys.public_key.bytes);
  SetKey(socket, ZMQ_CURVE_SECRETKEY, keys.secret_key.bytes);
}

// Who sent this part, as the gate named him. None without keys.
PublicKey SpeakerOf(zmq_msg_t& part) {
  const char* user = zmq_msg_gets(&part, "User-Id");
  const auto key = user == nullptr ? InvalidArgument("no user") : ParsePublicKey(user);
  return key.ok() ? *key : PublicKey{};
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

// What is looked at, and nothing else: what is not read takes room where the next event must find
// some.
constexpr int kEventsWatched =
    ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
    ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED |
    ZMQ_EVENT_CLOSED;

absl::Status ZmqStatus(const std::string& what) {
  const int error = zmq_errno();
  if (error == EINVAL || error == EPROTONOSUPPORT) {
    return InvalidArgument(what + ": not an endpoint; give tcp://ADDRESS:PORT");
  }
  return Unavailable(what + ": " + zmq_strerror(error));
}

int Option(void* socket, int option) {
  int value = 0;
  size_t size = sizeof value;
  CHECK(Uninterrupted([&] { return zmq_getsockopt(socket, option, &value, &size); }) == 0);
  return value;
}

// Whether the part was sent; the reason is in zmq_errno.
bool SendPart(void* socket, const void* data, size_t bytes, bool more) {
  const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
  return Uninterrupted([&] { return zmq_send(socket, data, bytes, flags); }) >= 0;
}

// The same of the part with which a message begins, the only one that may be refused.
bool SendFirstPart(void* socket, const void* data, size_t bytes, bool more) {
  if (SendPart(socket, data, bytes, more)) return true;
  if (zmq_errno() != EAGAIN) return false;
  // ZeroMQ looks only now and then at what its I/O thread says of room in a queue, and refuses
  // meanwhile; asking for events makes it look.
  (void)Option(socket, ZMQ_EVENTS);
  return SendPart(socket, data, bytes, more);
}

SendOutcome Refused() {
  return zmq_errno() == EHOSTUNREACH ? SendOutcome::kGone : SendOutcome::kFull;
}

}  // namespace

struct ZmqSocket::Part {
  Part() { zmq_msg_init(&message); }
  ~Part() { zmq_msg_close(&message); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  void Clear() {
    zmq_msg_close(&message);
    zmq_msg_init(&message);
  }
  zmq_msg_t message;
};

const char* Describe(DialState state) {
  switch (state) {
    case DialState::kTrying:
      return "nobody answers there";
    case DialState::kRefused:
      return "nobody listens there";
    case DialState::kConnected:
      return "it accepts connections and does not answer: it stands still, or is no Mortar node";
    case DialState::kHungUp:
      return "it broke off the greeting: its public key is not the one that was given, or it has "
             "no keys, or it is no Mortar node";
    case DialState::kSilent:
      return "it accepts connections and ends no greeting: it stands still, or is no Mortar node; "
             "a wrong public key would be refused at once";
    case DialState::kKeysWanted:
      return "it wants keys: one of the two has keys and the other has none; start this node with "
             "--keys FILE and --server-key KEY";
    case DialState::kNoKeys:
      return "it has no keys: one of the two has keys and the other has none; start it with --keys "
             "FILE, or this node without";
    case DialState::kNotAllowed:
      return "this node's key is not on its allow-list";
    case DialState::kGreeted:
      return "connected";
    case DialState::kLost:
      return "the connection was lost";
  }
  return "unknown";
}

ZmqContext::ZmqContext() : handle_(zmq_ctx_new()) {
  CHECK(handle_ != nullptr);
  // ZeroMQ counts its routing ids up from a number of rand(), which it does not seed, and ends the
  // process when it meets an id that a client has chosen for itself. So nobody may know the number.
  uint32_t seed = 0;
  SystemRandom().Fill(reinterpret_cast<uint8_t*>(&seed), sizeof seed);
  srand(seed);
}
ZmqContext::~ZmqContext() { zmq_ctx_term(handle_); }

ZmqSocket::ZmqSocket(void* handle, bool listens, bool encrypted)
    : handle_(handle),
      listens_(listens),
      encrypted_(encrypted),
      head_(kMessageBytesMax / sizeof(uint64_t)),
      body_(std::make_unique<Part>()) {}

ZmqSocket::~ZmqSocket() {
  // Before its reader goes: ZeroMQ's own threads wait for ever to tell a monitor that nobody reads,
  // and no socket of the process would be closed any more.
  zmq_socket_monitor(handle_, nullptr, 0);
  if (monitor_ != nullptr) zmq_close(monitor_);
  zmq_close(handle_);
}

absl::StatusOr<std::unique_ptr<ZmqSocket>> ZmqSocket::Listen(ZmqContext& context,
                                                             const std::string& endpoint,
                                                             const KeyPair* keys) {
  void* handle = zmq_socket(context.handle(), ZMQ_ROUTER);
  if (handle == nullptr) return ZmqStatus("listening on " + endpoint);
  std::unique_ptr<ZmqSocket> socket(new ZmqSocket(handle, true, keys != nullptr));
  SetLimits(handle);
  if (keys != nullptr) ListenWithKeys(handle, *keys);
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
                                                           const std::string& endpoint,
                                                           const KeyPair* keys,
                                                           const PublicKey& server) {
  void* handle = zmq_socket(context.handle(), ZMQ_DEALER);
  if (handle == nullptr) return ZmqStatus("dialling " + endpoint);
  std::unique_ptr<ZmqSocket> socket(new ZmqSocket(handle, false, keys != nullptr));
  SetLimits(handle);
  if (keys != nullptr) DialWithKeys(handle, *keys, server);
  Set(handle, ZMQ_RECONNECT_IVL, 100);
  Set(handle, ZMQ_RECONNECT_IVL_MAX, 2000);
  RETURN_IF_ERROR(socket->Watch(context));
  if (zmq_connect(handle, endpoint.c_str()) != 0) return ZmqStatus("cannot dial " + endpoint);
  socket->endpoint_ = endpoint;
  return socket;
}

absl::Status ZmqSocket::Watch(ZmqContext& context) {
  const std::string name =
      "inproc://monitor-" + std::to_string(reinterpret_cast<uintptr_t>(handle_));
  monitor_ = zmq_socket(context.handle(), ZMQ_PAIR);
  if (monitor_ == nullptr || zmq_socket_monitor(handle_, name.c_str(), kEventsWatched) != 0) {
    return ZmqStatus("watching a connection");
  }
  Set(monitor_, ZMQ_LINGER, 0);
  if (zmq_connect(monitor_, name.c_str()) != 0) return ZmqStatus("watching a connection");
  return absl::OkStatus();
}

// ZeroMQ tells a greeting that was broken off from one that took too long by nothing but the time.
// Where this process itself stood still, both events are read at once: then it is the first.
DialState ZmqSocket::FailedGreeting() {
  constexpr Duration kNearly = kGreetingMax * 9 / 10;
  if (std::chrono::steady_clock::now() - connected_ >= kNearly) return DialState::kSilent;
  if (encrypted_) return DialState::kHungUp;
  // Where nothing is wanted that this end has not, nobody hangs up but who goes away, and he does
  // so once. Who wants keys hangs up each time; whether ZeroMQ reads his reason before is chance.
  constexpr int kHangUpsOfAKeyed = 3;
  return ++hang_ups_ < kHangUpsOfAKeyed ? state_ : DialState::kKeysWanted;
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
      connected_ = std::chrono::steady_clock::now();
      // Tried again after it was turned away: that is still the newest that is known.
      if (!IsTurnedAway(state_) && state_ != DialState::kSilent) state_ = DialState::kConnected;
    } else if (kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
      state_ = DialState::kGreeted;
    } else if (kind == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
      state_ = DialState::kNotAllowed;
    } else if (kind == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
      state_ = encrypted_ ? DialState::kNoKeys : DialState::kKeysWanted;
    } else if (kind == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
      state_ = FailedGreeting();
    } else if (kind == ZMQ_EVENT_DISCONNECTED) {
      // Before the greeting was over, the other end is the kind that hangs up.
      if (state_ == DialState::kGreeted) state_ = DialState::kLost;
    } else if (kind == ZMQ_EVENT_CLOSED && state_ == DialState::kTrying) {
      state_ = DialState::kRefused;
    }
  }
  return state_;
}

SendOutcome ZmqSocket::Send(ConnectionId to, std::span<const uint64_t> head,
                            std::span<const std::byte> body) {
  BeforeSend();
  const bool two_parts = !body.empty();
  if (listens_) {
    const auto id = RoutingId(to);
    if (!SendFirstPart(handle_, id.data(), id.size(), true)) return Refused();
    if (!SendPart(handle_, head.data(), head.size_bytes(), two_parts)) return SendOutcome::kGone;
  } else if (!SendFirstPart(handle_, head.data(), head.size_bytes(), two_parts)) {
    return Refused();
  }
  // A message goes as a whole, or its connection went between two parts and ZeroMQ dropped it.
  if (two_parts && !SendPart(handle_, body.data(), body.size(), false)) return SendOutcome::kGone;
  return SendOutcome::kSent;
}

std::optional<ZmqSocket::Head> ZmqSocket::ReceiveHead() {
  Head head;
  if (listens_) {
    uint8_t id[256];  // as long as a routing id can be
    const int size = Uninterrupted([&] { return zmq_recv(handle_, id, sizeof id, ZMQ_DONTWAIT); });
    if (size < 0) return std::nullopt;
    const bool ours = size == static_cast<int>(kRoutingIdBytes) && id[0] == 0;
    head.connection = ours ? FromRoutingId(id, kRoutingIdBytes) : kNoConnection;
    if (Option(handle_, ZMQ_RCVMORE) == 0) return head;  // no message at all
  }
  Part first;
  const int size =
      Uninterrupted([&] { return zmq_msg_recv(&first.message, handle_, ZMQ_DONTWAIT); });
  if (size < 0) return std::nullopt;
  AfterReceive();
  // Not of the routing id before it: ZeroMQ forgets to name the speaker there when it was polled.
  if (listens_ && encrypted_) head.speaker = SpeakerOf(first.message);
  n_parts_ = 1;
  const size_t bytes = static_cast<size_t>(size);
  const bool fits = bytes <= head_.size() * sizeof(uint64_t) && bytes % sizeof(uint64_t) == 0;
  head_words_ = fits ? bytes / sizeof(uint64_t) : 0;
  // One copy, into memory that is aligned as Cap'n Proto needs it.
  if (fits) std::memcpy(head_.data(), zmq_msg_data(&first.message), bytes);
  // All parts now: while some are left, nothing else may be done with the socket.
  body_->Clear();
  for (Part more; Option(handle_, ZMQ_RCVMORE) != 0; ++n_parts_) {
    zmq_msg_t* part = n_parts_ == 1 ? &body_->message : &more.message;
    if (Uninterrupted([&] { return zmq_msg_recv(part, handle_, ZMQ_DONTWAIT); }) < 0) break;
  }
  head.words = std::span<const uint64_t>(head_).first(head_words_);
  head.n_parts = n_parts_;
  return head;
}

absl::Status ZmqSocket::ReceiveRows(Rows& rows) const {
  const size_t size = zmq_msg_size(&body_->message);
  if (size != rows.bytes()) {
    return InvalidArgument("rows of " + std::to_string(size) + " bytes, the envelope says " +
                           std::to_string(rows.bytes()));
  }
  std::memcpy(rows.mutable_data(), zmq_msg_data(&body_->message), size);
  return absl::OkStatus();
}

std::vector<std::byte> ZmqSocket::ReceiveBody() const {
  const auto* data = static_cast<const std::byte*>(zmq_msg_data(&body_->message));
  return {data, data + zmq_msg_size(&body_->message)};
}

SendOutcome ZmqSocket::Forward(ZmqSocket& out, ConnectionId to) {
  BeforeSend();
  const size_t bytes = head_words_ * sizeof(uint64_t);
  const bool two_parts = n_parts_ > 1;
  if (out.listens_) {
    const auto id = RoutingId(to);
    if (!SendFirstPart(out.handle_, id.data(), id.size(), true)) return Refused();
    if (!SendPart(out.handle_, head_.data(), bytes, two_parts)) return SendOutcome::kGone;
  } else if (!SendFirstPart(out.handle_, head_.data(), bytes, two_parts)) {
    return Refused();
  }
  if (!two_parts) return SendOutcome::kSent;
  const int sent =
      Uninterrupted([&] { return zmq_msg_send(&body_->message, out.handle_, ZMQ_DONTWAIT); });
  return sent >= 0 ? SendOutcome::kSent : SendOutcome::kGone;
}

void ZmqSocket::Linger(Duration longest) { Set(handle_, ZMQ_LINGER, Ms(longest)); }

bool WaitForMessages(std::span<ZmqSocket* const> sockets, std::span<ZmqSocket* const> dialling,
                     void* gate, int wake, Duration longest) {
  std::vector<zmq_pollitem_t> items;
  items.reserve(sockets.size() + dialling.size() + 2);
  const auto await = [&](void* socket, int fd) {
    items.push_back({.socket = socket, .fd = fd, .events = ZMQ_POLLIN, .revents = 0});
  };
  for (const ZmqSocket* socket : sockets) await(socket->handle(), 0);
  for (const ZmqSocket* socket : dialling) await(socket->monitor(), 0);
  if (gate != nullptr) await(gate, 0);
  if (wake >= 0) await(nullptr, wake);
  const int ready = zmq_poll(items.data(), static_cast<int>(items.size()), Ms(longest));
  if (wake >= 0 && (items.back().revents & ZMQ_POLLIN) != 0) {
    uint64_t count;
    while (read(wake, &count, sizeof count) > 0) {
    }
  }
  return ready > 0;
}

}  // namespace mortar
