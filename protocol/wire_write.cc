#include <cstring>

#include "common/check.h"
#include "protocol/capnp.h"
#include "protocol/schema/wire.capnp.h"
#include "protocol/wire.h"

namespace mortar {
namespace {

// Enough for every message that does not carry a list of bricks.
constexpr size_t kScratchWords = 512;

capnp::Text::Reader TextOf(const std::string& text, size_t bytes_max) {
  const size_t size = std::min(text.size(), bytes_max);
  // A reader of Cap'n Proto's own kind wants a zero behind the last byte: a cut text has none.
  CHECK(size == text.size());
  return capnp::Text::Reader(text.c_str(), size);
}

capnp::Data::Reader DataOf(const Digest& digest) {
  return capnp::Data::Reader(digest.bytes.data(), digest.bytes.size());
}

// Absent where there is none. Anything with `set` and a key behind it.
template <typename Set>
void PutKey(const PublicKey& key, Set set) {
  if (!key.empty()) set(capnp::Data::Reader(key.bytes.data(), key.bytes.size()));
}

uint32_t Milliseconds32(Duration d) {
  return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}

// --- Values ---

void Put(wire::LayerRange::Builder out, const LayerRange& range) {
  out.setBegin(range.begin);
  out.setEnd(range.end);
}

void Put(wire::SessionId::Builder out, const SessionId& id) {
  uint64_t halves[2];
  std::memcpy(halves, id.bytes.data(), sizeof halves);
  out.setLow(halves[0]);
  out.setHigh(halves[1]);
}

void Put(wire::Status::Builder out, const absl::Status& status) {
  out.setCode(static_cast<uint16_t>(status.code()));
  const std::string text = Message(status).substr(0, kStatusTextBytesMax);
  out.setMessage(TextOf(text, kStatusTextBytesMax));
}

void Put(wire::ModelId::Builder out, const ModelId& model) {
  const std::string name = model.name.substr(0, kModelNameBytesMax);
  out.setName(TextOf(name, kModelNameBytesMax));
  out.setDigest(DataOf(model.digest));
  out.setLayers(model.n_layers);
  out.setWidth(model.n_embd);
  out.setKv(static_cast<wire::KvFormat>(model.kv));
}

template <typename List>
void PutBricks(List out, const std::vector<LayerBrick>& bricks) {
  for (unsigned i = 0; i < out.size(); ++i) {
    const LayerBrick& brick = bricks[i];
    Put(out[i].initLayers(), brick.layers);
    out[i].setDigest(DataOf(brick.digest));
    out[i].setWeightBytes(brick.weight_bytes);
    out[i].setPrivate(brick.sensitivity == Sensitivity::kPrivate);
  }
}

unsigned Count(size_t n, size_t n_max) {
  CHECK(n <= n_max);
  return static_cast<unsigned>(n);
}

// Absent where there is none.
template <typename Builder>
void PutSeal(Builder out, const std::optional<SealTag>& seal) {
  if (seal) out.setSeal(capnp::Data::Reader(seal->data(), seal->size()));
}

template <typename Message>
void PutStep(wire::StepRef::Builder out, const Message& m) {
  Put(out.initSession(), m.session);
  out.setEpoch(m.epoch);
  out.setStep(m.step);
  PutSeal(out, m.seal);
}

// --- Messages ---

void Put(wire::Frame::Builder out, const Hello& m) {
  auto hello = out.initHello();
  hello.setVersion(m.version);
  hello.setFeatures(m.features);
  hello.setContract(TextOf(m.contract, kContractBytesMax));
  hello.setRole(static_cast<wire::Role>(m.role));
  hello.setName(TextOf(m.name, kNameBytesMax));
  Put(hello.initModel(), m.model);
  hello.setEndpoint(TextOf(m.endpoint, kEndpointBytesMax));
  PutKey(m.key, [&](auto key) { hello.setKey(key); });
  hello.setInstance(m.instance);
}

void Put(wire::Frame::Builder out, const Welcome& m) {
  auto welcome = out.initWelcome();
  welcome.setVersion(m.version);
  welcome.setFeatures(m.features);
  welcome.setContract(TextOf(m.contract, kContractBytesMax));
  welcome.setStatusIntervalMs(Milliseconds32(m.status_interval));
  if (m.signer.empty()) return;
  welcome.setSigner(capnp::Data::Reader(m.signer.bytes.data(), m.signer.bytes.size()));
}

void Put(wire::Frame::Builder out, const NodeStatus& m) {
  auto status = out.initNodeStatus();
  status.setRole(static_cast<wire::Role>(m.role));
  PutBricks(status.initBricks(Count(m.bricks.size(), kBricksMax)), m.bricks);
  Put(status.initLayersOnly(), m.layers_only);
  status.setPlacement(m.placement);
  status.setPhase(static_cast<wire::LoadPhase>(m.phase));
  Put(status.initLoadStatus(), m.load_status);
  status.setSessions(static_cast<uint32_t>(m.sessions));
  status.setKvPositionsFree(static_cast<uint32_t>(m.kv_positions_free));
  status.setRowsQueued(static_cast<uint32_t>(m.rows_queued));
  status.setFrontLayers(m.front_layers);
  status.setBackLayers(m.back_layers);
  status.setPositionsMax(static_cast<uint32_t>(m.positions_max));
  status.setNsPerByte(m.ns_per_byte);
  status.setRoundTripNs(m.round_trip_ns);
  status.setMemoryBytes(m.memory_bytes);
  status.setKvBytesPerLayer(m.kv_bytes_per_layer);
  status.setHeadBytes(m.head_bytes);
  status.setStamp(m.stamp);
  status.setFetches(m.fetches);
  status.setObeys(m.obeys.value);
  Put(status.initHosted(), m.hosted);
  if (m.outline) status.setOutline(DataOf(*m.outline));
  if (m.padding > 0) status.initPadding(Count(m.padding, kFrameRowBytesMax));
}

void Put(wire::Frame::Builder out, const Echo& m) {
  auto echo = out.initEcho();
  echo.setStamp(m.stamp);
  if (m.padding > 0) echo.initPadding(Count(m.padding, kFrameRowBytesMax));
}

void Put(wire::Frame::Builder out, const Placement& m) {
  auto placement = out.initPlacement();
  placement.setId(m.id);
  Put(placement.initModel(), m.model);
  Put(placement.initLayers(), m.layers);
  PutBricks(placement.initBricks(Count(m.bricks.size(), kBricksMax)), m.bricks);
  placement.setNext(m.next.value);
  placement.setNextEndpoint(TextOf(m.next_endpoint, kEndpointBytesMax));
  PutKey(m.next_key, [&](auto key) { placement.setNextKey(key); });
  auto others = placement.initNextOthers(Count(m.next_others.size(), kStopHostsMax));
  for (unsigned i = 0; i < others.size(); ++i) {
    others[i].setNode(m.next_others[i].node.value);
    others[i].setEndpoint(TextOf(m.next_others[i].endpoint, kEndpointBytesMax));
    PutKey(m.next_others[i].key, [&](auto key) { others[i].setKey(key); });
  }
}

void Put(wire::Frame::Builder out, const RouteRequest& m) {
  auto request = out.initRouteRequest();
  request.setRequest(m.request);
  Put(request.initModel(), m.model);
  request.setFrontLayers(m.front_layers);
  request.setBackLayers(m.back_layers);
  request.setPositionsMax(static_cast<uint32_t>(m.positions_max));
  if (m.missed.empty()) return;  // as before this field
  auto missed = request.initMissed(Count(m.missed.size(), static_cast<size_t>(kHopsMax)));
  for (unsigned i = 0; i < missed.size(); ++i) missed.set(i, m.missed[i].value);
}

void Put(wire::Hop::Builder out, const Hop& hop) {
  out.setNode(hop.node.value);
  out.setName(TextOf(hop.name, kNameBytesMax));
  Put(out.initLayers(), hop.layers);
  auto bricks = out.initBricks(Count(hop.bricks.size(), kBricksMax));
  for (unsigned i = 0; i < bricks.size(); ++i) bricks.set(i, DataOf(hop.bricks[i]));
  out.setEndpoint(TextOf(hop.endpoint, kEndpointBytesMax));
  PutKey(hop.key, [&](auto key) { out.setKey(key); });
}

void Put(wire::RouteGrant::Builder out, const RouteGrant& grant) {
  Put(out.initSession(), grant.session);
  out.setEdge(grant.edge.value);
  Put(out.initModel(), grant.model);
  auto hops = out.initHops(Count(grant.hops.size(), kHopsMax));
  for (unsigned i = 0; i < hops.size(); ++i) Put(hops[i], grant.hops[i]);
  out.setContract(TextOf(grant.contract, kContractBytesMax));
  out.setPositionsMax(static_cast<uint32_t>(grant.positions_max));
  out.setFramesInFlightMax(static_cast<uint32_t>(grant.frames_in_flight_max));
  out.setRowBytesInFlightMax(grant.row_bytes_in_flight_max);
  out.setLifetimeMs(Milliseconds32(grant.lifetime));
  PutKey(grant.edge_key, [&](auto key) { out.setEdgeKey(key); });
  out.setExpiresMs(static_cast<uint64_t>(grant.expires.time_since_epoch().count()));
  if (!grant.signature) return;
  out.setSignature(capnp::Data::Reader(grant.signature->data(), grant.signature->size()));
}

void Put(wire::Frame::Builder out, const Route& m) {
  auto route = out.initRoute();
  route.setRequest(m.request);
  Put(route.initStatus(), m.status);
  Put(route.initGrant(), m.grant);
}

void Put(wire::Frame::Builder out, const Activation& m) {
  const Envelope& e = m.envelope;
  auto envelope = out.initActivation();
  Put(envelope.initSession(), e.session);
  envelope.setEdge(e.edge.value);
  envelope.setStep(e.step);
  envelope.setEpoch(e.epoch);
  envelope.setBase(e.base);
  envelope.setN(e.n);
  envelope.setRowsWanted(static_cast<wire::RowsWanted>(e.rows_wanted));
  envelope.setFlags(e.flags);
  envelope.setInputOf(e.layer ? static_cast<uint16_t>(*e.layer + 1) : 0);
  if (e.is_sealed()) envelope.setSeal(capnp::Data::Reader(e.seal.data(), e.seal.size()));
  auto hops = envelope.initHops(Count(e.n_hops, kHopsMax - 1));
  for (unsigned i = 0; i < hops.size(); ++i) hops.set(i, e.hops[i].value);
}

void Put(wire::Frame::Builder out, const NeedPrefix& m) {
  auto need = out.initNeedPrefix();
  PutStep(need.initStep(), m);
  need.setHave(static_cast<uint32_t>(m.have));
}

void Put(wire::Frame::Builder out, const NeedRoute& m) { PutStep(out.initNeedRoute(), m); }

void Put(wire::Frame::Builder out, const Rejected& m) {
  auto rejected = out.initRejected();
  PutStep(rejected.initStep(), m);
  Put(rejected.initStatus(), m.status);
}

void Put(wire::Frame::Builder out, const End& m) {
  auto end = out.initEnd();
  Put(end.initSession(), m.session);
  PutSeal(end, m.seal);
}
void Put(wire::Frame::Builder out, const Cancel& m) {
  auto cancel = out.initCancel();
  Put(cancel.initSession(), m.session);
  PutSeal(cancel, m.seal);
}
void Put(wire::Frame::Builder out, const Goodbye& m) {
  Put(out.initGoodbye().initStatus(), m.status);
}
void Put(wire::Frame::Builder out, const Alive&) { out.setAlive(); }
void Put(wire::Frame::Builder out, const Open& m) {
  auto open = out.initOpen();
  Put(open.initSession(), m.session);
  open.setKey(capnp::Data::Reader(m.key.data(), m.key.size()));
  if (m.grant.signature) Put(open.initGrant(), m.grant);
  open.setEpoch(m.epoch);
  open.setStep(m.step);
  PutSeal(open, m.seal);
}
void Put(wire::Frame::Builder out, const Ended& m) {
  auto ended = out.initEnded();
  Put(ended.initSession(), m.session);
  ended.setFrames(m.frames);
  ended.setBytes(m.bytes);
  ended.setRows(m.rows);
  ended.setComputeNs(m.compute_ns);
  PutSeal(ended, m.seal);
}

void Put(wire::Frame::Builder out, const SourcesRequest&) { out.setSourcesRequest(); }
void Put(wire::Frame::Builder out, const Sources& m) {
  auto sources = out.initSources();
  Put(sources.initModel(), m.model);
  if (m.outline) sources.setOutline(DataOf(*m.outline));
  auto nodes = sources.initNodes(Count(m.nodes.size(), kBrickSourcesMax));
  for (unsigned i = 0; i < nodes.size(); ++i) {
    const Introduction& node = m.nodes[i];
    nodes[i].setNode(node.node.value);
    nodes[i].setEndpoint(TextOf(node.endpoint, kEndpointBytesMax));
    PutKey(node.key, [&](auto key) { nodes[i].setKey(key); });
  }
}
void Put(wire::Frame::Builder out, const BrickRequest& m) {
  auto request = out.initBrickRequest();
  request.setDigest(DataOf(m.digest));
  request.setOffset(m.offset);
  request.setLength(m.length);
}
void Put(wire::Frame::Builder out, const BrickChunk& m) {
  auto chunk = out.initBrickChunk();
  chunk.setDigest(DataOf(m.digest));
  chunk.setOffset(m.offset);
  chunk.setTotal(m.total);
  CHECK(m.bytes.size() <= kBrickChunkBytesMax);
  if (!m.bytes.empty()) chunk.setBytes(capnp::Data::Reader(m.bytes.data(), m.bytes.size()));
  Put(chunk.initStatus(), m.status);
}

void Put(wire::Frame::Builder out, const Doors& m) {
  auto doors = out.initDoors().initDoors(Count(m.doors.size(), kDoorsMax));
  for (unsigned i = 0; i < doors.size(); ++i) {
    const Door& door = m.doors[i];
    doors[i].setEndpoint(TextOf(door.endpoint, kEndpointBytesMax));
    PutKey(door.key, [&](auto key) { doors[i].setKey(key); });
    if (door.signer.empty()) continue;
    doors[i].setSigner(capnp::Data::Reader(door.signer.bytes.data(), door.signer.bytes.size()));
  }
}

}  // namespace

WireWriter::WireWriter() : scratch_(kScratchWords) {}
WireWriter::~WireWriter() = default;

std::span<const uint64_t> WireWriter::Write(NodeId from, NodeId to, const AnyMessage& message) {
  const auto written = Rewrite(from, to, message);
  CHECK(written.ok());
  return *written;
}

absl::StatusOr<std::span<const uint64_t>> WireWriter::Rewrite(NodeId from, NodeId to,
                                                              const AnyMessage& message) {
  // The builder leaves its first segment zeroed, as it must find it.
  capnp::MallocMessageBuilder builder(
      kj::arrayPtr(reinterpret_cast<capnp::word*>(scratch_.data()), scratch_.size()));
  auto frame = builder.initRoot<wire::Frame>();
  frame.setFrom(from.value);
  frame.setTo(to.value);
  std::visit([&](const auto& m) { Put(frame, m); }, message);
  const size_t words = capnp::computeSerializedSizeInWords(builder);
  if (words * sizeof(uint64_t) > kMessageBytesMax) {
    return InvalidArgument("a message of " + std::to_string(words * sizeof(uint64_t)) +
                           " bytes as it is written here, at most " +
                           std::to_string(kMessageBytesMax) + " are allowed");
  }
  if (out_.size() < words) out_.resize(words);
  kj::ArrayOutputStream stream(
      kj::arrayPtr(reinterpret_cast<kj::byte*>(out_.data()), words * sizeof(uint64_t)));
  capnp::writeMessage(stream, builder);
  return std::span<const uint64_t>(out_.data(), words);
}

}  // namespace mortar
