#include "tests/simulation/sim_liars.h"

#include <limits>

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
    status->phase = static_cast<LoadPhase>(random() % 4);
    status->placement += random() % 3;
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
  switch (Any(spares_ ? 9 : 11)) {
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
    case 9:  // heeded from anybody who knows the session: relays say it
      return Send(session.edge, NeedRoute{.session = session.id, .epoch = epoch, .step = step});
    default:  // heeded by a worker that has yet to hear of the session
      for (const auto& [id, worker] : view_.workers) Send(id, End{session.id});
  }
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
    Send(kCoordinatorNode, RouteRequest{.request = ++asked_,
                                        .model = model_,
                                        .front_layers = 2,
                                        .back_layers = 2,
                                        .positions_max = 1 << 20});
    SessionId session;
    for (uint8_t& byte : session.bytes) byte = static_cast<uint8_t>(random_());
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
  }
  if (said_ && now - *said_ < kStatusInterval) return;
  said_ = now;
  status_.bricks = SimBricksOf(model_);
  Send(status_);
}

}  // namespace mortar
