// Nodes in processes of their own: ZeroMQ between them.
//
// A node dials its coordinators, one or two, and optionally a relay, and may listen itself. It
// reaches another node over the first of these that is open:
//
//   1. a direct link: one that it dialled because somebody told it where the node listens
//      (Introduce), or one that the node dialled here;
//   2. its relay's link, 3. its first coordinator's, 4. its second's: whoever is there forwards by
//      `to` alone. A coordinator itself is reached over its own link and no other.
//
// A link is open once Hello was answered by Welcome; before, and after it was lost, frames take the
// next way. Both ends say Alive each second from the loop itself, so that a node whose loop stands
// still counts as gone although its I/O thread still answers. A link that carried rows lately
// (kWatchedFor) is watched: a session waits there; a direct one also when it was opened, or carried
// a session's key. Both ends then say it five times a second, and silence ends it sooner.
//
//   event at a link                       | becomes
//   --------------------------------------+------------------------------------------------------
//   dialled, ZeroMQ has greeted           | Hello, each kHelloInterval (to the coordinator: the
//                                         | loop's own)
//   dialled, no Welcome within kDialMax   | given up; told where again, it is tried again
//   Hello on the listener, agrees         | open; answered, or at a coordinator given to the loop
//   Hello that does not agree, or under   | Goodbye with the reason
//   an id whose connection still stands   |
//   Hello whose key or id is not what its | Goodbye(PERMISSION_DENIED), counted
//   connection proved, or with a role     |
//   that the key is not allowed           |
//   a key that is taken off the list      | its links are closed with Goodbye(PERMISSION_DENIED):
//                                         | its next frame is a stranger's. A coordinator says so
//                                         | to all its members, in the node's name
//   such a Goodbye of another node, from  | the link to it is closed; the loop hears it
//   the coordinator                       |
//   Hello to another coordinator than the | Goodbye(INVALID_ARGUMENT): endpoints stand in another
//   one that it came to                   | order at the sender
//   anything else before Hello            | Goodbye(UNAVAILABLE), counted
//   a message in another's name           | dropped and counted; a relay brings none to its
//                                         | coordinator itself
//   bytes that are no message             | Goodbye(INVALID_ARGUMENT), counted
//   a frame whose rows do not fit         | Rejected to its edge, counted
//   an answer whose rows do not fit       | given to the loop without them, counted
//   connection gone, or silent for        | closed; the loop gets Goodbye(UNAVAILABLE) from the
//   kStatusAgeMax, while it is watched    | node, as if it had said so, and from every node that
//   for kWatchedSilenceMax                | was reached through it
//   other doors of a server (Doors)       | the first is dialled, and the link moves there: both
//                                         | are open meanwhile, and nothing is lost
//   Hello of a node that has a link, by   | open, in the place of the other one, which is read for
//   the same key                          | kDrainAccepted
//   a message for another, at a relay     | forwarded unread; a frame that cannot be is answered
//                                         | by NeedRoute to its edge
//   the same for a node behind (NodesBe-  | read, and handed on as a whole; bytes that are none are
//   hind): rank 0 of an MPI job           | counted, as above, and never get there
//   anything in the name of such a node   | dropped and counted, also from a relay; a Hello is
//                                         | refused
//
// With keys all links are encrypted (CURVE, zmq_socket.h), and nobody is spoken with who has not
// proved a key: a listener lets in the keys of its allow-list, whoever dials knows the key that
// the other end must have. A node's id is then a hash of its key (NodeIdOf), so that nobody else
// can take it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/counts.h"
#include "common/log.h"
#include "protocol/allow_list.h"
#include "protocol/keys.h"
#include "protocol/nodes_behind.h"
#include "protocol/rows.h"
#include "protocol/transport.h"

namespace mortar {

// A pair that a node is about to take on, and where it listens with it until then.
struct NextKeys {
  std::string listen;
  KeyPair keys;
};

// What a node's key files hold now.
struct NodeKeys {
  KeyPair own;
  std::optional<NextKeys> next{};
};

struct ZmqOptions {
  NodeId self{};
  Hello card{};          // said on links that this node dials; its endpoint is filled in
  std::string listen{};  // "tcp://127.0.0.1:0"; empty: does not listen
  // Of its coordinators, CoordinatorNode(0) first; empty at a coordinator itself.
  std::vector<std::string> upstreams{};
  std::string relay{};      // a relay to prefer over the coordinator; empty: none
  std::string advertise{};  // said in Hello instead of where it listens: where others reach it
  bool direct = true;       // dials nodes where they are said to listen
  bool insecure = false;    // also where that is not this machine
  bool forwards = false;    // between its links, for others: a coordinator, a relay
  bool members = false;     // gives each Hello to the loop, which answers it: a coordinator
  std::optional<KeyPair> keys{};         // of this node; absent: links without encryption
  std::optional<NextKeys> next{};        // of a listener: another door
  std::vector<PublicKey> server_keys{};  // that the coordinators may have, one at least
  std::vector<PublicKey> relay_keys{};   // the same of the relay
  AllowList allowed{};                   // who may dial this node, until another list comes
  // Asked ten times a second: the list when it is another one. Empty: it stays.
  std::function<std::optional<AllowList>()> new_list{};
  // The same of keys. Of a node whose id does not matter to sessions: a coordinator, a relay.
  std::function<std::optional<NodeKeys>()> new_keys{};
};

// Draws the node's id, with keys one that is theirs alone, and says it on the card.
void ChooseId(ZmqOptions& options, RandomSource& random);

struct ZmqCounters {
  uint64_t malformed = 0;    // no message of this protocol, or rows that do not fit
  uint64_t strangers = 0;    // before Hello
  uint64_t impostors = 0;    // in the name of another node
  uint64_t misdirected = 0;  // for another node, at a node that does not forward
  uint64_t not_allowed = 0;  // connections and Hellos of keys that are not on the list
  // Of these:
  uint64_t wrong_sizes = 0;  // of `malformed`: rows of other sizes than their envelope says
  uint64_t forged_ids = 0;   // of `not_allowed`: ids that are not the key's
  uint64_t wrong_roles = 0;  // of `not_allowed`: keys of the list, as what they are not on it
  uint64_t revoked = 0;      // of `not_allowed`: links of keys that were taken off the list
  // Besides:
  uint64_t other_terms = 0;  // Hellos of another version, contract or model
  uint64_t queues_full = 0;  // messages for peers that take too little, or none
  uint64_t forwarded = 0;
  uint64_t undeliverable = 0;
  uint64_t dialled = 0;
  uint64_t links_lost = 0;
};

// What was refused, by reason; each refusal once.
Counts RefusalsOf(const ZmqCounters& counters);

class ZmqTransport final : public Transport {
 public:
  // All of these outlive the transport. Unavailable: a port in use, and which; InvalidArgument: an
  // endpoint that is none.
  struct Parts {
    const Clock& clock;
    const Logger& log;
    RowsPool& pool;
    // Nodes that a coordinator reaches in another way, and forwards to. The card's model says how
    // wide rows for them are. Null: none.
    NodesBehind* behind = nullptr;
  };
  static absl::StatusOr<std::unique_ptr<ZmqTransport>> Create(ZmqOptions options, Parts parts);
  ~ZmqTransport() override;

  NodeId self() const override;
  absl::Status Send(NodeId to, AnyMessage message) override;
  std::optional<Incoming> Poll() override;
  std::vector<LinkCounters> Links() const override;
  size_t BytesOf(const Activation& frame) const override;
  std::string endpoint() const override;
  void Introduce(const Introduction& peer) override;

  // Who may dial this node from now on. Links of keys that may not any more are closed.
  void Allow(AllowList allowed);

  // In the name of a node behind this one, to a node that has a link here. As Send; of a frame that
  // cannot be delivered its edge hears.
  absl::Status Forward(NodeId from, NodeId to, const AnyMessage& message);
  // This node's keys, by which its links are made from now on, and where it listens besides.
  void TakeKeys(NodeKeys keys);
  // Its own pair; null: it has none.
  const KeyPair* keys() const;

  // Sleeps until a message comes, something happens to a link whose Hello waits for a greeting,
  // Wake was called or `longest` is over, in whole milliseconds: false. After Poll.
  bool Wait(Duration longest);
  // From any thread, also while another is in Wait.
  void Wake();

  // OK while a coordinator is there; else what stands in the way, for the person who waits: a
  // refusal when all have refused, and of those that have not the first one's reason.
  absl::Status UpstreamStatus() const;
  int coordinators() const;  // that it dials: CoordinatorNode(0) and on
  // Not OK once all coordinators have turned this node away, each at all its doors: nothing will
  // come of waiting. It is tried on all the same.
  absl::Status TurnedAway() const;
  bool IsDirect(NodeId node) const;  // there is an open link to it
  const ZmqCounters& counters() const;

 private:
  struct State;
  explicit ZmqTransport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mortar
