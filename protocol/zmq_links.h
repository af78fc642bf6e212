// The links of one node over ZeroMQ, and what waits to be sent on each. For zmq_links.cc (how links
// come and go), zmq_transport.cc (sending) and zmq_receive.cc alone.
#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/ring_queue.h"
#include "protocol/wire.h"
#include "protocol/zmq_gate.h"
#include "protocol/zmq_socket.h"
#include "protocol/zmq_transport.h"

namespace mortar {

// Bytes that wait for all peers of a node together: of 64 peers that stand still.
inline constexpr size_t kQueueBytesMax = 64 * kQueueBytesPerPeerMax;
// Nodes that were told of and dialled at a time. A route has kHopsMax; the rest go through a relay.
inline constexpr size_t kDialledMax = 64;
// A node that cannot be dialled is tried again after kRedialDelay, doubled each time, so often.
inline constexpr Duration kRedialDelay = std::chrono::seconds(1);
inline constexpr int kRedialsMax = 5;
// Links of one key: processes that share it. More would let one key take the places of all others.
inline constexpr size_t kLinksPerKeyMax = 64;
// How often ZeroMQ's gate is looked at: a greeting waits for it, a frame need not.
inline constexpr Duration kGateInterval = std::chrono::milliseconds(1);
// Nodes for which something was forwarded on one link, to be told when it is lost.
inline constexpr size_t kSendersMax = 1024;

// A message as ZeroMQ takes it, waiting because a peer's queue is full; a Hello also because the
// peer has not greeted.
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
  NodeId node;                // at the other end; kNoNode until it is known
  PublicKey key{};            // of the other end; empty: links without keys
  Role role = Role::kWorker;  // of one that came to the listener
  bool turned_away = false;   // and said so
  size_t key_tried = 0;       // of those that a kept one's other end may have: in turn
  bool open = false;          // Hello was answered
  bool removed = false;       // waits to be freed
  bool vouches = false;       // brings what others say: a coordinator, a relay
  Time since{};               // dialled, or opened
  Time heard{};
  Time alive_sent{};
  std::optional<Time> carried;  // the last rows, either way (NoteFrame)
  Time watched{};               // since when rows come often
  std::optional<Time> hello_sent;
  RingQueue<PendingMessage> pending;
  size_t pending_bytes = 0;
  // For whom something was forwarded to `node`. Emptied when it is full: who is not told notices
  // by his deadlines.
  std::unordered_set<NodeId, IdHash> senders;
};

// Of one that was dialled, for people.
std::string WhyNotOpen(const ZmqLink& link);

// A node that this one was told of.
struct Introduced {
  std::string endpoint;
  PublicKey key{};
  int redials = 0;
  Time redial_at{};
};

struct ZmqTransport::State {
  State(ZmqOptions o, Parts p) : options(std::move(o)), parts(p) {}
  ~State();

  // --- Links (zmq_links.cc) ---
  absl::Status Start();
  absl::StatusOr<ZmqLink*> Dial(const std::string& endpoint, NodeId node, const PublicKey& key,
                                Time now);
  // A link that was turned away, with a new socket, for ZeroMQ does not try again by itself; with
  // the next of the keys that the other end may have.
  void DialAnew(ZmqLink& link, Time now);
  // Said once until the link is open: what goes another way now, or waits, should surprise nobody.
  void SayTurnedAway(ZmqLink& link);
  const KeyPair* keys() const { return options.keys ? &*options.keys : nullptr; }
  // The at-th key, around in a circle, that the coordinator or the relay may have.
  PublicKey KeyToTry(const std::vector<PublicKey>& known, size_t at) const;
  void Allow(AllowList allowed, Time now);
  // Whether the list still has the other end of a link, as what it came.
  bool MayStay(const ZmqLink& link) const;
  // Closed, and told why; by a coordinator all its members too.
  void TurnOut(ZmqLink& link, Time now);
  // The coordinator has turned this node out.
  void Shun(NodeId node, const absl::Status& why, Time now);
  // Forgets nodes that could not be dialled for long; whether another one may be told of.
  bool MakeRoomToIntroduce();
  void DialIntroduced(NodeId node, Introduced& peer, Time now);
  ZmqLink& Accept(ConnectionId connection, NodeId node, const Hello& hello, Time now);
  void Opened(ZmqLink& link, NodeId node, Time now);
  // Closed with a reason for the log and, as a Goodbye, for the loop and for those who sent over
  // it. The link to the coordinator or the relay stays and is opened anew, any other is removed.
  void Lose(ZmqLink& link, const std::string& why, Time now);
  // At the coordinator's as a warning: a node without it takes no new sessions.
  void LogLost(const ZmqLink& link, const std::string& why);
  // What was on its way through an open link is lost with it: a Goodbye from every node to which
  // this one has sent frames over it.
  void LoseNodesBehind(const ZmqLink& link, const std::string& why);
  // A Goodbye in its name to all for whom, or from whom, something was forwarded to this node or
  // from it.
  void TellSenders(const ZmqLink& lost, const std::string& why);
  bool Keeps(const ZmqLink& link) const { return &link == upstream || &link == relay; }
  // Not open any more, and no longer the way to its node.
  void Shut(ZmqLink& link);
  void Remove(ZmqLink& link);
  void Tick(Time now);
  void TickLink(ZmqLink& link, Time now);
  void SayHello(ZmqLink& link, Time now);
  // Rows crossed it, either way: a session waits there. Or one begins, so that both ends know: a
  // direct link was opened, or carried its key. Both ends count the same messages, for who watches
  // needs to hear often: not a frame without rows, which whoever forwards cannot tell from others.
  static void NoteFrame(ZmqLink& link, Time now);

  // --- Sending (zmq_transport.cc) ---
  ZmqLink* PathTo(NodeId to);
  absl::Status SendOn(ZmqLink& link, NodeId to, const AnyMessage& message) {
    return SendAs(options.self, link, to, message);
  }
  // In the name of another node: whoever forwards says for it that it is gone.
  absl::Status SendAs(NodeId from, ZmqLink& link, NodeId to, const AnyMessage& message);
  // Nothing is sent before: ZeroMQ would keep it for whoever listens there later. Reads the
  // monitor, so that Wait does not see what this has seen: Poll before Wait.
  static bool IsGreeted(ZmqLink& link);
  absl::Status Queue(ZmqLink& link, PendingMessage message);
  void Flush(ZmqLink& link);
  void DropPending(ZmqLink& link);
  // `rows` of a frame, null for any other message.
  void Count(NodeId to, size_t head_bytes, const Rows* rows);
  LinkCounters& Counters(NodeId to);

  // --- Receiving (zmq_receive.cc) ---
  void AnswerGate(Time now);
  // A message for the loop, if the next one that waits is; `received` says whether any was there.
  std::optional<Incoming> TakeNext(Time now);
  // The message that begins with `head`, when it is for the loop; all others are dealt with.
  // `link` is null at the listener.
  std::optional<Incoming> Take(ZmqSocket& socket, ZmqLink* link, const ZmqSocket::Head& head,
                               Time now);
  std::optional<Incoming> TakeHello(ZmqSocket& socket, ZmqLink* link, const ZmqSocket::Head& head,
                                    NodeId from, Hello& hello, Time now);
  // Whether a Hello says of its sender what its connection proved, and its role is allowed.
  absl::Status CheckIdentity(const PublicKey& speaker, NodeId from, const Hello& hello);
  size_t LinksOf(const PublicKey& key) const;
  // Counted, and in the log once a second: whoever made a mistake in a list looks there.
  void NoteNotAllowed(const PublicKey& key, const std::string& why, Time now);
  // Whether a node that came to the listener still has its connection: something is sent there to
  // see, and a connection that is gone is closed.
  bool ProbeConnection(NodeId node);
  std::optional<Incoming> TakeWelcome(ZmqLink& link, NodeId from, Welcome& welcome, Time now);
  std::optional<Incoming> TakeFromLink(ZmqSocket& socket, ZmqLink& link,
                                       const ZmqSocket::Head& head, NodeId from,
                                       AnyMessage& message, Time now);
  void TakeGoodbye(ZmqLink& link, const absl::Status& status, Time now);
  absl::Status TakeRows(ZmqSocket& socket, const ZmqSocket::Head& head, Activation& frame);
  void Forward(ZmqSocket& socket, ZmqLink& from, const ZmqSocket::Head& head, const WireEnds& ends,
               Time now);
  void Undeliverable(const ZmqSocket::Head& head);
  void Answer(ZmqSocket& socket, ConnectionId connection, NodeId to, const AnyMessage& message);

  ZmqOptions options;
  Parts parts;
  ZmqContext context;
  std::unique_ptr<ZmqGate> gate;  // of a listener with keys
  Time gate_looked{};
  int wake = -1;  // an eventfd
  std::unique_ptr<ZmqSocket> listener;
  std::vector<std::unique_ptr<ZmqLink>> links;
  std::vector<std::unique_ptr<ZmqLink>> removed;  // until the next Poll: somebody may hold one
  std::vector<ZmqLink*> dialled;                  // those with a socket of their own
  std::unordered_map<NodeId, ZmqLink*, IdHash> by_node;      // the way to each node with a link
  std::unordered_map<ConnectionId, ZmqLink*> by_connection;  // of the listener
  std::unordered_map<NodeId, ZmqLink*, IdHash> asking;  // Hello came, the loop has not answered
  std::unordered_map<NodeId, Introduced, IdHash> introduced;
  ZmqLink* upstream = nullptr;
  ZmqLink* relay = nullptr;
  bool relay_missed = false;     // and said so
  bool upstream_missed = false;  // the same
  size_t next_socket = 0;        // where Poll's round goes on
  bool received = false;
  size_t pending_bytes = 0;    // of all links
  RingQueue<Incoming> events;  // for the loop: links that were lost
  WireWriter writer;
  std::unordered_map<NodeId, LinkCounters, IdHash> counted;
  Time not_allowed_said{};          // in the log
  uint64_t not_allowed_unsaid = 0;  // since then
  ZmqCounters counters;
  Time last_tick{};
  absl::Status upstream_refusal;
};

}  // namespace mortar
