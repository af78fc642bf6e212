// ZeroMQ sockets as this protocol uses them; zmq.h is included by zmq_call.h alone, for
// zmq_socket.cc and zmq_gate.cc.
//
// A listening node has one ROUTER, whose routing ids ZeroMQ chooses; whoever dials has a DEALER of
// its own for each peer. Every send and receive returns at once. Queues are short (kHighWater
// messages each way), since ZeroMQ counts messages and not bytes; what waits beyond them is the
// transport's to bound.
//
// A socket with keys speaks CURVE (ZeroMQ RFC 26) and nothing else: both ends prove their keys
// before anything crosses, and everything that crosses is encrypted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "protocol/keys.h"
#include "protocol/rows.h"

namespace mortar {

// Messages in ZeroMQ's own queue of one peer, each way: 16 of at most 256 KiB of rows, 4 MiB.
inline constexpr int kHighWater = 16;
// A peer that has not finished ZeroMQ's greeting by then is dropped.
inline constexpr Duration kGreetingMax = std::chrono::seconds(5);

// One connection of a ROUTER. Zero at a DEALER, which has one alone.
using ConnectionId = uint64_t;
// Of a client that chose a routing id of its own, which it must not: nothing can be sent there.
inline constexpr ConnectionId kNoConnection = ~ConnectionId{0};

// What CURVE puts around a part: the name of its command, half a nonce, flags and the box's own
// (RFC 26, MESSAGE command).
inline constexpr size_t kCurveBytes = 8 + 8 + 1 + 16;

// Bytes that a part of a message puts on the stream: up to 255 bytes have a header of two bytes,
// more of nine (ZMTP 3.1, section 3.1).
constexpr size_t StreamBytes(size_t part, bool encrypted) {
  if (encrypted) part += kCurveBytes;
  return part + (part <= 255 ? 2 : 9);
}

// One I/O thread. Outlives its sockets.
class ZmqContext {
 public:
  ZmqContext();
  ~ZmqContext();
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;
  void* handle() const { return handle_; }

 private:
  void* handle_;
};

enum class SendOutcome {
  kSent,
  kFull,  // the peer's queue is full, or a DEALER was never connected and has 16 waiting
  kGone,  // a ROUTER has no such connection (any more), or it went while the message was sent
};

// What a DEALER's monitor last saw.
enum class DialState {
  kTrying,      // nothing yet
  kRefused,     // somebody said no, or the name does not resolve; it is tried again
  kConnected,   // TCP alone: whoever listens has not greeted as ZeroMQ does
  kHungUp,      // the greeting was broken off; with keys: whoever listens has another key
  kSilent,      // the greeting took too long: whoever listens stands still
  kKeysWanted,  // it speaks with keys alone, and this end has none; ZeroMQ does not try again
  kNoKeys,      // this end has keys, and it has none; the same
  kNotAllowed,  // our key is not on its list; ZeroMQ does not try again
  kGreeted,     // open
  kLost,        // was open
};
// The greeting went wrong, and the socket's time is over.
constexpr bool IsTurnedAway(DialState state) {
  return state == DialState::kHungUp || state == DialState::kKeysWanted ||
         state == DialState::kNoKeys || state == DialState::kNotAllowed;
}
// For an error: "nobody listens there", …
const char* Describe(DialState state);

// Used by one thread at a time, with a lock or fence between two.
class ZmqSocket {
 public:
  // A ROUTER that listens. The endpoint is "tcp://ADDRESS:PORT"; port 0 or "*" takes a free one.
  // With `keys`, not null, it lets in whom the context's ZmqGate allows.
  // Unavailable names the endpoint and the reason, e.g. a port in use.
  static absl::StatusOr<std::unique_ptr<ZmqSocket>> Listen(ZmqContext& context,
                                                           const std::string& endpoint,
                                                           const KeyPair* keys = nullptr);
  // A DEALER that connects in the background, again and again. With `keys`, not null, to whoever
  // holds the secret key of `server` and to nobody else.
  static absl::StatusOr<std::unique_ptr<ZmqSocket>> Dial(ZmqContext& context,
                                                         const std::string& endpoint,
                                                         const KeyPair* keys = nullptr,
                                                         const PublicKey& server = {});
  ~ZmqSocket();
  ZmqSocket(const ZmqSocket&) = delete;
  ZmqSocket& operator=(const ZmqSocket&) = delete;

  // Where a listener can be dialled.
  const std::string& endpoint() const { return endpoint_; }
  bool listens() const { return listens_; }
  // Reads the monitor. At a listener always kGreeted.
  DialState dial_state();

  // Sends one message of one part, or of two when `body` is not empty.
  SendOutcome Send(ConnectionId to, std::span<const uint64_t> head,
                   std::span<const std::byte> body);

  // The next message as a whole: its head in memory of the socket's own, its rows still in
  // ZeroMQ's. Both are valid until the next call. Absent: nothing waits.
  struct Head {
    ConnectionId connection = 0;
    PublicKey speaker{};  // at a listener with keys: that this message's connection proved
    std::span<const uint64_t> words;  // empty when it was longer than kMessageBytesMax or no words
    int n_parts = 0;                  // beyond two, the others were dropped
  };
  std::optional<Head> ReceiveHead();
  // Copies the second part of that message into `rows`. InvalidArgument when its size is not that
  // of `rows`.
  absl::Status ReceiveRows(Rows& rows) const;
  // The same, whatever its size, for a message that has to wait.
  std::vector<std::byte> ReceiveBody() const;
  // Sends that message on to `to`, its second part without a copy. After it the message is gone,
  // unless the outcome is kFull.
  SendOutcome Forward(ZmqSocket& out, ConnectionId to);
  // Closing waits so long for what was sent to leave. Zero before.
  void Linger(Duration longest);

  void* handle() const { return handle_; }
  void* monitor() const { return monitor_; }  // of one that dialled

 private:
  ZmqSocket(void* handle, bool listens, bool encrypted);
  absl::Status Watch(ZmqContext& context);  // opens the monitor

  void* handle_;
  void* monitor_ = nullptr;
  const bool listens_;
  const bool encrypted_;
  std::string endpoint_;
  DialState state_ = DialState::kTrying;
  std::chrono::steady_clock::time_point connected_{};  // when that was read from the monitor
  DialState FailedGreeting();
  int hang_ups_ = 0;  // amid a greeting, of an end without keys
  std::vector<uint64_t> head_;
  size_t head_words_ = 0;
  struct Part;  // zmq_msg_t
  std::unique_ptr<Part> body_;
  int n_parts_ = 0;
};

// Waits until one of `sockets` has a message, one of `dialling` has news for dial_state, `gate` (of
// a ZmqGate, or null) is asked, `wake` (an eventfd, or -1) was written to, or the time is over.
// Reads `wake` empty. False: the time is over.
bool WaitForMessages(std::span<ZmqSocket* const> sockets, std::span<ZmqSocket* const> dialling,
                     void* gate, int wake, Duration longest);

}  // namespace mortar
