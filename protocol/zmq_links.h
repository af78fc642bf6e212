// The links of one node over ZeroMQ, and what waits to be sent on each. For zmq_links.cc (how links
// come and go), zmq_dial.cc, zmq_doors.cc, zmq_transport.cc (sending), zmq_receive.cc and
// zmq_behind.cc alone.
#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/ring_queue.h"
#include "protocol/doors.h"
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

// How long a link that another one has replaced is still read: for what was on its way.
inline constexpr Duration kDrain = std::chrono::seconds(1);
// The same at a listener: longer than whoever dialled keeps his end.
inline constexpr Duration kDrainAccepted = 3 * kDrain;
// Between two tries to change to another door of a server that has one open.
inline constexpr Duration kMoveRetry = std::chrono::seconds(10);
// A door that is not said any more, of a key that is still served, closes when it has no links, and
// at the latest then: whoever is there by now has not understood.
inline constexpr Duration kDoorLeavesMax = std::chrono::minutes(1);

struct ZmqLink;

// A coordinator or relay that this node dials.
struct ZmqServer {
  NodeId node;  // of a coordinator; kNoNode: a relay
  ServerDoors doors{};
  ZmqLink* link = nullptr;    // null: there is none
  ZmqLink* moving = nullptr;  // to another of its doors, or under another id; not open yet
  Time move_at{};             // not before
  Time closed_at{};           // since when it is not open
  bool missed = false;        // and said so
  absl::Status refusal{};     // of this node by a coordinator, the newest
};

// Where this node listens.
struct ZmqDoor {
  std::unique_ptr<ZmqSocket> socket;
  PublicKey key{};             // empty: without keys
  SignerKey signer{};          // of that key's pair
  std::string listen;          // where it was opened
  std::string endpoint;        // where others dial it
  std::optional<Time> left{};  // it is not said any more, since
  std::unordered_map<ConnectionId, ZmqLink*> by_connection{};
};

struct ZmqLink {
  std::unique_ptr<ZmqSocket> own;  // of a link that was dialled; null: it came to the listener
  ZmqSocket* socket = nullptr;
  ZmqDoor* door = nullptr;      // by which it came
  ZmqServer* server = nullptr;  // of one that was dialled there
  ConnectionId connection = 0;
  NodeId as;                      // this node, as it is known there
  NodeId node;                    // at the other end; kNoNode until it is known
  PublicKey key{};                // of the other end; empty: links without keys
  Role role = Role::kWorker;      // of one that came to the listener
  bool turned_away = false;       // and said so
  bool open = false;              // Hello was answered
  bool removed = false;           // waits to be freed
  std::optional<Time> leaves_at;  // replaced by another one: until then what comes is read
  bool vouches = false;           // brings what others say: a coordinator, a relay
  Time since{};                   // dialled, or opened
  Time heard{};
  Time alive_sent{};
  std::optional<Time> carried;  // the last rows, either way (NoteFrame)
  Time watched{};               // since when rows come often
  std::optional<Time> hello_sent;
  RingQueue<PendingMessage> pending;
  size_t pending_bytes = 0;
  // For whom something was forwarded to `node`, and the nodes behind this one to which something of
  // its was. Emptied when it is full: who is not told notices
  // by his deadlines.
  std::unordered_set<NodeId, IdHash> senders;
};

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

  // --- Links (zmq_links.cc; dialling: zmq_dial.cc) ---
  absl::Status Start();
  absl::StatusOr<ZmqLink*> Dial(const std::string& endpoint, NodeId node, const PublicKey& key,
                                Time now);
  // A server's link that does not open, with a new socket, for ZeroMQ does not try again by itself
  // after it was turned away; at the next of its doors.
  void DialAnew(ZmqLink& link, Time now);
  // Said once until the link is open: what goes another way now, or waits, should surprise nobody.
  void SayTurnedAway(ZmqLink& link);
  const KeyPair* keys() const { return options.keys ? &*options.keys : nullptr; }
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
  // Of a link that was dialled, for people.
  static std::string WhyNotOpen(const ZmqLink& link);
  ZmqLink& Accept(ZmqDoor& door, ConnectionId connection, NodeId node, const Hello& hello,
                  Time now);
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
  // The coordinator's to which this is the link; null: it is none.
  static ZmqServer* UpstreamOf(const ZmqLink& link) {
    return Keeps(link) && IsCoordinator(link.server->node) ? link.server : nullptr;
  }
  // Also one that moves there, or is left.
  static bool LeadsToCoordinator(const ZmqLink& link) {
    return link.server != nullptr && IsCoordinator(link.server->node);
  }
  // The first that is open; null: none.
  ZmqLink* OpenUpstream() const;
  static bool Keeps(const ZmqLink& link) {
    return link.server != nullptr && link.server->link == &link;
  }
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

  // --- Doors, here and at servers (zmq_doors.cc) ---
  absl::Status OpenDoor(const std::string& listen, const KeyPair* pair);
  void CloseDoor(ZmqDoor& door, const std::string& why, Time now);
  ZmqDoor& DoorOf(const ZmqSocket& socket) const;
  bool IsServed(const PublicKey& key) const;  // by a pair of this node, still
  // Opens the doors that this node should have, closes others, and says so to who came by one.
  void ArrangeDoors(Time now);
  void TakeNewKeys(NodeKeys keys, Time now);
  // To one who is there: all doors, when there are several.
  void SayDoors(ZmqLink& link);
  void SayDoorsToAll();
  // Whether a Hello is that of a node which comes by another door than before.
  ZmqLink* ComesAnew(NodeId from, const PublicKey& speaker) const;
  // `link` is open now and the way to its node, and `old` not any more.
  void Replace(ZmqLink& old, ZmqLink& link, Time keep_until, Time now);
  // `link`, to another of its doors, is welcomed: it is the server's from now on.
  // Whether it was another link's before, which was open.
  bool TakePlace(ZmqServer& server, ZmqLink& link, NodeId node, Time now);
  absl::Status DialServer(ZmqServer& server, const std::string& endpoint,
                          const std::vector<PublicKey>& keys, Time now);
  // The coordinators and the relay, those that there are.
  std::vector<ZmqServer*> Servers();
  void TickServer(ZmqServer& server, Time now);
  std::optional<Incoming> TakeDoors(ZmqLink& link, NodeId from, Doors& doors);
  bool IsForUs(const ZmqLink* link, NodeId to) const;

  // --- Sending (zmq_transport.cc) ---
  ZmqLink* PathTo(NodeId to);
  absl::Status SendOn(ZmqLink& link, NodeId to, const AnyMessage& message) {
    return SendAs(link.as, link, to, message);
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
                                    const WireEnds& ends, Hello& hello, Time now);
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
  // Another coordinator than the one that this node takes it for says so.
  void NoteOtherCoordinator(ZmqLink& link, const absl::Status& why);
  void TakeGoodbye(ZmqLink& link, const absl::Status& status, Time now);
  // The rows of a frame. False where they are not what its envelope says: that is counted, the
  // frame is left without rows, and the edge is told of one that it sent itself.
  bool TakeFrame(ZmqSocket& socket, const ZmqSocket::Head& head, Activation& frame);
  absl::Status TakeRows(ZmqSocket& socket, const ZmqSocket::Head& head, Activation& frame);
  void Forward(ZmqSocket& socket, ZmqLink& from, const ZmqSocket::Head& head, const WireEnds& ends,
               Time now);
  void Undeliverable(const ZmqSocket::Head& head);
  // A word of this node on a frame, for the edge that it names.
  void TellEdge(NodeId edge, const AnyMessage& message);

  // --- Nodes behind this one (zmq_behind.cc) ---
  bool IsBehind(NodeId node) const { return parts.behind != nullptr && parts.behind->Owns(node); }
  // Whether a link may bring what `from` says.
  bool MaySpeak(const ZmqLink& link, NodeId from) const;
  void ForwardBehind(ZmqSocket& socket, ZmqLink& from, const ZmqSocket::Head& head, Time now);
  // `link` is to be lost with a word to `other`, which spoke with its node through this one.
  static void RememberSender(ZmqLink& link, NodeId other);
  void Answer(ZmqSocket& socket, ConnectionId connection, NodeId to, const AnyMessage& message);

  ZmqOptions options;
  Parts parts;
  ZmqContext context;
  std::unique_ptr<ZmqGate> gate;  // of a listener with keys
  Time gate_looked{};
  int wake = -1;                                // an eventfd
  std::vector<std::unique_ptr<ZmqDoor>> doors;  // the newest first
  std::optional<Time> door_wanted;              // one could not be opened, since
  bool door_missed = false;                     // and said so
  std::vector<std::unique_ptr<ZmqLink>> links;
  std::vector<std::unique_ptr<ZmqLink>> removed;  // until the next Poll: somebody may hold one
  std::vector<ZmqLink*> dialled;                  // those with a socket of their own
  std::unordered_map<NodeId, ZmqLink*, IdHash> by_node;  // the way to each node with a link
  std::unordered_map<NodeId, ZmqLink*, IdHash> asking;   // Hello came, the loop has not answered
  std::unordered_map<NodeId, Introduced, IdHash> introduced;
  std::vector<ZmqServer> upstreams;  // as options.upstreams; links point there
  ZmqServer relay;
  size_t next_socket = 0;  // where Poll's round goes on
  bool received = false;
  size_t pending_bytes = 0;    // of all links
  RingQueue<Incoming> events;  // for the loop: links that were lost
  WireWriter writer;
  std::unordered_map<NodeId, LinkCounters, IdHash> counted;
  Time not_allowed_said{};          // in the log
  uint64_t not_allowed_unsaid = 0;  // since then
  ZmqCounters counters;
  Time last_tick{};
};

}  // namespace mortar
