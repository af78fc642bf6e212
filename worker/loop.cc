#include "worker/loop.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "protocol/boundary.h"
#include "protocol/grant.h"
#include "worker/jobs.h"

namespace mortar {
namespace {

// One round takes at most so many messages, so that it plans even under a flood.
constexpr int kMessagesPerStep = 256;
// Of them so many that bring a key: each takes some 0.2 ms to check, and a loop is awake again
// soon.
constexpr int kOpensPerStep = 8;

// Of which session a message says that it is over; null: no such message.
const SessionId* EndedBy(const AnyMessage& message) {
  if (const auto* end = std::get_if<End>(&message)) return &end->session;
  if (const auto* cancel = std::get_if<Cancel>(&message)) return &cancel->session;
  return nullptr;
}

// As the planner counts them: of the file, whatever they are packed to.
uint64_t BytesOf(const std::vector<LayerBrick>& bricks) {
  uint64_t bytes = 0;
  for (const LayerBrick& brick : bricks) bytes += brick.weight_bytes;
  return bytes;
}

}  // namespace

struct Worker::Rest {
  Rest(WorkerOptions options, Parts p)
      : parts(std::move(p)),
        state(NewWorkerState(std::move(options))),
        tables(state.places.size()),
        load_job(parts.load, engine),
        batch_job(pool, parts.clock, parts.tell),
        release_job(parts.tell) {}

  bool PollJobs(Time now);
  bool PollMessages(Time now);
  void TakeOpen(Time now, NodeId from, const Open& open);
  bool OpenEnd(Time now, NodeId from, const AnyMessage& message, const SessionId& session);
  bool OpenFrame(Time now, NodeId from, Activation& frame);
  void PollFetch(Time now);
  void SendOwed();
  bool Execute(Time now);
  void StartBatch(Time now);
  void StartRelease(Time now);
  void StartLoad(Time now);

  Parts parts;
  WorkerState state;
  WorkerPlan plan;
  RowsPool pool;
  std::unique_ptr<Engine> engine;  // the running job's, while state.busy
  std::vector<KvTable> tables;     // pages of each place; as the engine
  LoadJob load_job;
  BatchJob batch_job;
  ReleaseJob release_job;
};

Worker::Worker(WorkerOptions options, Parts parts)
    : rest_(std::make_unique<Rest>(std::move(options), std::move(parts))) {}

Worker::~Worker() { rest_->parts.jobs.Drain(); }

const WorkerState& Worker::state() const { return rest_->state; }

bool Worker::Step() {
  Rest& r = *rest_;
  const Time now = r.parts.clock.Now();
  bool worked = r.PollJobs(now);
  r.SendOwed();  // a job's rows travel while this node reads what came meanwhile
  worked |= r.PollMessages(now);
  r.PollFetch(now);
  r.SendOwed();
  Plan(r.state, now, r.plan);
  worked |= r.Execute(now);
  return worked;
}

Duration Worker::Patience() const {
  const std::optional<Time>& until = rest_->plan.gathers_until;
  return until ? *until - rest_->parts.clock.Now() : Duration::max();
}

bool Worker::Rest::PollJobs(Time now) {
  bool any = false;
  while (Job* job = parts.jobs.PollDone()) {
    any = true;
    if (job == &batch_job) {
      Apply(state, now, BatchDone{batch_job.time});
    } else if (job == &release_job) {
      Apply(state, now, PagesReleased{&release_job.places});
    } else {
      CHECK(job == &load_job);
      const bool loaded = load_job.status.ok() && engine != nullptr;
      if (loaded) CHECK(engine->options().rows_max >= state.options.rows_max);
      if (!load_job.status.ok()) {
        const auto level = state.options.starter_reports ? &Logger::Debug : &Logger::Error;
        (parts.log.*level)("load_failed", {{"layers", ToString(load_job.placement.layers)},
                                           {"why", Message(load_job.status)}});
      } else {
        parts.log.Info("loaded", {{"layers", ToString(load_job.placement.layers)},
                                  {"weight_bytes", loaded ? engine->weight_bytes() : 0}});
      }
      Apply(state, now,
            LoadDone{.status = load_job.status,
                     .layers = load_job.placement.layers,
                     .pages = loaded ? engine->kv().positions_max() / kKvPagePositions : 0,
                     .positions_max = loaded ? engine->options().context_max : 0,
                     .weight_bytes = BytesOf(load_job.placement.bricks)});
    }
  }
  return any;
}

bool Worker::Rest::PollMessages(Time now) {
  int n = 0, opens = 0;
  for (; n < kMessagesPerStep; ++n) {
    std::optional<Incoming> incoming = parts.transport.Poll();
    if (!incoming) break;
    if (const auto* open = std::get_if<Open>(&incoming->message)) {
      TakeOpen(now, incoming->from, *open);
      if (++opens >= kOpensPerStep) break;
      continue;
    }
    const SessionId* ended = EndedBy(incoming->message);
    if (ended != nullptr && !OpenEnd(now, incoming->from, incoming->message, *ended)) continue;
    if (auto* frame = std::get_if<Activation>(&incoming->message)) {
      if (!OpenFrame(now, incoming->from, *frame)) continue;
      absl::Status fits = CheckFrame(*frame, state.options.model.n_embd);
      if (!fits.ok()) {
        Apply(state, now, FrameBroken{frame->envelope, std::move(fits)});
        continue;
      }
    }
    Apply(state, now, WorkerReceived{incoming->from, std::move(incoming->message)});
  }
  return n > 0;
}

void Worker::Rest::TakeOpen(Time now, NodeId from, const Open& open) {
  if (parts.keys == nullptr) return Apply(state, now, WorkerSealBroken{});
  if (state.place_of.contains(open.session)) return;  // it has its key, for as long as its route
  // Whose key the grant names is the grant's word, until its signature was checked.
  const RouteGrant& grant = open.grant;
  const SecretKey of_edge = OpenKeyOf(*parts.keys, grant.edge_key);
  const auto key = OpenSealed(open.key, *parts.keys);
  if (!key.ok() || !CheckSeal(of_edge, open).ok()) return Apply(state, now, WorkerSealBroken{});
  const NodeId self = parts.transport.self();
  const SessionSeal seal{.session = *key, .own = RowsKeyOf(*key, self)};
  const CalendarTime today = parts.clock.Calendar();
  absl::Status good = CheckShown(grant,
                                 {.node = self,
                                  .key = parts.keys->public_key,
                                  .layers = state.layers,
                                  .model = state.options.model.digest},
                                 from, today);
  if (good.ok() && grant.session != open.session) {
    good = PermissionDenied("the route is another session's");
  }
  if (good.ok()) good = CheckSignature(SignersOf(state.coordinators), grant);
  if (!good.ok()) {
    parts.log.Debug("bad_grant", {{"edge", ToString(from)}, {"why", Message(good)}});
    if (grant.edge != from) return Apply(state, now, ForeignGrant{});
    return Apply(state, now,
                 GrantRefused{.edge = from,
                              .session = open.session,
                              .own = seal.own,
                              .epoch = open.epoch,
                              .step = open.step});
  }
  constexpr auto kLifetime = std::chrono::duration_cast<std::chrono::milliseconds>(kRouteLifetime);
  const SessionQuota quota{
      .positions_max = grant.positions_max,
      .frames_max = std::clamp(grant.frames_in_flight_max, 0, kFramesInFlightMax),
      .row_bytes_max = std::min<size_t>(grant.row_bytes_in_flight_max, kRowBytesInFlightMax),
      .until = now + std::min(grant.expires - today, kLifetime) + kClockSkewMax,
      .expires = grant.expires};
  Apply(state, now,
        KeyOpened{.edge = from,
                  .session = open.session,
                  .seal = seal,
                  .quota = quota,
                  .epoch = open.epoch,
                  .step = open.step});
}

// False: it is not its edge that ends the session, as far as this node can know.
bool Worker::Rest::OpenEnd(Time now, NodeId from, const AnyMessage& message,
                           const SessionId& session) {
  if (parts.keys == nullptr) return true;
  const SessionSeal* seal = FindSeal(state, session);
  if (seal == nullptr) {
    Apply(state, now, EndUnopened{from, session});
    return false;
  }
  const absl::Status sealed = CheckSeal(RowsKeyOf(seal->session, from), message);
  if (!sealed.ok()) Apply(state, now, WorkerSealBroken{});
  return sealed.ok();
}

// False: the frame is not one for this node, and was dealt with.
bool Worker::Rest::OpenFrame(Time now, NodeId from, Activation& frame) {
  absl::Status opened;
  if (parts.keys == nullptr) {
    opened = CheckNotSealed(frame);
  } else if (const SessionSeal* seal = FindSeal(state, frame.envelope.session)) {
    opened = OpenRows(RowsKeyOf(seal->session, from), frame);
  } else {
    Apply(state, now, FrameUnopened{frame.envelope});
    return false;
  }
  // No answer: what is not genuine must not make this node speak to the edge that it names.
  if (!opened.ok()) Apply(state, now, WorkerSealBroken{});
  return opened.ok();
}

void Worker::Rest::PollFetch(Time now) {
  if (!state.fetching) return;
  CHECK(parts.fetcher != nullptr);
  std::optional<absl::Status> done = parts.fetcher->Fetched();
  if (!done) return;
  if (!done->ok()) parts.log.Error("fetch_failed", {{"why", Message(*done)}});
  Apply(state, now, FetchDone{*std::move(done)});
}

void Worker::Rest::SendOwed() {
  for (const Introduction& peer : state.introduce) {
    parts.transport.Introduce(peer);
  }
  state.introduce.clear();
  const Time now = parts.clock.Now();
  for (size_t i = 0; i < state.outbox.size(); ++i) {
    Outgoing& outgoing = state.outbox[i];
    if (outgoing.seal) SealMessage(*outgoing.seal, outgoing.message);
    std::optional<FrameSent> frame;
    if (const auto* f = std::get_if<Activation>(&outgoing.message)) {
      frame = {.session = f->envelope.session,
               .bytes = parts.transport.BytesOf(*f),
               .rows = static_cast<uint64_t>(f->rows.n())};
    }
    const absl::Status sent = parts.transport.Send(outgoing.to, std::move(outgoing.message));
    if (sent.ok() && frame) Apply(state, now, *frame);
    // Lost, as on any network: the edge's deadline passes and it sends again. The link counts
    // it; a line for each would let a peer fill the log.
    if (!sent.ok()) parts.log.Debug("not_sent", {{"why", Message(sent)}});
  }
  state.outbox.clear();
}

bool Worker::Rest::Execute(Time now) {
  if (plan.obey) {
    parts.log.Info("obeys", {{"coordinator", ToString(CoordinatorNode(*plan.obey))}});
    Apply(state, now, Obeyed{*plan.obey});
  }
  for (const int to : plan.send_hello) {
    Apply(state, now, HelloSent{to});
    state.outbox.push_back({.to = CoordinatorNode(to),
                            .message = Hello{.role = Role::kWorker,
                                             .name = state.options.name,
                                             .model = state.options.model,
                                             .endpoint = parts.transport.endpoint()}});
  }
  for (const int to : plan.send_status) {
    NodeStatus status = StatusOf(state, to);
    AskRoundTrip(state.coordinators, to, now, state.options.model, status);
    state.outbox.push_back({.to = CoordinatorNode(to), .message = std::move(status)});
    Apply(state, now, StatusSent{to});
  }
  for (const int place : plan.expired) Apply(state, now, Expired{place});
  if (plan.fetch) {
    parts.fetcher->Fetch(state.wanted->bricks);
    Apply(state, now, FetchStarted{});
  }
  if (plan.load) StartLoad(now);
  if (!plan.release.empty()) StartRelease(now);
  if (!plan.batch.empty()) StartBatch(now);
  const bool worked = !plan.send_hello.empty() || !plan.send_status.empty() || plan.fetch ||
                      plan.load || !plan.expired.empty() || !plan.release.empty() ||
                      !plan.batch.empty();
  SendOwed();
  return worked;
}

void Worker::Rest::StartLoad(Time now) {
  load_job.placement = *state.wanted;
  Apply(state, now, LoadStarted{});
  parts.jobs.Submit(&load_job);
}

void Worker::Rest::StartRelease(Time now) {
  release_job.places = plan.release;
  release_job.pool = &engine->kv();
  release_job.tables = &tables;
  Apply(state, now, ReleaseStarted{});
  parts.jobs.Submit(&release_job);
}

void Worker::Rest::StartBatch(Time now) {
  Apply(state, now, BatchStarted{&plan.batch, &plan.rows});
  for (const RunningFrame& frame : state.running) {
    // Cannot fail: the frame was accepted with its pages counted.
    const int base = static_cast<int>(frame.envelope.base);
    CHECK(engine->kv()
              .Reserve(tables[static_cast<size_t>(frame.place)], base + frame.first,
                       base + frame.end())
              .ok());
  }
  batch_job.Prepare(*engine, state.running, tables);
  parts.jobs.Submit(&batch_job);
}

}  // namespace mortar
