// What nodes say to one another, as plain values. Who sends each, when, and what is lost if it
// is lost stands in schema/wire.capnp, which is the protocol's document; wire.h turns one into
// the other.
//
// No message has a field for text, token ids or logits: what must not cross has no place to cross
// in. Of bricks the public ones alone cross, in BrickChunk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/digest.h"
#include "common/layer_range.h"
#include "common/sensitivity.h"
#include "common/status.h"
#include "protocol/envelope.h"
#include "protocol/ids.h"
#include "protocol/keys.h"
#include "protocol/rows.h"

namespace mortar {

enum class Role : uint8_t { kCoordinator = 0, kWorker = 1, kEdge = 2, kRelay = 3 };
inline const char* Name(Role role) {
  constexpr const char* kNames[] = {"coordinator", "worker", "edge", "relay"};
  return kNames[static_cast<int>(role)];
}

// What keys and values are stored as.
enum class KvFormat : uint8_t { kF16 = 0, kF32 = 1, kQ80 = 2 };
inline const char* Name(KvFormat format) {
  constexpr const char* kNames[] = {"f16", "f32", "q8_0"};
  return kNames[static_cast<int>(format)];
}

// Where a node listens: told by a coordinator, and left by a loop's apply for the transport.
struct Introduction {
  NodeId node;
  std::string endpoint;  // empty: it is reached through a relay
  PublicKey key{};       // that it must prove; empty: has none
  bool operator==(const Introduction&) const = default;
};

// Which model a node speaks of: two nodes compute with the same one when all fields agree.
struct ModelId {
  std::string name;
  Digest digest;  // of its bricks' digests, in their order
  int n_layers = 0;
  int n_embd = 0;
  KvFormat kv = KvFormat::kF16;
  bool operator==(const ModelId&) const = default;
};

// A run of whole layers as a brick that can be hosted.
struct LayerBrick {
  LayerRange layers;
  Digest digest;
  uint64_t weight_bytes = 0;
  Sensitivity sensitivity = Sensitivity::kPublic;
  bool operator==(const LayerBrick&) const = default;
};

// Bits of `features`.
inline constexpr uint64_t kFeatureGrants = 1;  // routes are signed, what edge and hop say is sealed
inline constexpr uint64_t kFeatures = kFeatureGrants;  // that this program has

struct Hello {
  uint32_t version = kProtocolVersion;
  uint64_t features = kFeatures;  // bits that the sender has
  std::string contract = kNumericContract;
  Role role = Role::kWorker;
  std::string name;        // for people; at most kNameBytesMax
  ModelId model{};         // not of a relay
  std::string endpoint{};  // where this node can be dialled; empty: nowhere
  PublicKey key{};         // of the sender, who proved it (zmq_transport.h); empty: has none
  uint64_t instance = 0;   // drawn at its start: with the key it makes the id (NodeIdOf)
  bool operator==(const Hello&) const = default;
};

struct Welcome {
  uint32_t version = kProtocolVersion;
  uint64_t features = kFeatures;  // those that both ends have
  std::string contract = kNumericContract;
  Duration status_interval = kStatusInterval;  // whole milliseconds on the wire
  SignerKey signer{};                          // of a coordinator with keys
  bool operator==(const Welcome&) const = default;
};

enum class LoadPhase : uint8_t { kNone = 0, kLoading = 1, kReady = 2, kFailed = 3 };

// An edge says which layers it keeps and nothing of the bricks it hosts.
struct NodeStatus {
  Role role = Role::kWorker;
  // Worker:
  std::vector<LayerBrick> bricks;  // public layers that it can load
  LayerRange layers_only;          // hosts these and no others; empty: as the coordinator likes
  uint64_t placement = 0;          // the Placement that it speaks of below; 0 before the first
  LoadPhase phase = LoadPhase::kNone;
  absl::Status load_status;  // why, when phase is kFailed
  int sessions = 0;
  int kv_positions_free = 0;
  int rows_queued = 0;
  int positions_max = 0;  // that one session may have; 0: not said
  // Of the model, which it sends with its public bricks to whoever asks; absent: it sends none.
  std::optional<Digest> outline{};
  // Edge:
  int front_layers = 0;  // keeps [0, front) and [n_layers - back, n_layers)
  int back_layers = 0;
  uint64_t head_bytes = 0;  // of weights that a token reads there beside layers; 0: not said
  // Both, measured; 0: not said.
  double ns_per_byte = 0;      // of weights that a token reads; at most kNsPerByteMax
  uint64_t round_trip_ns = 0;  // to the coordinator and back
  // Worker; 0: not said.
  uint64_t memory_bytes = 0;        // for weights and KV
  uint64_t kv_bytes_per_layer = 0;  // of the KV of all sessions that it admits
  bool fetches = false;             // bricks that are not here yet come over links first
  // Whose placements it obeys, and the layers that it serves, whoever placed them; kNoNode, empty:
  // not said, and then it obeys whoever reads this.
  NodeId obeys{};
  LayerRange hosted{};
  // The sender's own clock; the coordinator gives it back in an Echo. 0: it need not.
  uint64_t stamp = 0;
  uint32_t padding = 0;  // bytes that go along with a stamp, and come back: a position's row
  bool operator==(const NodeStatus&) const = default;
};

// The stamp of a NodeStatus, given back at once: what lies between is the round trip.
struct Echo {
  uint64_t stamp = 0;
  uint32_t padding = 0;  // as many bytes as the status had
  bool operator==(const Echo&) const = default;
};

// Host these layers and drop what else was hosted. A worker refuses a private brick.
struct Placement {
  uint64_t id = 0;
  ModelId model;
  LayerRange layers;  // empty: host nothing
  std::vector<LayerBrick> bricks{};
  NodeId next{};                // gets this worker's rows; kNoNode: the edge
  std::string next_endpoint{};  // where it can be dialled; empty: through a relay
  PublicKey next_key{};         // of whoever listens there; empty: has none
  // Others that host the same layers as `next`; each frame names the one that gets its rows. At
  // most kStopHostsMax.
  std::vector<Introduction> next_others{};
  bool operator==(const Placement&) const = default;
};

struct RouteRequest {
  uint64_t request = 0;  // the edge's number for it; comes back in the Route
  ModelId model;
  int front_layers = 0;
  int back_layers = 0;
  int positions_max = 0;         // the longest that this session may become
  std::vector<NodeId> missed{};  // hops that the edge lost; at most kHopsMax
  bool operator==(const RouteRequest&) const = default;
};

struct Hop {
  NodeId node;
  std::string name;
  LayerRange layers;
  std::vector<Digest> bricks{};  // one for each layer brick, ascending
  std::string endpoint{};        // where it can be dialled; empty: through a relay
  PublicKey key{};               // of whoever listens there; empty: has none
  bool operator==(const Hop&) const = default;
};

// What a coordinator grants, whole and as a value: all hops and their replacements follow it.
struct RouteGrant {
  SessionId session;
  NodeId edge;
  ModelId model;
  std::vector<Hop> hops{};  // in the order of layers, at most kHopsMax; empty: the edge hosts all
  std::string contract = kNumericContract;
  int positions_max = 0;  // quota: positions of KV at each hop
  int frames_in_flight_max = kFramesInFlightMax;
  uint64_t row_bytes_in_flight_max = kRowBytesInFlightMax;
  Duration lifetime = kRouteLifetime;  // from its receipt; whole milliseconds on the wire
  // Where nodes have keys (grant.h):
  PublicKey edge_key{};                  // whose holder alone may use it
  CalendarTime expires{};                // no session begins with it later
  std::optional<Signature> signature{};  // over all that a hop is shown
  bool operator==(const RouteGrant&) const = default;
};

// A grant, or why there is none.
struct Route {
  uint64_t request = 0;
  absl::Status status;
  RouteGrant grant{};
  bool operator==(const Route&) const = default;
};

struct Activation {
  Envelope envelope;
  Rows rows;  // [n, n_embd]; none in an empty answer
};

// A `seal`, here and below, says that its sender made the message, where nodes have keys (seal.h).

// The frame begins after what the worker has; nothing was applied. Without a seal: who sends it has
// no key of the session.
struct NeedPrefix {
  SessionId session;
  uint32_t epoch = 0;
  uint64_t step = 0;
  int have = 0;  // positions that the worker holds
  std::optional<SealTag> seal{};
  bool operator==(const NeedPrefix&) const = default;
};

// No node hosts these layers for the session (any more), or it cannot be reached.
struct NeedRoute {
  SessionId session;
  uint32_t epoch = 0;
  uint64_t step = 0;
  std::optional<SealTag> seal{};
  bool operator==(const NeedRoute&) const = default;
};

// The frame broke a rule or a limit; nothing was applied.
struct Rejected {
  SessionId session;
  uint32_t epoch = 0;
  uint64_t step = 0;
  absl::Status status;
  std::optional<SealTag> seal{};
  bool operator==(const Rejected&) const = default;
};

// The generation is over (End) or given up (Cancel).
struct End {
  SessionId session;
  std::optional<SealTag> seal{};
  bool operator==(const End&) const = default;
};
struct Cancel {
  SessionId session;
  std::optional<SealTag> seal{};
  bool operator==(const Cancel&) const = default;
};

// What a worker sent on for a session, as handed to its transport.
struct Ended {
  SessionId session;
  uint64_t frames = 0;
  uint64_t bytes = 0;
  uint64_t rows = 0;
  uint64_t compute_ns = 0;
  std::optional<SealTag> seal{};
  bool operator==(const Ended&) const = default;
};

// kUnavailable: not a member (any more), or gone; say Hello again. Other codes: do not.
struct Goodbye {
  absl::Status status;
  bool operator==(const Goodbye&) const = default;
};

// The session's key, for this hop alone, and why the hop may take it.
struct Open {
  SessionId session;
  SealedKey key{};
  RouteGrant grant{};  // as it was signed: ShownOf (grant.h)
  uint32_t epoch = 0;
  uint64_t step = 0;  // of a frame that the hop could not read; 0: none
  std::optional<SealTag> seal{};
  bool operator==(const Open&) const = default;
};

// The sender's loop turns.
struct Alive {
  bool operator==(const Alive&) const = default;
};

// Who sends bricks of the cluster's model?
struct SourcesRequest {
  bool operator==(const SourcesRequest&) const = default;
};
struct Sources {
  ModelId model{};                    // no layers: no node has said which
  std::optional<Digest> outline{};    // that all of these have; absent: no node has one
  std::vector<Introduction> nodes{};  // at most kBrickSourcesMax
  bool operator==(const Sources&) const = default;
};

// Bytes [offset, offset + length) of a public brick, or of an outline.
struct BrickRequest {
  Digest digest;
  uint64_t offset = 0;
  uint32_t length = 0;  // at most kBrickChunkBytesMax
  bool operator==(const BrickRequest&) const = default;
};
struct BrickChunk {
  Digest digest;
  uint64_t offset = 0;
  uint64_t total = 0;            // bytes of the brick
  std::vector<uint8_t> bytes{};  // none when there is an error
  absl::Status status{};
  bool operator==(const BrickChunk&) const = default;
};

// Where a node listens, and the key that it proves there: what whoever dials it must know.
struct Door {
  std::string endpoint;
  PublicKey key{};     // empty: links without keys
  SignerKey signer{};  // of a coordinator's: what it signs with while that is its key
  bool operator==(const Door&) const = default;
};

// All doors of the sender, to whoever dialled one of them. The first is to be preferred.
struct Doors {
  std::vector<Door> doors{};  // at most kDoorsMax
  bool operator==(const Doors&) const = default;
};

using AnyMessage =
    std::variant<Hello, Welcome, NodeStatus, Placement, RouteRequest, Route, Activation, NeedPrefix,
                 NeedRoute, Rejected, End, Cancel, Goodbye, Alive, Ended, Open, Echo,
                 SourcesRequest, Sources, BrickRequest, BrickChunk, Doors>;

// A message with where it goes, as a loop's apply leaves it to be sent.
struct Outgoing {
  NodeId to;
  AnyMessage message;
  std::optional<SecretKey> seal{};  // what it is to be sealed with (SealMessage)
};

}  // namespace mortar
