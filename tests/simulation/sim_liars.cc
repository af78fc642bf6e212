#include "tests/simulation/sim_liars.h"

#include <limits>

#include "common/check.h"
#include "protocol/grant.h"
#include "tests/simulation/sim_nodes.h"

namespace mortar {
namespace {

void SpoilFrame(std::mt19937_64& random, Activation& frame) {
  Envelope& e = frame.envelope;
  switch (random() % 9) {
    case 0:
      e.epoch += 1 + static_cast<uint32_t>(random() % 3);
      break;
    case 1:
      e.epoch = e.epoch == 0 ? 0 : e.epoch - 1;
      break;
    case 2:
      e.step += 1 + random() % 5;
      break;
    case 3:
      e.step = e.step == 0 ? 0 : e.step - 1;
      break;
    case 4:
      e.n += 1;  // more than there are rows
      break;
    case 5:
      e.layer = static_cast<uint16_t>(random() % 8);
      break;
    case 6:
      e.base += 1000;
      break;
    case 7:
      for (uint8_t& byte : e.session.bytes) byte = static_cast<uint8_t>(random());
      break;
    default:
      if (frame.rows.empty()) break;
      frame.rows.mutable_data()[random() % 3] = std::numeric_limits<float>::quiet_NaN();
  }
}

// As much as the wire lets through.
void SpoilStatus(std::mt19937_64& random, NodeStatus& status) {
  constexpr int kIntMax = std::numeric_limits<int>::max();
  constexpr uint64_t kSizeMax = uint64_t{1} << 53;
  switch (random() % 6) {
    case 0:
      status.phase = static_cast<LoadPhase>(random() % 4);
      status.placement += random() % 3;
      break;
    case 1:
      status.sessions = kIntMax;
      break;
    case 2:
      status.kv_positions_free = status.rows_queued = kIntMax;
      status.positions_max = random() % 2 == 0 ? 1 : kIntMax;
      break;
    case 3:
      status.ns_per_byte = random() % 2 == 0 ? kNsPerByteMax : std::numeric_limits<double>::min();
      status.round_trip_ns = random() % 2 == 0 ? kSizeMax : 1;
      break;
    case 4:
      status.memory_bytes = status.kv_bytes_per_layer = kSizeMax;
      break;
    default:
      for (LayerBrick& brick : status.bricks) {
        brick.weight_bytes = std::numeric_limits<uint64_t>::max();
      }
  }
}

}  // namespace

void SpoilOne(std::mt19937_64& random, AnyMessage& message) {
  if (auto* frame = std::get_if<Activation>(&message)) {
    // Rows are shared with whoever sent them on.
    if (!frame->rows.empty()) {
      RowsPool pool;
      frame->rows = pool.Copy(frame->rows, 0, frame->rows.n());
    }
    return SpoilFrame(random, *frame);
  }
  if (auto* need = std::get_if<NeedPrefix>(&message)) {
    need->have = static_cast<int>(random() % 300);
  } else if (auto* status = std::get_if<NodeStatus>(&message)) {
    SpoilStatus(random, *status);
  }
}

// --- An edge ---

void LyingEdge::Join() {
  Send(kCoordinatorNode, Hello{.role = Role::kEdge, .name = "edge-of-bad-will", .model = model_});
}

void LyingEdge::Listen() {
  while (transport_.Poll()) {
  }
}

std::optional<LyingEdge::Known> LyingEdge::AnySession() {
  std::vector<Known> all;
  for (const auto& [id, worker] : view_.workers) {
    for (const WorkerSession& session : worker->places) {
      if (session.used && !session.ending) all.push_back({id, &session});
    }
  }
  if (all.empty()) return std::nullopt;
  return all[Any(all.size())];
}

Activation LyingEdge::AnyFrame(const SessionId& session, NodeId edge, uint32_t epoch,
                               uint64_t step) {
  const int n = 1 + static_cast<int>(Any(70));
  Rows rows = pool_.Take(n, model_.n_embd);
  for (int i = 0; i < n * model_.n_embd; ++i) rows.mutable_data()[i] = 0.25f;
  Envelope e{.session = session,
             .edge = edge,
             .step = step,
             .epoch = epoch,
             .n = static_cast<uint32_t>(n)};
  return {.envelope = e, .rows = std::move(rows)};
}

void LyingEdge::ForgeOne(const Known& known) {
  const WorkerSession& session = *known.session;
  const uint32_t epoch = session.epoch + static_cast<uint32_t>(Any(2));
  const uint64_t step = session.accepted_step + 1 + Any(4);
  switch (Any(spares_ ? 11 : 13)) {
    case 0:
      return Send(known.worker, End{session.id});
    case 1:
      return Send(known.worker, Cancel{session.id});
    case 2:
      return Send(known.worker, AnyFrame(session.id, session.edge, epoch, step));
    case 3:
      return Send(known.worker, AnyFrame(session.id, kLyingEdge, epoch, step));
    case 4: {  // an answer that no hop gave
      Activation answer = AnyFrame(session.id, session.edge, epoch, session.accepted_step);
      answer.envelope.flags = kFlagAnswer;
      return Send(session.edge, std::move(answer));
    }
    case 5:
      return Send(session.edge, NeedPrefix{.session = session.id, .epoch = epoch, .step = step});
    case 6:
      return Send(session.edge, Rejected{.session = session.id,
                                         .epoch = epoch,
                                         .step = step,
                                         .status = InvalidArgument("so it says")});
    case 7: {
      Route route{.request = 1 + Any(4), .status = absl::OkStatus()};
      route.grant = {.session = session.id, .edge = session.edge, .model = model_};
      return Send(session.edge, std::move(route));
    }
    case 8:
      return Send(known.worker, Placement{.id = 1000 + Any(1000), .model = model_, .layers = {}});
    case 9:
      return Slander();
    case 10:
      return OpenUngranted(known.worker);
    case 11:  // heeded from anybody who knows the session: relays say it
      return Send(session.edge, NeedRoute{.session = session.id, .epoch = epoch, .step = step});
    default:  // heeded by a worker that has yet to hear of the session
      for (const auto& [id, worker] : view_.workers) Send(id, End{session.id});
  }
}

RouteRequest LyingEdge::AskForRoute() {
  return {.request = ++asked_,
          .model = model_,
          .front_layers = 2,
          .back_layers = 2,
          .positions_max = 1 << 20};
}

void LyingEdge::Slander() {
  RouteRequest request = AskForRoute();
  for (const auto& [id, worker] : view_.workers) request.missed.push_back(id);
  Send(kCoordinatorNode, std::move(request));
}

SessionId LyingEdge::AnyId() {
  SessionId session;
  for (uint8_t& byte : session.bytes) byte = static_cast<uint8_t>(random_());
  return session;
}

void LyingEdge::OpenUngranted(NodeId worker) {
  const Member* member = !view_.coordinators.contains(kCoordinatorNode)
                             ? nullptr
                             : FindMember(*view_.coordinators.at(kCoordinatorNode), worker);
  if (member == nullptr || member->key.empty()) return;
  RouteGrant grant{.session = AnyId(),
                   .edge = kLyingEdge,
                   .model = model_,
                   .positions_max = 1 << 20,
                   .edge_key = keys_.public_key,
                   .expires = CalendarTime(std::chrono::hours(1000))};
  grant.hops.push_back(
      {.node = worker, .name = {}, .layers = view_.workers.at(worker)->layers, .key = member->key});
  if (Any(2) == 0) Signer(keys_).Sign(grant);  // as a coordinator that nobody has joined
  const auto keys = NewRouteKeys(grant, keys_);
  CHECK(keys.ok());
  AnyMessage open = Open{
      .session = grant.session, .key = keys->for_hops[0].key, .grant = keys->shown, .epoch = 1};
  SealMessage(keys->for_hops[0].seal, open);
  Send(worker, std::move(open));
  AnyMessage frame = AnyFrame(grant.session, kLyingEdge, 1, 1);
  SealMessage(RowsKeyOf(keys->session, kLyingEdge), frame);
  Send(worker, std::move(frame));
}

void LyingEdge::Forge(int burst) {
  for (int i = 0; i < burst; ++i) {
    const std::optional<Known> known = AnySession();
    if (!known) return;
    ForgeOne(*known);
  }
}

void LyingEdge::Flood(int burst) {
  for (int i = 0; i < burst; ++i) {
    Send(kCoordinatorNode, AskForRoute());
    const SessionId session = AnyId();
    for (const auto& [id, worker] : view_.workers) {
      Send(id, AnyFrame(session, kLyingEdge, 1, 1));
      Send(id, Open{.session = session});
    }
  }
}

// --- A worker ---

void LyingWorker::Join() {
  Send(Hello{.role = Role::kWorker, .name = "worker-of-bad-will", .model = model_});
}

void LyingWorker::Step(Time now) {
  while (std::optional<Incoming> incoming = transport_.Poll()) {
    const auto* placement = std::get_if<Placement>(&incoming->message);
    if (placement == nullptr) continue;
    status_.placement = placement->id;
    status_.phase = LoadPhase::kReady;
    status_.ns_per_byte = std::numeric_limits<double>::min();
    status_.memory_bytes = uint64_t{1} << 53;
  }
  if (said_ && now - *said_ < kStatusInterval) return;
  said_ = now;
  status_.bricks = SimBricksOf(model_);
  Send(status_);
}

// --- Another worker ---

void Pretender::Step(Time now) {
  while (transport_.Poll()) {
  }
  if (said_ && now - *said_ < kStatusInterval) return;
  said_ = now;
  const LayerRange middle{s_.front, kScenarioLayers - s_.back};
  if (hosted_.empty() || random_() % 3 == 0) {
    const auto size = static_cast<uint64_t>(middle.size());
    hosted_ = middle;
    if (random_() % 2 == 0) hosted_.begin += static_cast<int>(random_() % size);
    const auto rest = static_cast<uint64_t>(hosted_.size());
    if (random_() % 2 == 0) hosted_.end -= static_cast<int>(random_() % rest);
  }
  for (int i = 0; i < s_.n_coordinators; ++i) {
    // One that knows it already is told nothing new.
    const NodeId to = CoordinatorNode(i);
    (void)transport_.Send(to, Hello{.role = Role::kWorker, .name = "pretender", .model = model_});
    NodeStatus status;
    status.bricks = SimBricksOf(model_);
    status.phase = LoadPhase::kReady;
    status.ns_per_byte = std::numeric_limits<double>::min();
    status.memory_bytes = uint64_t{1} << 53;
    status.obeys = CoordinatorNode(1 - i);
    status.hosted = hosted_;
    (void)transport_.Send(to, std::move(status));
  }
}

}  // namespace mortar
