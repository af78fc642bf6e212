// ZeroMQ sockets as this protocol uses them; zmq_socket.cc is the one home of zmq.h.
//
// A listening node has one ROUTER, whose routing ids ZeroMQ chooses; whoever dials has a DEALER of
// its own for each peer. Every send and receive returns at once. Queues are short (kHighWater
// messages each way), since ZeroMQ counts messages and not bytes; what waits beyond them is the
// transport's to bound.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
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

// Bytes that a frame of these parts puts on the stream: parts up to 255 bytes have a header of
// two bytes, longer ones of nine (ZMTP 3.1, section 3.1).
constexpr size_t StreamBytes(size_t part) { return part + (part <= 255 ? 2 : 9); }

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
  kTrying,     // nothing yet
  kRefused,    // somebody said no, or the name does not resolve; it is tried again
  kConnected,  // TCP alone: whoever listens has not greeted as ZeroMQ does
  kGreeted,    // open
  kLost,       // was open
};
// For an error: "nobody listens there", …
const char* Describe(DialState state);

// Used by one thread at a time, with a lock or fence between two.
class ZmqSocket {
 public:
  // A ROUTER that listens. The endpoint is "tcp://ADDRESS:PORT"; port 0 or "*" takes a free one.
  // Unavailable names the endpoint and the reason, e.g. a port in use.
  static absl::StatusOr<std::unique_ptr<ZmqSocket>> Listen(ZmqContext& context,
                                                           const std::string& endpoint);
  // A DEALER that connects in the background, again and again.
  static absl::StatusOr<std::unique_ptr<ZmqSocket>> Dial(ZmqContext& context,
                                                         const std::string& endpoint);
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
  ZmqSocket(void* handle, bool listens);
  absl::Status Watch(ZmqContext& context);  // opens the monitor

  void* handle_;
  void* monitor_ = nullptr;
  const bool listens_;
  std::string endpoint_;
  DialState state_ = DialState::kTrying;
  std::vector<uint64_t> head_;
  size_t head_words_ = 0;
  struct Part;  // zmq_msg_t
  std::unique_ptr<Part> body_;
  int n_parts_ = 0;
};

// Waits until one of `sockets` has a message, one of `dialling` has news for dial_state, `wake` (an
// eventfd, or -1) was written to, or the time is over. Reads `wake` empty.
void WaitForMessages(std::span<ZmqSocket* const> sockets, std::span<ZmqSocket* const> dialling,
                     int wake, Duration longest);

}  // namespace mortar
