#include <algorithm>
#include <cstring>
#include <limits>

#include "protocol/wire.h"
#include "protocol/wire_values.h"

namespace mortar {
namespace {

// Those of values, beside those of messages below.
using mortar::Read;

// Deepest message: Frame, Route, RouteGrant, hops, Hop, bricks, a digest.
constexpr int kNestingMax = 8;

// Status intervals outside would have a node spin, or count as lost between two of them.
constexpr Duration kStatusIntervalMin = std::chrono::milliseconds(10);

// Sizes and times that others add up as floating point: whole numbers are exact up to here.
constexpr uint64_t kStatusNumberMax = uint64_t{1} << 53;

std::string Milliseconds(Duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}

// --- Messages ---

Hello Read(wire::Hello::Reader in) {
  Hello m;
  m.version = in.getVersion();
  m.features = in.getFeatures();
  m.contract = String(in.getContract(), kContractBytesMax, "contract");
  m.role = Enum(in.getRole(), Role::kRelay, "role");
  m.name = String(in.getName(), kNameBytesMax, "node name");
  m.model = Read(in.getModel());
  m.endpoint = String(in.getEndpoint(), kEndpointBytesMax, "endpoint");
  m.key = ReadKey(in.getKey());
  m.instance = in.getInstance();
  return m;
}

SignerKey ReadSigner(capnp::Data::Reader data) {
  SignerKey key;
  if (data.size() > 0) key.bytes = ReadBytes<kKeyBytes>(data, "signing key");
  return key;
}

Welcome Read(wire::Welcome::Reader in) {
  Welcome m;
  m.version = in.getVersion();
  m.features = in.getFeatures();
  m.contract = String(in.getContract(), kContractBytesMax, "contract");
  m.status_interval = std::chrono::milliseconds(in.getStatusIntervalMs());
  if (m.status_interval < kStatusIntervalMin || m.status_interval > kStatusAgeMax) {
    throw Refusal{"status interval of " + std::to_string(in.getStatusIntervalMs()) +
                  " ms, expected " + Milliseconds(kStatusIntervalMin) + " to " +
                  Milliseconds(kStatusAgeMax)};
  }
  m.signer = ReadSigner(in.getSigner());
  return m;
}

NodeStatus Read(wire::NodeStatus::Reader in) {
  NodeStatus m;
  m.role = Enum(in.getRole(), Role::kRelay, "role");
  m.bricks = ReadBricks(in.getBricks());
  m.layers_only = Read(in.getLayersOnly());
  m.placement = in.getPlacement();
  m.phase = Enum(in.getPhase(), LoadPhase::kFailed, "load phase");
  m.load_status = Read(in.getLoadStatus());
  m.sessions = Int(in.getSessions(), "sessions");
  m.kv_positions_free = Int(in.getKvPositionsFree(), "free KV positions");
  m.rows_queued = Int(in.getRowsQueued(), "queued rows");
  m.front_layers = LayerCount(in.getFrontLayers(), "front layers");
  m.back_layers = LayerCount(in.getBackLayers(), "back layers");
  m.positions_max = Int(in.getPositionsMax(), "positions of a session");
  m.ns_per_byte = in.getNsPerByte();
  // Not a number fails both comparisons.
  if (!(m.ns_per_byte >= 0 && m.ns_per_byte <= kNsPerByteMax)) {
    throw Refusal{"time of a byte beyond 0 to 1,000,000 ns"};
  }
  m.round_trip_ns = in.getRoundTripNs();
  m.memory_bytes = in.getMemoryBytes();
  m.kv_bytes_per_layer = in.getKvBytesPerLayer();
  m.head_bytes = in.getHeadBytes();
  if (std::max({m.round_trip_ns, m.memory_bytes, m.kv_bytes_per_layer, m.head_bytes}) >
      kStatusNumberMax) {
    throw Refusal{"a size or a time in a status beyond 2^53"};
  }
  m.stamp = in.getStamp();
  m.padding = Padding(in.getPadding());
  m.fetches = in.getFetches();
  m.obeys = NodeId{in.getObeys()};
  m.hosted = Read(in.getHosted());
  if (in.hasOutline()) m.outline = ReadDigest(in.getOutline());
  return m;
}

Echo Read(wire::Echo::Reader in) { return {in.getStamp(), Padding(in.getPadding())}; }

Placement Read(wire::Placement::Reader in) {
  Placement m;
  m.id = in.getId();
  m.model = Read(in.getModel());
  m.layers = Read(in.getLayers());
  m.bricks = ReadBricks(in.getBricks());
  m.next = NodeId{in.getNext()};
  m.next_endpoint = String(in.getNextEndpoint(), kEndpointBytesMax, "endpoint");
  m.next_key = ReadKey(in.getNextKey());
  const auto others = in.getNextOthers();
  m.next_others.resize(CheckedSize(others, kStopHostsMax, "next hops"));
  for (unsigned i = 0; i < others.size(); ++i) {
    m.next_others[i] = {.node = NodeId{others[i].getNode()},
                        .endpoint = String(others[i].getEndpoint(), kEndpointBytesMax, "endpoint"),
                        .key = ReadKey(others[i].getKey())};
  }
  return m;
}

RouteRequest Read(wire::RouteRequest::Reader in) {
  RouteRequest m;
  m.request = in.getRequest();
  m.model = Read(in.getModel());
  m.front_layers = LayerCount(in.getFrontLayers(), "front layers");
  m.back_layers = LayerCount(in.getBackLayers(), "back layers");
  m.positions_max = Int(in.getPositionsMax(), "positions");
  const auto missed = in.getMissed();
  m.missed.resize(CheckedSize(missed, static_cast<size_t>(kHopsMax), "missed hops"));
  for (unsigned i = 0; i < missed.size(); ++i) m.missed[i] = NodeId{missed[i]};
  return m;
}

Hop Read(wire::Hop::Reader in) {
  Hop hop;
  hop.node = NodeId{in.getNode()};
  hop.name = String(in.getName(), kNameBytesMax, "node name");
  hop.layers = Read(in.getLayers());
  const auto bricks = in.getBricks();
  hop.bricks.resize(CheckedSize(bricks, kBricksMax, "bricks"));
  for (unsigned i = 0; i < bricks.size(); ++i) hop.bricks[i] = ReadDigest(bricks[i]);
  hop.endpoint = String(in.getEndpoint(), kEndpointBytesMax, "endpoint");
  hop.key = ReadKey(in.getKey());
  return hop;
}

RouteGrant Read(wire::RouteGrant::Reader in) {
  RouteGrant grant;
  grant.session = Read(in.getSession());
  grant.edge = NodeId{in.getEdge()};
  grant.model = Read(in.getModel());
  const auto hops = in.getHops();
  grant.hops.resize(CheckedSize(hops, kHopsMax, "hops"));
  for (unsigned i = 0; i < hops.size(); ++i) grant.hops[i] = Read(hops[i]);
  grant.contract = String(in.getContract(), kContractBytesMax, "contract");
  grant.positions_max = Int(in.getPositionsMax(), "positions");
  grant.frames_in_flight_max = Int(in.getFramesInFlightMax(), "frames in flight");
  grant.row_bytes_in_flight_max = in.getRowBytesInFlightMax();
  grant.lifetime = std::chrono::milliseconds(
      Int(static_cast<uint32_t>(std::min<uint64_t>(in.getLifetimeMs(), kIntMax)), "lifetime"));
  grant.edge_key = ReadKey(in.getEdgeKey());
  // Within what the type can count; beyond it is as good as never.
  constexpr uint64_t kExpiresMax = uint64_t{1} << 62;
  grant.expires = CalendarTime(std::chrono::milliseconds(std::min(in.getExpiresMs(), kExpiresMax)));
  const capnp::Data::Reader signature = in.getSignature();  // once: what is read twice counts twice
  if (signature.size() > 0) grant.signature = ReadBytes<kSignatureBytes>(signature, "signature");
  return grant;
}

Route Read(wire::Route::Reader in) {
  Route m;
  m.request = in.getRequest();
  m.status = Read(in.getStatus());
  if (m.status.ok()) m.grant = Read(in.getGrant());
  return m;
}

Activation Read(wire::Envelope::Reader in) {
  Activation m;
  Envelope& e = m.envelope;
  e.session = Read(in.getSession());
  e.edge = NodeId{in.getEdge()};
  e.step = in.getStep();
  e.epoch = in.getEpoch();
  e.base = in.getBase();
  e.n = in.getN();
  e.rows_wanted = Enum(in.getRowsWanted(), RowsWanted::kAll, "rows wanted");
  e.flags = in.getFlags();
  if (in.getInputOf() > 0) e.layer = static_cast<uint16_t>(in.getInputOf() - 1);
  const auto hops = in.getHops();
  e.n_hops = static_cast<uint8_t>(CheckedSize(hops, kHopsMax - 1, "remaining hops"));
  for (unsigned i = 0; i < hops.size(); ++i) e.hops[i] = NodeId{hops[i]};
  const capnp::Data::Reader seal = in.getSeal();
  if (seal.size() != (e.is_sealed() ? e.seal.size() : 0)) {
    throw Refusal{"frame with a seal of " + std::to_string(seal.size()) + " bytes, expected " +
                  (e.is_sealed() ? std::to_string(e.seal.size()) : "none")};
  }
  if (e.is_sealed()) std::memcpy(e.seal.data(), seal.begin(), seal.size());
  return m;
}

NeedPrefix Read(wire::NeedPrefix::Reader in) {
  auto m = ReadStep<NeedPrefix>(in.getStep());
  m.have = Int(in.getHave(), "positions");
  return m;
}

Open Read(wire::Open::Reader in) {
  Open m;
  m.session = Read(in.getSession());
  m.key = ReadBytes<kSealedKeyBytes>(in.getKey(), "sealed key");
  if (in.hasGrant()) m.grant = Read(in.getGrant());
  m.epoch = in.getEpoch();
  m.step = in.getStep();
  m.seal = ReadSeal(in.getSeal());
  return m;
}

Rejected Read(wire::Rejected::Reader in) {
  auto m = ReadStep<Rejected>(in.getStep());
  m.status = ReadError(in.getStatus(), "rejected");
  return m;
}

Ended Read(wire::Ended::Reader in) {
  constexpr uint64_t kNanosecondsMax = std::numeric_limits<int64_t>::max();
  if (in.getComputeNs() > kNanosecondsMax) throw Refusal{"compute time beyond 2^63 ns"};
  return {Read(in.getSession()), in.getFrames(),    in.getBytes(),
          in.getRows(),          in.getComputeNs(), ReadSeal(in.getSeal())};
}

Sources Read(wire::Sources::Reader in) {
  Sources m;
  m.model = Read(in.getModel());
  if (in.hasOutline()) m.outline = ReadDigest(in.getOutline());
  const auto nodes = in.getNodes();
  m.nodes.resize(CheckedSize(nodes, kBrickSourcesMax, "sources of bricks"));
  for (unsigned i = 0; i < nodes.size(); ++i) {
    m.nodes[i] = {.node = NodeId{nodes[i].getNode()},
                  .endpoint = String(nodes[i].getEndpoint(), kEndpointBytesMax, "endpoint"),
                  .key = ReadKey(nodes[i].getKey())};
  }
  return m;
}

BrickRequest Read(wire::BrickRequest::Reader in) {
  const BrickRequest m{ReadDigest(in.getDigest()), in.getOffset(), in.getLength()};
  if (m.length >= 1 && m.length <= kBrickChunkBytesMax) return m;
  throw Refusal{"request for " + std::to_string(m.length) + " bytes of a brick, expected 1 to " +
                std::to_string(kBrickChunkBytesMax)};
}

BrickChunk Read(wire::BrickChunk::Reader in) {
  BrickChunk m{ReadDigest(in.getDigest()), in.getOffset(), in.getTotal()};
  m.status = Read(in.getStatus());
  const capnp::Data::Reader bytes = in.getBytes();
  const bool within = m.offset <= m.total && bytes.size() <= m.total - m.offset;
  if (bytes.size() > kBrickChunkBytesMax || (m.status.ok() && !within)) {
    throw Refusal{std::to_string(bytes.size()) + " bytes of a brick at " +
                  std::to_string(m.offset) + " of " + std::to_string(m.total) + ", at most " +
                  std::to_string(kBrickChunkBytesMax) + " within it are allowed"};
  }
  if (m.status.ok() == (bytes.size() == 0)) {
    throw Refusal{"chunk of a brick with " + std::to_string(bytes.size()) + " bytes and code " +
                  std::to_string(m.status.raw_code())};
  }
  m.bytes.assign(bytes.begin(), bytes.end());
  return m;
}

Doors Read(wire::Doors::Reader in) {
  Doors m;
  const auto doors = in.getDoors();
  m.doors.resize(CheckedSize(doors, kDoorsMax, "doors"));
  if (m.doors.empty()) throw Refusal{"doors of a node that has none"};
  for (unsigned i = 0; i < doors.size(); ++i) {
    m.doors[i] = {.endpoint = String(doors[i].getEndpoint(), kEndpointBytesMax, "endpoint"),
                  .key = ReadKey(doors[i].getKey()),
                  .signer = ReadSigner(doors[i].getSigner())};
  }
  return m;
}

AnyMessage Read(wire::Frame::Reader frame) {
  switch (frame.which()) {
    case wire::Frame::HELLO:
      return Read(frame.getHello());
    case wire::Frame::WELCOME:
      return Read(frame.getWelcome());
    case wire::Frame::NODE_STATUS:
      return Read(frame.getNodeStatus());
    case wire::Frame::PLACEMENT:
      return Read(frame.getPlacement());
    case wire::Frame::ROUTE_REQUEST:
      return Read(frame.getRouteRequest());
    case wire::Frame::ROUTE:
      return Read(frame.getRoute());
    case wire::Frame::ACTIVATION:
      return Read(frame.getActivation());
    case wire::Frame::NEED_PREFIX:
      return Read(frame.getNeedPrefix());
    case wire::Frame::NEED_ROUTE:
      return ReadStep<NeedRoute>(frame.getNeedRoute());
    case wire::Frame::REJECTED:
      return Read(frame.getRejected());
    case wire::Frame::END:
      return ReadEnd<End>(frame.getEnd());
    case wire::Frame::CANCEL:
      return ReadEnd<Cancel>(frame.getCancel());
    case wire::Frame::GOODBYE:
      return Goodbye{ReadError(frame.getGoodbye().getStatus(), "goodbye")};
    case wire::Frame::ALIVE:
      return Alive{};
    case wire::Frame::ENDED:
      return Read(frame.getEnded());
    case wire::Frame::OPEN:
      return Read(frame.getOpen());
    case wire::Frame::ECHO:
      return Read(frame.getEcho());
    case wire::Frame::SOURCES_REQUEST:
      return SourcesRequest{};
    case wire::Frame::SOURCES:
      return Read(frame.getSources());
    case wire::Frame::BRICK_REQUEST:
      return Read(frame.getBrickRequest());
    case wire::Frame::BRICK_CHUNK:
      return Read(frame.getBrickChunk());
    case wire::Frame::DOORS:
      return Read(frame.getDoors());
  }
  throw Refusal{"message of unknown kind " + std::to_string(static_cast<int>(frame.which()))};
}

// Runs `read` on the root of a message; whatever it finds wrong comes back as a status.
template <typename Result, typename F>
absl::StatusOr<Result> ReadRoot(std::span<const uint64_t> words, const F& read) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = words.size() + 1;
  options.nestingLimit = kNestingMax;
  try {
    capnp::FlatArrayMessageReader reader(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size()), options);
    return Result(read(reader.getRoot<wire::Frame>()));
  } catch (const Refusal& refusal) {
    return InvalidArgument(refusal.why);
  } catch (const kj::Exception& e) {
    return InvalidArgument(std::string("no message of this protocol: ") +
                           e.getDescription().cStr());
  }
}

}  // namespace

absl::StatusOr<WireMessage> ReadMessage(std::span<const uint64_t> words) {
  return ReadRoot<WireMessage>(words, [](wire::Frame::Reader frame) {
    return WireMessage{NodeId{frame.getFrom()}, NodeId{frame.getTo()}, Read(frame)};
  });
}

absl::StatusOr<WireEnds> ReadEnds(std::span<const uint64_t> words) {
  return ReadRoot<WireEnds>(words, [](wire::Frame::Reader frame) {
    return WireEnds{NodeId{frame.getFrom()}, NodeId{frame.getTo()}};
  });
}

}  // namespace mortar
