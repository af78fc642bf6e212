// The links of one node over ZeroMQ, and what waits to be sent on each. For zmq_transport.cc and
// zmq_receive.cc alone.
#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/ring_queue.h"
#include "protocol/wire.h"
#include "protocol/zmq_socket.h"
#include "protocol/zmq_transport.h"

namespace mortar {

// A message as ZeroMQ takes it, waiting because a peer's queue is full.
struct PendingMessage {
  NodeId to;
  std::vector<uint64_t> head;
  Rows rows;                    // of a frame of this node
  std::vector<std::byte> body;  // of one that is forwarded
  bool is_frame = false;
  bool forwarded = false;  // counted by whoever made it

  size_t bytes() const { return head.size() * sizeof(uint64_t) + rows.bytes() + body.size(); }
};

struct ZmqLink {
  std::unique_ptr<ZmqSocket> own;  // of a link that was dialled; null: it came to the listener
  ZmqSocket* socket = nullptr;
  ConnectionId connection = 0;
  NodeId node;           // at the other end; kNoNode until it is known
  bool open = false;     // Hello was answered
  bool vouches = false;  // brings what others say: a coordinator, a relay
  Time since{};          // dialled, or opened
  Time heard{};
  Time alive_sent{};
  std::optional<Time> hello_sent;
  RingQueue<PendingMessage> pending;
  size_t pending_bytes = 0;
};

struct ZmqTransport::State {
  State(ZmqOptions o, Parts p) : options(std::move(o)), parts(p) {}
  ~State();

  // --- Links (zmq_transport.cc) ---
  absl::Status Start();
  absl::StatusOr<ZmqLink*> Dial(const std::string& endpoint, NodeId node, Time now);
  ZmqLink& Accept(ConnectionId connection, NodeId node, bool vouches, Time now);
  void Opened(ZmqLink& link, NodeId node, Time now);
  // Closed with a reason for the log and, as a Goodbye, for the loop. A link to the coordinator or
  // the relay is dialled anew.
  void Lose(ZmqLink& link, const std::string& why, Time now);
  // What was on its way through an open link is lost with it: a Goodbye from every node to which
  // this one has sent over it.
  void LoseNodesBehind(const ZmqLink& link, const std::string& why);
  void Remove(ZmqLink& link);
  void Tick(Time now);
  void TickLink(ZmqLink& link, Time now);

  // --- Sending (zmq_transport.cc) ---
  ZmqLink* PathTo(NodeId to);
  absl::Status SendOn(ZmqLink& link, NodeId to, const AnyMessage& message);
  absl::Status Queue(ZmqLink& link, PendingMessage message);
  void Flush(ZmqLink& link);
  // `rows` of a frame, null for any other message.
  void Count(NodeId to, size_t head_bytes, const Rows* rows);
  LinkCounters& Counters(NodeId to);

  // --- Receiving (zmq_receive.cc) ---
  // The message that begins with `head`, when it is for the loop; all others are dealt with.
  // `link` is null at the listener.
  std::optional<Incoming> Take(ZmqSocket& socket, ZmqLink* link, const ZmqSocket::Head& head,
                               Time now);
  std::optional<Incoming> TakeHello(ZmqSocket& socket, ZmqLink* link, ConnectionId connection,
                                    NodeId from, Hello& hello, Time now);
  std::optional<Incoming> TakeWelcome(ZmqLink& link, NodeId from, Welcome& welcome, Time now);
  std::optional<Incoming> TakeFromLink(ZmqSocket& socket, ZmqLink& link,
                                       const ZmqSocket::Head& head, NodeId from,
                                       AnyMessage& message, Time now);
  void TakeGoodbye(ZmqLink& link, const absl::Status& status);
  absl::Status TakeRows(ZmqSocket& socket, const ZmqSocket::Head& head, Activation& frame);
  void Forward(ZmqSocket& socket, ZmqLink& from, const ZmqSocket::Head& head, NodeId to, Time now);
  void Undeliverable(const ZmqSocket::Head& head);
  void Answer(ZmqSocket& socket, ConnectionId connection, NodeId to, const AnyMessage& message);

  ZmqOptions options;
  Parts parts;
  ZmqContext context;
  int wake = -1;  // an eventfd
  std::unique_ptr<ZmqSocket> listener;
  std::vector<std::unique_ptr<ZmqLink>> links;
  std::unordered_map<NodeId, ZmqLink*, IdHash> by_node;      // open ones
  std::unordered_map<ConnectionId, ZmqLink*> by_connection;  // of the listener
  ZmqLink* upstream = nullptr;
  ZmqLink* relay = nullptr;
  size_t next_link = 0;        // where Poll's round goes on
  RingQueue<Incoming> events;  // for the loop: links that were lost
  WireWriter writer;
  std::unordered_map<NodeId, LinkCounters, IdHash> counted;
  ZmqCounters counters;
  Time last_tick{};
  absl::Status upstream_refusal;
};

}  // namespace mortar
