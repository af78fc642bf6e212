# What crosses between the nodes of a Mortar cluster, version 1.
#
# This file is the protocol's document: who sends a message, when, who allocates each id, and
# what is lost if the message is lost. docs/protocol.md tells the story; here stands the law.
#
# Rules of evolution: fields and union members are only ever added, at the end, with a default
# that means what their absence meant; none is removed, renumbered or given another meaning.
# tests/data/wire/ holds messages of every released version, and a test reads them all.
#
# Limits (protocol/limits.h) hold at the receiver before anything is allocated: one message part
# of at most 512 KiB, traversal of its own words and one more, nesting of eight, and the bounds
# that stand beside the fields. A message that breaks one is counted and answered with `goodbye`
# or `rejected`; the receiver goes on.
#
# No message has a field for text, token ids, logits or the parameters of a brick: what must not
# cross has no place to cross in.

@0xb7c1e02b6a1f4d93;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("mortar::wire");

struct Frame {
  # Root of every message: the first part on the transport, in Cap'n Proto's standard framing, not
  # packed. `activation` alone has a second part: its rows, n x n_embd little-endian f32, row after
  # row, nothing else. The sizes must agree exactly.
  #
  # A node's id is chosen at random by the node itself at its start. 1 is the coordinator, 0 is
  # nobody, ids below 16 are reserved.

  from @0 :UInt64;
  # The node that made the message. On a direct link it must be the node that said Hello there;
  # a relay checks the same of its own links, so that a node can vouch for nobody but itself.

  to @1 :UInt64;
  # Whom it is for. A node that is not a relay drops what is for somebody else, and counts it.

  union {
    hello @2 :Hello;
    welcome @3 :Welcome;
    nodeStatus @4 :NodeStatus;
    placement @5 :Placement;
    routeRequest @6 :RouteRequest;
    route @7 :Route;
    activation @8 :Envelope;
    needPrefix @9 :NeedPrefix;
    needRoute @10 :StepRef;
    # Worker or relay -> edge: no node on this route hosts these layers (any more), or it cannot
    # be reached. The edge asks for a new route under the next epoch. Lost: the edge's deadline.
    rejected @11 :Rejected;
    end @12 :SessionRef;
    # Edge -> every hop: the generation is over. Pages are freed and zeroed. Lost: the worker
    # frees the session by itself after ten minutes of silence.
    cancel @13 :SessionRef;
    # The same for a generation that was given up.
    goodbye @14 :Goodbye;
    alive @15 :Void;
    # Both ends of every link, each second, sent by the loop and not by the transport's thread: a
    # node that hears nothing for five seconds takes the link for dead.
    ended @16 :Ended;
  }
}

struct SessionId {
  # 128 random bits, allocated by the coordinator for each route, never used again.
  low @0 :UInt64;
  high @1 :UInt64;
}

struct LayerRange {
  # Whole layers, half open: [begin, end). Empty when begin = end.
  begin @0 :Int32;
  end @1 :Int32;
}

struct Status {
  # Codes are those of google.rpc.Code; 0 is OK. Text for people, at most 1,024 bytes.
  code @0 :UInt16;
  message @1 :Text;
}

struct ModelId {
  # Two nodes mean the same model when all fields agree. Absent at a relay, which has none.
  name @0 :Text;     # at most 256 bytes
  digest @1 :Data;   # SHA-256 over the digests of its bricks, 32 bytes
  layers @2 :Int32;
  width @3 :Int32;   # n_embd
}

struct LayerBrick {
  layers @0 :LayerRange;
  digest @1 :Data;        # SHA-256, 32 bytes
  weightBytes @2 :UInt64;
  private @3 :Bool;       # a worker refuses to host it
}

enum Role {
  coordinator @0;
  worker @1;
  edge @2;
  relay @3;
}

struct Hello {
  # First on every link, by the node that dialled; again each second until it is answered.
  # Answer: `welcome`, or `goodbye` with the reason (version, contract, model, role, name).
  version @0 :UInt32;    # of this protocol; both must be equal
  features @1 :UInt64;   # bits that the sender has; none are defined yet
  contract @2 :Text;     # of arithmetic (docs/numerics.md), e.g. "N1"; at most 16 bytes
  role @3 :Role;
  name @4 :Text;         # for people, at most 64 bytes
  model @5 :ModelId;
  endpoint @6 :Text;     # where this node can be dialled; empty: nowhere. At most 256 bytes
}

struct Welcome {
  # The answer to `hello`. Lost: the other says Hello again.
  version @0 :UInt32;
  features @1 :UInt64;           # those that both ends have
  contract @2 :Text;
  statusIntervalMs @3 :UInt32;   # from the coordinator: how often it wants `nodeStatus`
}

enum LoadPhase {
  none @0;
  loading @1;
  ready @2;
  failed @3;
}

struct NodeStatus {
  # Node -> coordinator, every status interval and at once when something changed. Whole: a lost
  # one is replaced by the next. An edge says which layers it keeps and nothing of the bricks
  # that it hosts.
  role @0 :Role;
  bricks @1 :List(LayerBrick);   # worker: public layers that it can load; at most 4,096
  layersOnly @2 :LayerRange;     # worker: hosts these and no others; empty: any
  placement @3 :UInt64;          # the newest Placement that it knows; 0: none
  phase @4 :LoadPhase;
  loadStatus @5 :Status;         # why, when the phase is `failed`
  sessions @6 :UInt32;
  kvPositionsFree @7 :UInt32;
  rowsQueued @8 :UInt32;
  frontLayers @9 :Int32;         # edge: keeps [0, front) and [n_layers - back, n_layers)
  backLayers @10 :Int32;
}

struct Placement {
  # Coordinator -> worker: host these layers and drop others. Ids are the coordinator's and grow.
  # Lost: sent again each second while the worker's status names an older one. A worker refuses a
  # private brick, and bricks that are not in its file.
  id @0 :UInt64;
  model @1 :ModelId;
  layers @2 :LayerRange;         # empty: host nothing
  bricks @3 :List(LayerBrick);   # at most 4,096
  next @4 :UInt64;               # the node that gets this worker's rows; 0: the edge
  nextEndpoint @5 :Text;         # where it can be dialled; empty: through a relay
}

struct RouteRequest {
  # Edge -> coordinator, once a generation, again every two seconds until it is answered, and when
  # a route fails. `request` is the edge's number for it.
  request @0 :UInt64;
  model @1 :ModelId;
  frontLayers @2 :Int32;
  backLayers @3 :Int32;
  positionsMax @4 :UInt32;   # the longest that this session may become
}

struct Hop {
  node @0 :UInt64;
  name @1 :Text;
  layers @2 :LayerRange;
  bricks @3 :List(Data);    # digest of each layer brick, ascending
  endpoint @4 :Text;        # where it can be dialled; empty: through a relay
}

struct RouteGrant {
  session @0 :SessionId;
  edge @1 :UInt64;
  model @2 :ModelId;
  hops @3 :List(Hop);             # in the order of layers, at most 8; none: the edge hosts all
  contract @4 :Text;
  positionsMax @5 :UInt32;        # quota: positions of KV at each hop
  framesInFlightMax @6 :UInt32;
  rowBytesInFlightMax @7 :UInt64;
  lifetimeMs @8 :UInt64;          # from its receipt
}

struct Route {
  # Coordinator -> edge: the answer to `routeRequest`: a grant, or why there is none.
  request @0 :UInt64;
  status @1 :Status;
  grant @2 :RouteGrant;   # when the status is OK
}

enum RowsWanted {
  none @0;
  last @1;
  all @2;
}

struct Envelope {
  # Hop -> next hop, and last hop -> edge; the rows follow as a part of their own. Every frame is
  # answered, by rows or by an empty frame: that answer is the credit for another. Lost: the edge's
  # deadline for the step passes, and it sends again under the next epoch.
  session @0 :SessionId;
  edge @1 :UInt64;            # owner of the session; gets all answers
  step @2 :UInt64;            # the edge's; grows with each frame, resends included
  epoch @3 :UInt32;           # the edge's; grows with each retry and each new route
  base @4 :UInt32;            # position of the first row
  n @5 :UInt32;               # rows; 0 in an empty answer alone
  rowsWanted @6 :RowsWanted;  # which rows the last hop sends back
  flags @7 :UInt16;           # bit 0: answer; a node refuses bits that it does not know
  hops @8 :List(UInt64);      # after the receiver, the next one first; at most 7
}

struct SessionRef {
  session @0 :SessionId;
}

struct StepRef {
  session @0 :SessionId;
  epoch @1 :UInt32;
  step @2 :UInt64;
}

struct NeedPrefix {
  # Worker -> edge: the frame begins after what the worker has; nothing was applied. The edge goes
  # on from `have` under the next epoch. Lost: the edge's deadline.
  step @0 :StepRef;
  have @1 :UInt32;   # positions that the worker holds
}

struct Rejected {
  # Worker -> edge: the frame broke a rule or a limit; nothing was applied.
  step @0 :StepRef;
  status @1 :Status;
}

struct Ended {
  # Worker -> edge: the answer to `end` and `cancel`: what it sent on for this session, as handed to
  # the transport. For the edge's figures; lost, they have a gap.
  session @0 :SessionId;
  frames @1 :UInt64;
  bytes @2 :UInt64;
  rows @3 :UInt64;
}

struct Goodbye {
  # A node leaves, or is refused, or is unknown. UNAVAILABLE: say Hello (again); any other code: do
  # not. Lost: silence says the same after five seconds.
  status @0 :Status;
}
