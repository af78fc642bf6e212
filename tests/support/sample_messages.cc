#include "tests/support/sample_messages.h"

#include <utility>

namespace mortar {
namespace {

Digest DigestFrom(uint8_t first) {
  Digest digest;
  for (uint8_t& byte : digest.bytes) byte = first++;
  return digest;
}

PublicKey KeyFrom(uint8_t first) {
  PublicKey key;
  for (uint8_t& byte : key.bytes) byte = first++;
  return key;
}

SessionId Session() {
  SessionId id;
  uint8_t next = 0xa0;
  for (uint8_t& byte : id.bytes) byte = next++;
  return id;
}

ModelId Model() {
  return {.name = "tiny llama", .digest = DigestFrom(1), .n_layers = 6, .n_embd = 64};
}

std::vector<LayerBrick> Bricks() {
  return {{.layers = {1, 2}, .digest = DigestFrom(7), .weight_bytes = 1'000'000'007},
          {.layers = {2, 3},
           .digest = DigestFrom(9),
           .weight_bytes = 12,
           .sensitivity = Sensitivity::kPrivate}};
}

NodeStatus StatusOfAWorker() {
  NodeStatus status;
  status.role = Role::kWorker;
  status.bricks = Bricks();
  status.layers_only = {1, 4};
  status.placement = 77;
  status.phase = LoadPhase::kFailed;
  status.load_status = DataLoss("layer 3 is damaged");
  status.sessions = 5;
  status.kv_positions_free = 4096;
  status.rows_queued = 17;
  status.front_layers = 2;
  status.back_layers = 1;
  return status;
}

Route GrantedRoute() {
  Route route{.request = 31, .status = absl::OkStatus()};
  route.grant.session = Session();
  route.grant.edge = NodeId{50};
  route.grant.model = Model();
  route.grant.hops = {{.node = NodeId{60},
                       .name = "worker a",
                       .layers = {2, 4},
                       .bricks = {DigestFrom(7), DigestFrom(9)},
                       .endpoint = "tcp://127.0.0.1:4711"},
                      {.node = NodeId{61}, .name = "worker b", .layers = {4, 5}}};
  route.grant.positions_max = 2048;
  route.grant.frames_in_flight_max = 3;
  route.grant.row_bytes_in_flight_max = uint64_t{1} << 33;
  route.grant.lifetime = std::chrono::milliseconds(3'600'001);
  return route;
}

Envelope FullEnvelope() {
  Envelope e;
  e.session = Session();
  e.edge = NodeId{50};
  e.step = uint64_t{1} << 40;
  e.epoch = 4'000'000'000;
  e.base = 1000;
  e.n = 3;
  e.rows_wanted = RowsWanted::kLast;
  e.flags = kFlagAnswer;
  e.n_hops = 2;
  e.hops[0] = NodeId{61};
  e.hops[1] = NodeId{0xfedcba9876543210};
  return e;
}

Activation SealedFrame() {
  Activation sealed{.envelope = FullEnvelope(), .rows = {}};
  sealed.envelope.flags |= kFlagSealed;
  uint8_t next = 0xe0;
  for (uint8_t& byte : sealed.envelope.seal) byte = next++;
  return sealed;
}

Open OpenedFor() {
  Open open{.session = Session()};
  for (size_t i = 0; i < open.key.size(); ++i) open.key[i] = static_cast<uint8_t>(3 * i);
  return open;
}

NodeStatus StatusWithPositions() {
  NodeStatus status = StatusOfAWorker();
  status.positions_max = 2048;
  return status;
}

// What nodes measured say, and what they are told.
void AddMeasured(std::vector<std::pair<std::string, AnyMessage>>& messages) {
  NodeStatus measured = StatusWithPositions();
  measured.ns_per_byte = 0.25;
  measured.round_trip_ns = 30'000'000;
  measured.memory_bytes = uint64_t{1} << 35;
  measured.kv_bytes_per_layer = 1'572'864;
  measured.head_bytes = 28'311'552;
  measured.stamp = 0x0123456789abcdef;
  messages.emplace_back("node_status_measured", measured);
  messages.emplace_back("echo", Echo{0x0123456789abcdef});
  measured.padding = 2304;
  messages.emplace_back("node_status_with_padding", measured);
  messages.emplace_back("echo_with_padding", Echo{0x0123456789abcdef, 2304});
  messages.emplace_back("placement_with_others",
                        Placement{.id = 78,
                                  .model = Model(),
                                  .layers = {1, 3},
                                  .bricks = Bricks(),
                                  .next = NodeId{61},
                                  .next_endpoint = "tcp://10.0.0.7:4713",
                                  .next_key = KeyFrom(5),
                                  .next_others = {{NodeId{62}, "tcp://10.0.0.8:4713", KeyFrom(6)},
                                                  {.node = NodeId{63}, .endpoint = ""}}});
}

RouteRequest RequestAfterALoss() {
  return {.request = 32,
          .model = Model(),
          .front_layers = 2,
          .back_layers = 1,
          .positions_max = 2048,
          .missed = {NodeId{61}, NodeId{62}}};
}

RouteGrant SignedGrant() {
  RouteGrant grant = GrantedRoute().grant;
  grant.edge_key = KeyFrom(11);
  for (Hop& hop : grant.hops) hop.key = KeyFrom(7);
  grant.expires = CalendarTime(std::chrono::milliseconds(1'790'000'000'123));
  uint8_t next = 0x40;
  for (uint8_t& byte : grant.signature.emplace()) byte = next++;
  return grant;
}

// What nodes with keys say since routes are signed.
std::vector<std::pair<std::string, AnyMessage>> SealedMessages() {
  const SealTag seal = SealedFrame().envelope.seal;
  const SessionId session = Session();
  Welcome welcome{.features = 1};
  welcome.signer.bytes = KeyFrom(13).bytes;
  Open open = OpenedFor();
  open.grant = SignedGrant();
  open.epoch = 3;
  open.step = 9;
  open.seal = seal;
  return {{"welcome_with_signer", welcome},
          {"route_signed", Route{.request = 31, .status = {}, .grant = SignedGrant()}},
          {"open_with_grant", open},
          {"need_prefix_sealed",
           NeedPrefix{.session = session, .epoch = 3, .step = 9, .have = 12, .seal = seal}},
          {"need_route_sealed", NeedRoute{.session = session, .epoch = 3, .step = 9, .seal = seal}},
          {"rejected_sealed", Rejected{.session = session,
                                       .epoch = 3,
                                       .step = 9,
                                       .status = ResourceExhausted("KV is full"),
                                       .seal = seal}},
          {"end_sealed", End{session, seal}},
          {"cancel_sealed", Cancel{session, seal}},
          {"ended_sealed", Ended{session, 12, 30'000, 12, 45'000'000, seal}}};
}

using NamedMessages = std::vector<std::pair<std::string, AnyMessage>>;

std::vector<SampleMessage> Framed(NamedMessages messages) {
  std::vector<SampleMessage> samples;
  for (auto& [name, message] : messages) {
    samples.push_back(
        {name, {.from = NodeId{60}, .to = NodeId{50}, .message = std::move(message)}});
  }
  return samples;
}

// About bricks that cross.
NamedMessages BrickMessages() {
  NamedMessages messages;
  NodeStatus with_outline = StatusOfAWorker();
  with_outline.outline = DigestFrom(11);
  messages.emplace_back("node_status_with_outline", with_outline);
  NodeStatus fetching = with_outline;
  fetching.fetches = true;
  messages.emplace_back("node_status_fetching", fetching);
  NodeStatus serving = fetching;  // and of two coordinators it obeys the second
  serving.obeys = CoordinatorNode(1);
  serving.hosted = {2, 9};
  messages.emplace_back("node_status_serving", serving);
  messages.emplace_back("hello_without_model", Hello{.role = Role::kWorker, .name = "new here"});
  messages.emplace_back("sources_request", SourcesRequest{});
  messages.emplace_back(
      "sources",
      Sources{.model = Model(),
              .outline = DigestFrom(11),
              .nodes = {{.node = NodeId{61}, .endpoint = "tcp://10.0.0.7:4712", .key = KeyFrom(5)},
                        {.node = NodeId{50}, .endpoint = ""}}});
  messages.emplace_back("sources_none", Sources{});
  messages.emplace_back("brick_request", BrickRequest{DigestFrom(7), uint64_t{1} << 40, 65'536});
  messages.emplace_back("brick_chunk", BrickChunk{.digest = DigestFrom(7),
                                                  .offset = uint64_t{1} << 40,
                                                  .total = (uint64_t{1} << 40) + 5,
                                                  .bytes = {9, 8, 7, 0, 255}});
  messages.emplace_back("brick_chunk_refused",
                        BrickChunk{.digest = DigestFrom(7),
                                   .offset = 12,
                                   .status = NotFound("this node has no such brick")});
  messages.emplace_back("doors", Doors{{{.endpoint = "tcp://10.0.0.1:4751",
                                         .key = KeyFrom(6),
                                         .signer = SignerKey{KeyFrom(7).bytes}},
                                        {.endpoint = "tcp://10.0.0.1:4750",
                                         .key = KeyFrom(8),
                                         .signer = SignerKey{KeyFrom(9).bytes}}}});
  return messages;
}

}  // namespace

std::vector<SampleMessage> SampleMessages() {
  NamedMessages messages;
  messages.emplace_back("hello", Hello{.features = 5,
                                       .role = Role::kEdge,
                                       .name = "my laptop",
                                       .model = Model(),
                                       .endpoint = "tcp://127.0.0.1:4712"});
  messages.emplace_back("hello_with_key", Hello{.features = 5,
                                                .role = Role::kWorker,
                                                .name = "lab 1",
                                                .model = Model(),
                                                .endpoint = "tcp://10.0.0.7:4712",
                                                .key = KeyFrom(3),
                                                .instance = 0x0123456789abcdef});
  messages.emplace_back("welcome",
                        Welcome{.features = 1, .status_interval = std::chrono::milliseconds(750)});
  messages.emplace_back("node_status", StatusOfAWorker());
  messages.emplace_back("node_status_with_positions", StatusWithPositions());
  messages.emplace_back("placement", Placement{.id = 78,
                                               .model = Model(),
                                               .layers = {1, 3},
                                               .bricks = Bricks(),
                                               .next = NodeId{61},
                                               .next_endpoint = "tcp://127.0.0.1:4713"});
  messages.emplace_back("placement_with_key", Placement{.id = 78,
                                                        .model = Model(),
                                                        .layers = {1, 3},
                                                        .bricks = Bricks(),
                                                        .next = NodeId{61},
                                                        .next_endpoint = "tcp://10.0.0.7:4713",
                                                        .next_key = KeyFrom(5)});
  AddMeasured(messages);
  messages.emplace_back("route_request", RouteRequest{.request = 31,
                                                      .model = Model(),
                                                      .front_layers = 2,
                                                      .back_layers = 1,
                                                      .positions_max = 2048});
  messages.emplace_back("route_request_with_missed", RequestAfterALoss());
  messages.emplace_back("route", GrantedRoute());
  Route with_key = GrantedRoute();
  with_key.grant.hops[0].key = KeyFrom(7);
  messages.emplace_back("route_with_key", with_key);
  messages.emplace_back("activation", Activation{.envelope = FullEnvelope(), .rows = {}});
  Activation with_layer{.envelope = FullEnvelope(), .rows = {}};
  with_layer.envelope.layer = 11;
  messages.emplace_back("activation_with_layer", with_layer);
  messages.emplace_back("activation_sealed", SealedFrame());
  messages.emplace_back("open", OpenedFor());
  messages.emplace_back("need_prefix",
                        NeedPrefix{.session = Session(), .epoch = 3, .step = 9, .have = 12});
  messages.emplace_back("need_route", NeedRoute{.session = Session(), .epoch = 3, .step = 9});
  messages.emplace_back(
      "rejected",
      Rejected{
          .session = Session(), .epoch = 3, .step = 9, .status = ResourceExhausted("KV is full")});
  messages.emplace_back("end", End{Session()});
  messages.emplace_back("cancel", Cancel{Session()});
  for (auto& [name, message] : SealedMessages()) messages.emplace_back(name, std::move(message));
  messages.emplace_back("goodbye", Goodbye{Unavailable("not a member: say Hello")});
  messages.emplace_back("alive", Alive{});
  messages.emplace_back("ended", Ended{Session(), 12, 30'000, 12});
  messages.emplace_back("ended_with_time", Ended{Session(), 12, 30'000, 12, 45'000'000});
  for (auto& [name, message] : BrickMessages()) {
    messages.emplace_back(std::move(name), std::move(message));
  }
  return Framed(std::move(messages));
}

namespace {

// Pointers of Cap'n Proto's encoding: the distance in words is from behind the pointer.
constexpr uint64_t kList = 1;
constexpr uint64_t kOfBytes = 2;         // elements of a list
constexpr uint64_t kOfStructs = 7;       // whose number and shape stand in a word before them
constexpr size_t kNodeStatusBricks = 0;  // pointers of NodeStatus
constexpr size_t kNodeStatusPadding = 5;

uint64_t ListPointer(size_t at, size_t target, uint64_t of, size_t count) {
  return kList | uint64_t{target - at - 1} << 2 | of << 32 | uint64_t{count} << 35;
}

// Where the struct begins to which the word at `at` points, and its pointers behind its data.
size_t StructAt(const std::vector<uint64_t>& words, size_t at) {
  return at + 1 + static_cast<size_t>(static_cast<uint32_t>(words[at]) >> 2);
}
size_t PointersAt(const std::vector<uint64_t>& words, size_t at) {
  return StructAt(words, at) + static_cast<uint16_t>(words[at] >> 32);
}

}  // namespace

std::vector<uint64_t> CompactStatus(NodeId from, NodeId to, size_t n_bricks, size_t padding) {
  WireWriter writer;
  const auto written = writer.Write(from, to, NodeStatus{});
  std::vector<uint64_t> words(written.begin(), written.end());
  const size_t pointers = PointersAt(words, PointersAt(words, 1));
  // Of each brick two pointers, of which the first, to its layers, is null, and a digest.
  constexpr size_t kBrickPointers = 2;
  constexpr size_t kDigestWords = 4;
  const size_t n_words = n_bricks * kBrickPointers;
  words[pointers + kNodeStatusBricks] =
      ListPointer(pointers + kNodeStatusBricks, words.size(), kOfStructs, n_words);
  words.push_back(uint64_t{n_bricks} << 2 | uint64_t{kBrickPointers} << 48);
  const size_t elements = words.size();
  const size_t digests = elements + n_words;
  words.resize(digests + n_bricks * kDigestWords, 0x0123456789abcdef);
  for (size_t i = 0; i < n_bricks; ++i) {
    const size_t at = elements + i * kBrickPointers;
    words[at] = 0;
    words[at + 1] = ListPointer(at + 1, digests + i * kDigestWords, kOfBytes, sizeof(Digest));
  }
  words[pointers + kNodeStatusPadding] =
      ListPointer(pointers + kNodeStatusPadding, words.size(), kOfBytes, padding);
  words.resize(words.size() + (padding + 7) / 8);
  words[0] = uint64_t{words.size() - 1} << 32;  // one segment of so many words
  return words;
}

}  // namespace mortar
