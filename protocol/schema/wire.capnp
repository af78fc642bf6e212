# What crosses between the nodes of a Mortar cluster, version 1.
#
# This file is the protocol's document: who sends a message, when, who allocates each id, and
# what is lost if the message is lost. docs/protocol.md tells the story; here stands the law.
#
# "Since 1" is the version of the protocol in which a message or a field first appeared. A field
# without one is as old as its message. "Deadline" is the edge's for a frame that nothing answered,
# 30 s: then it sends the rows again under the next epoch, every third time in a row on a new route.
#
# Rules of evolution: fields and union members are only ever added, at the end, with a default
# that means what their absence meant; none is removed, renumbered or given another meaning.
# tests/data/wire/ holds messages of every released version, and a test reads them all.
#
# Limits (protocol/limits.h) hold at the receiver before anything is allocated: one message part
# of at most 512 KiB, traversal of its own words and one more, nesting of eight, and the bounds
# that stand beside the fields. A message that breaks one is counted and answered with `goodbye`
# or `rejected`, unless a relay brought it, which has no part in it; the receiver goes on.
#
# No message has a field for text, token ids or logits: what must not cross has no place to cross
# in. Of bricks the public ones alone cross, in `brickChunk`.

@0xb7c1e02b6a1f4d93;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("mortar::wire");

struct Frame {
  # Root of every message: the first part on the transport, in Cap'n Proto's standard framing, not
  # packed. `activation` alone has a second part: its rows, n x n_embd little-endian f32, row after
  # row, nothing else. The sizes must agree exactly.
  #
  # A node's id is chosen at random by the node itself at its start and kept until its end. 1 is the
  # coordinator, ids below 16 are reserved. Since 1.

  from @0 :UInt64;
  # The node that made the message; of a relay's `goodbye`, the node that is gone. On a direct link
  # it must be the node that said Hello there; a relay checks the same of its own links, so that a
  # node can vouch for nobody but itself.

  to @1 :UInt64;
  # Whom it is for. 0: whoever reads it at the other end of this link, since the sender knows no id:
  # `hello` to a relay, and `goodbye` after bytes that were no message. A coordinator and a relay
  # forward what is for another node, never 0; every other node drops it and counts it.

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
    # Worker -> edge: it hosts no layers, or loads them; relay or coordinator -> edge: the next hop
    # cannot be reached, or its queue is full. Nothing was applied. The edge asks for a new route
    # under the next epoch. Lost: the deadline. Since 1.
    rejected @11 :Rejected;
    end @12 :SessionRef;
    # Edge -> every hop, when a generation is over. Pages are freed and zeroed; answered by `ended`.
    # Heeded from the session's edge alone. Lost: the worker keeps the place and the pages until it
    # hears that the edge is gone, else for ten minutes of silence. Since 1.
    cancel @13 :SessionRef;
    # Edge -> every hop, when a generation is given up or has failed, and to the hops of a route
    # that it leaves for another. Answered and lost as `end`. Since 1.
    goodbye @14 :Goodbye;
    alive @15 :Void;
    # Both ends of every open link, each second, and each 0.2 s for 12 s after rows, sent by the
    # loop and not by the transport's thread: a node that hears nothing for five seconds, or for one
    # within 10 s of rows, takes the link for dead. A coordinator to a worker that an edge missed:
    # sending shows whether its connection stands. Lost: the next one says the same. Since 1.
    ended @16 :Ended;
    open @17 :Open;
    echo @18 :Echo;
    sourcesRequest @19 :Void;
    # Worker -> coordinator, when it needs bricks: before it knows its model, and when bricks of its
    # placement are missing; each second until somebody has them. Answered by `sources`. Lost: said
    # again. Since 1.
    sources @20 :Sources;
    brickRequest @21 :BrickRequest;
    brickChunk @22 :BrickChunk;
    doors @23 :Doors;
  }
}

struct SessionId {
  # 128 random bits, allocated by the coordinator for each route, never used again. Since 1.
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

enum KvFormat {
  f16 @0;
  f32 @1;
  q80 @2;  # blocks of 32 int8 with a scale in f16: Q8_0 of GGUF
}

struct ModelId {
  # Two nodes compute with the same model, bit for bit, when all fields agree. Absent at a relay,
  # which has none.
  name @0 :Text;     # at most 256 bytes
  digest @1 :Data;   # SHA-256 over the digests of its bricks, 32 bytes
  layers @2 :Int32;
  width @3 :Int32;   # n_embd
  kv @4 :KvFormat;   # what keys and values are stored as
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
  # Whoever dialled -> whoever listens: first on every link, and again each second until it is
  # answered, by `welcome`, or by `goodbye` with the reason (version, contract, model, role, name).
  # Until then everything else on the link is dropped and counted. A worker that has no model yet
  # says none (no layers): it joins to fetch one, and is given no layers until it comes again with
  # it. Lost: said again. Since 1.
  version @0 :UInt32;    # of this protocol; both must be equal
  features @1 :UInt64;   # bits that the sender has. Bit 0: routes are signed and shown, and what
                         # edge and hop say to one another is sealed. Nodes with keys refuse one
                         # without it, so that nobody can be talked into less; without keys it says
                         # nothing
  contract @2 :Text;     # of arithmetic (docs/numerics.md), e.g. "N1"; at most 16 bytes
  role @3 :Role;
  name @4 :Text;         # for people, at most 64 bytes
  model @5 :ModelId;
  endpoint @6 :Text;     # where this node can be dialled; empty: nowhere. At most 256 bytes
  key @7 :Data;          # the sender's public key (Curve25519, 32 bytes), the one that it proved to
                         # the transport; absent: links without keys. Of a rank of an MPI job the
                         # one that it says it has: MPI knows who speaks
  instance @8 :UInt64;   # drawn at its start; with a key, `from` is the hash of both, but for a rank,
                         # whose id follows from its number
                         # (protocol/keys.h)
}

struct Welcome {
  # Whoever listens -> whoever dialled: the answer to `hello`; the link is open. Lost: the other
  # says Hello again. Since 1.
  version @0 :UInt32;
  features @1 :UInt64;           # those that both ends have
  contract @2 :Text;
  statusIntervalMs @3 :UInt32;   # how often a coordinator wants `nodeStatus`; heeded from it alone
  signer @4 :Data;               # of a coordinator with keys: the Ed25519 key that it signs routes
                                 # with, 32 bytes. Heeded on the link that proved the coordinator's
                                 # own key
}

enum LoadPhase {
  none @0;
  loading @1;
  ready @2;
  failed @3;
}

struct NodeStatus {
  # Worker or edge -> coordinator, every status interval; a worker also at once when something
  # changed. An edge says which layers it keeps and nothing of the bricks that it hosts. Lost: each
  # is whole, so the next one replaces it; after five seconds without one the node is no member.
  # Since 1.
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
  positionsMax @11 :UInt32;      # worker: that one session may have there; 0: not said
  nsPerByte @12 :Float64;        # time of a token for each byte of weights that it reads there, as
                                 # measured: a worker by a probe at its start, both by what they
                                 # computed since; finite, at most 10^6; 0: not said
  roundTripNs @13 :UInt64;       # to the coordinator and back, as measured; 0: not said
  memoryBytes @14 :UInt64;       # worker: what it has for weights and KV; 0: not said
  kvBytesPerLayer @15 :UInt64;   # worker: what the KV of all sessions that it admits takes in each
                                 # layer that it hosts
  headBytes @16 :UInt64;         # edge: weights that a token reads there beside layers; 0: not said
  stamp @17 :UInt64;             # of the sender's own clock; not 0: answered by `echo`
  outline @18 :Data;             # SHA-256 of the outline that it has of its model, 32 bytes: it
                                 # sends public bricks to whoever asks for one; absent: it sends
                                 # none
  fetches @19 :Bool;             # worker: bricks that it lists and has not hosted yet come over links
                                 # first
  obeys @20 :UInt64;             # worker: node id of the coordinator whose placements it takes; 0:
                                 # not said, of the only one that it knows
  hosted @21 :LayerRange;        # worker: the layers that it serves, whoever placed them: what
                                 # another coordinator goes on with; empty: none, or not said
  padding @22 :Data;             # with a stamp: as many bytes as a position's row has, so that the
                                 # round trip is that of a token; at most that many. What they are
                                 # says nothing
}

struct Echo {
  # Coordinator -> whoever sent a `nodeStatus` with a stamp, at once: the stamp. What passed between
  # is the sender's round trip. Lost: the next stamp is answered. Since 1.
  stamp @0 :UInt64;
  padding @1 :Data;              # as many bytes as that status had
}

struct Placement {
  # Coordinator -> worker, when layers were placed or placed anew: host these and drop others. The
  # worker ends its sessions. It refuses a private brick, and bricks that are not in its file; its
  # status says so. Ids are the coordinator's, whose index is their highest byte, and grow; they begin
  # anew when it starts again, and a worker forgets the old ones when it is told to say Hello, or
  # obeys another. Of the one that it does not obey it takes none. Lost: sent again each second while the
  # worker's status names another one. Since 1.
  id @0 :UInt64;
  model @1 :ModelId;
  layers @2 :LayerRange;         # empty: host nothing
  bricks @3 :List(LayerBrick);   # at most 4,096
  next @4 :UInt64;               # the node that gets this worker's rows; 0: the edge
  nextEndpoint @5 :Text;         # where it can be dialled; empty: through a relay
  nextKey @6 :Data;              # its public key, 32 bytes; absent: links without keys
  nextOthers @7 :List(NextHop);  # replicas of `next`, at most 32: each frame names who gets its
                                 # rows
}

struct NextHop {
  node @0 :UInt64;
  endpoint @1 :Text;        # where it can be dialled; empty: through a relay
  key @2 :Data;             # its public key, 32 bytes; absent: links without keys
}

struct RouteRequest {
  # Edge -> coordinator, once a generation and each time that a route fails. `request` is allocated
  # by the edge and counts up. Lost: repeated every two seconds until it is answered; the
  # coordinator keeps a repeated one in its place, and to one of no member answers
  # Goodbye(UNAVAILABLE): after its Welcome the edge asks again at once. It gives up 35 s after it
  # first might have asked, or computes the layers itself after 5 s. Since 1.
  request @0 :UInt64;
  model @1 :ModelId;
  frontLayers @2 :Int32;
  backLayers @3 :Int32;
  positionsMax @4 :UInt32;   # the longest that this session may become
  missed @5 :List(UInt64);   # hops of the route that the edge leaves, whose link or answer it
                             # missed; at most 8. Of those that it granted this edge lately the
                             # coordinator asks each, at most once a second, grants the edge no route
                             # over it before it has heard from it again, and counts it as lost after
                             # 1 s of silence since. A host that was not missed comes first. None:
                             # not said
}

struct Hop {
  node @0 :UInt64;
  name @1 :Text;
  layers @2 :LayerRange;
  bricks @3 :List(Data);    # digest of each layer brick, ascending
  endpoint @4 :Text;        # where it can be dialled; empty: through a relay
  key @5 :Data;             # its public key, 32 bytes; absent: links without keys
}

struct RouteGrant {
  # With keys it is signed by its coordinator, and each hop is shown what was signed
  # (protocol/grant.h): all but the names, endpoints and bricks of hops and the model's name.
  # Since 1.
  session @0 :SessionId;
  edge @1 :UInt64;
  model @2 :ModelId;
  hops @3 :List(Hop);             # in the order of layers, at most 8; none: the edge hosts all
  contract @4 :Text;
  positionsMax @5 :UInt32;        # quota: positions of KV at each hop
  framesInFlightMax @6 :UInt32;
  rowBytesInFlightMax @7 :UInt64;
  lifetimeMs @8 :UInt64;          # from its receipt
  edgeKey @9 :Data;               # the edge's public key, 32 bytes; absent: links without keys
  expiresMs @10 :UInt64;          # since 1970; no hop begins a session after it. 0: links without
                                  # keys
  signature @11 :Data;            # Ed25519, 64 bytes; absent: links without keys
}

struct Route {
  # Coordinator -> edge: the answer to `routeRequest`, once every hop is ready: a grant, or after at
  # most 30 s why there is none; RESOURCE_EXHAUSTED: the edge asks again after 0.5 s. Lost: the edge
  # asks again and gets another session's id; the first was told to nobody, so nothing is held for
  # it. Since 1.
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
  # Edge -> first hop -> ... -> last hop -> edge, once a step; the rows follow as a part of their
  # own. Every frame is answered, by rows or by an empty frame: that answer is the credit for
  # another. Epoch and step are the edge's. Lost at any hop: the deadline. Between nodes with keys
  # it is sealed by its sender: the rows are ChaCha20-Poly1305 (RFC 8439) under a key of session and
  # sender, the step as nonce, all fields but the tag as associated data (protocol/seal.h); a node
  # with keys drops and counts what is not, and to a session whose key it lacks answers NeedPrefix.
  # Since 1.
  session @0 :SessionId;
  edge @1 :UInt64;            # owner of the session; gets all answers
  step @2 :UInt64;            # the edge's; grows with each frame, resends included
  epoch @3 :UInt32;           # the edge's; grows with each retry and each new route
  base @4 :UInt32;            # position of the first row
  n @5 :UInt32;               # rows; 0 in an empty answer alone
  rowsWanted @6 :RowsWanted;  # which rows the last hop sends back
  flags @7 :UInt16;           # bit 0: answer, 1: sealed; a node refuses bits that it does not know
  hops @8 :List(UInt64);      # after the receiver, the next one first; at most 7
  inputOf @9 :UInt16;         # the rows are the input of layer inputOf - 1; a worker whose layers
                              # begin elsewhere answers NeedRoute: its placement is another one by
                              # now. 0: not said, by a sender from before this field
  seal @10 :Data;             # the tag of a sealed frame, 16 bytes
}

struct Open {
  # Edge -> every hop, where nodes have keys: when a route was granted, and again with each epoch.
  # The session's key, drawn by the edge, in a box that the hop alone can open. A hop keeps it for
  # the edge whose link brought it, 64 for one edge and 4,096 in all, until the session begins and
  # ends. Lost: the hop answers NeedPrefix to the first frame. Since 1.
  #
  # A hop takes the key when the grant is signed by a coordinator that welcomed it, has not expired,
  # names the hop, the layers that it hosts and this edge, and `seal` is made with the edge's key.
  # Otherwise nothing of the session is taken; where the seal is good the hop answers NeedRoute.
  session @0 :SessionId;
  key @1 :Data;            # 80 bytes: libsodium's sealed box of 32
  grant @2 :RouteGrant;    # as it was signed; empty lists of bricks, no names, no endpoints
  epoch @3 :UInt32;        # the edge's, now
  step @4 :UInt64;         # of a frame that this hop could not read for want of the key: it answers
                           # `needPrefix`. 0: none
  seal @5 :Data;           # 16 bytes, under a key that edge and hop alone can make of their own two
}

struct SessionRef {
  session @0 :SessionId;
  seal @1 :Data;   # as StepRef's
}

struct StepRef {
  session @0 :SessionId;
  epoch @1 :UInt32;
  step @2 :UInt64;
  seal @3 :Data;   # between nodes with keys, 16 bytes over the whole message, made with the
                   # sender's key of the session (protocol/seal.h). Absent from who has no such key:
                   # below
}

# Between nodes with keys `end`, `cancel`, `needPrefix`, `needRoute`, `rejected` and `ended` are
# sealed by their sender, and one with a seal that is not his is dropped and counted. Without a seal
# are heeded: `needPrefix`, as the question for a session's key: the edge sends `open` again to that
# hop, at most eight times an epoch, and nothing else; `needRoute` of a node that is no hop of the
# route: a relay cannot deliver. Everything else without a seal is dropped and counted.

struct NeedPrefix {
  # Worker -> edge: the frame begins after what the worker has; nothing was applied. The edge goes
  # on from `have` under the next epoch. Lost: the deadline. Since 1.
  step @0 :StepRef;
  have @1 :UInt32;   # positions that the worker holds
}

struct Rejected {
  # Worker -> edge: the frame broke a rule or a limit; nothing was applied. RESOURCE_EXHAUSTED: the
  # worker has no room now, and the edge tries again after 50 ms, doubled each time; other codes end
  # the generation, and so does the sixth time in a row, unless the edge computes the layers itself.
  # Lost: the deadline. Since 1.
  step @0 :StepRef;
  status @1 :Status;
}

struct Ended {
  # Worker -> edge: the answer to `end` and `cancel` of a session that it has: what it sent on for
  # it, as handed to the transport, and how long the batches took that had frames of it, in ns, at
  # most 2^63 - 1. Lost: the edge waits a second for it, and its figures have a gap. Since 1.
  session @0 :SessionId;
  frames @1 :UInt64;
  bytes @2 :UInt64;
  rows @3 :UInt64;
  computeNs @4 :UInt64;
  seal @5 :Data;   # as StepRef's
}

struct Goodbye {
  # Worker, edge or relay -> coordinator: it leaves. Anybody -> whoever said something on a link:
  # refused, or unknown there. Relay or coordinator, in the name of a node whose link it lost ->
  # those whose messages it forwarded there; with PERMISSION_DENIED, of a node whose key was revoked
  # -> all members, who close their links to it. UNAVAILABLE: say Hello (again); any other code: do
  # not. A coordinator that ends says nothing: its members see the connection go; only rank 0 of an
  # MPI job tells the edges outside of it, with another code, since nobody takes its place. Lost: a
  # connection that is gone, or five seconds of silence, say the same. Since 1.
  status @0 :Status;
}

struct BrickSource {
  node @0 :UInt64;
  endpoint @1 :Text;   # where it can be dialled; empty: through a relay
  key @2 :Data;        # its public key, 32 bytes; absent: links without keys
}

struct Sources {
  # Coordinator -> worker: the answer to `sourcesRequest`. Which model the cluster has, what names
  # its outline (the header of its file, its tensors and the digests of its bricks:
  # engine/brick/outline.h) and who has that outline too. No layers in the model: nobody has said
  # yet. Lost: asked again. Since 1.
  model @0 :ModelId;
  outline @1 :Data;                # SHA-256, 32 bytes; absent: no node has one
  nodes @2 :List(BrickSource);     # at most 16
}

struct BrickRequest {
  # Worker -> any worker or edge that has the cluster's outline: bytes [offset, offset + length) of
  # a public brick, or of the outline. At most four of one node wait for their answers. Answered by
  # `brickChunk`. Lost: after five seconds without a chunk another node is asked for the rest.
  # Since 1.
  digest @0 :Data;     # SHA-256 of the brick, 32 bytes
  offset @1 :UInt64;
  length @2 :UInt32;   # at most 65,536; less comes at the brick's end alone
}

struct BrickChunk {
  # The answer to `brickRequest`: the bytes, or why there are none. NOT_FOUND: this node does not
  # have the brick, or it is private; RESOURCE_EXHAUSTED: it has enough to send now, ask again after
  # a second. What came is trusted when the whole brick has the digest, and not before. Lost: as
  # `brickRequest`. Since 1.
  digest @0 :Data;
  offset @1 :UInt64;
  total @2 :UInt64;    # bytes of the whole brick
  bytes @3 :Data;      # at most 65,536
  status @4 :Status;
}

struct Door {
  endpoint @0 :Text;   # where its listener is, at most 256 bytes
  key @1 :Data;        # that it proves there, 32 bytes
  signer @2 :Data;     # of a coordinator, 32 bytes: what it signs routes with while it has that key
}

struct Doors {
  # Coordinator or relay -> whoever dialled it, each for itself alone: all places where it listens,
  # with the key of each; the one to prefer comes first. Said behind `welcome` when there are
  # several, and to all when they change: it has a new key, or an old one is about to end. Whoever
  # hears it dials the first, says `hello` there under its old id, and leaves the other link once it
  # is welcomed; meanwhile both are open. It takes routes of all these signers, so that none is
  # strange when the key that signs changes. Links with keys alone. Lost: it stays until its door
  # closes, and then tries the endpoints and keys that it was started with. Since 1.
  doors @0 :List(Door);   # one at least, at most 4
}
