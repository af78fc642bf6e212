#include "worker/loop.h"

#include <utility>

#include "common/check.h"
#include "protocol/boundary.h"
#include "worker/jobs.h"

namespace mortar {
namespace {

// One round takes at most so many messages, so that it plans even under a flood.
constexpr int kMessagesPerStep = 256;

}  // namespace

struct Worker::Rest {
  Rest(WorkerOptions options, Parts p)
      : parts(std::move(p)),
        state(NewWorkerState(std::move(options))),
        tables(state.places.size()),
        load_job(parts.load, engine),
        batch_job(pool, parts.clock) {}

  bool PollJobs(Time now);
  bool PollMessages(Time now);
  void TakeOpen(Time now, NodeId from, const Open& open);
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
                     .positions_max = loaded ? engine->options().context_max : 0});
    }
  }
  return any;
}

bool Worker::Rest::PollMessages(Time now) {
  int n = 0;
  for (; n < kMessagesPerStep; ++n) {
    std::optional<Incoming> incoming = parts.transport.Poll();
    if (!incoming) break;
    if (const auto* open = std::get_if<Open>(&incoming->message)) {
      TakeOpen(now, incoming->from, *open);
      continue;
    }
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
  const auto key = OpenSealed(open.key, *parts.keys);
  if (!key.ok()) return Apply(state, now, WorkerSealBroken{});
  const SessionSeal seal{.session = *key, .own = RowsKeyOf(*key, parts.transport.self())};
  Apply(state, now, KeyOpened{.edge = from, .session = open.session, .seal = seal});
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
    if (outgoing.seal) SealRows(*outgoing.seal, std::get<Activation>(outgoing.message));
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
  if (plan.send_hello) {
    Apply(state, now, HelloSent{});
    state.outbox.push_back({.to = kCoordinatorNode,
                            .message = Hello{.role = Role::kWorker,
                                             .name = state.options.name,
                                             .model = state.options.model,
                                             .endpoint = parts.transport.endpoint()}});
  }
  if (plan.send_status) {
    state.outbox.push_back({.to = kCoordinatorNode, .message = StatusOf(state)});
    Apply(state, now, StatusSent{});
  }
  for (const int place : plan.expired) Apply(state, now, Expired{place});
  if (plan.fetch) {
    parts.fetcher->Fetch(state.wanted->bricks);
    Apply(state, now, FetchStarted{});
  }
  if (plan.load) StartLoad(now);
  if (!plan.release.empty()) StartRelease(now);
  if (!plan.batch.empty()) StartBatch(now);
  const bool worked = plan.send_hello || plan.send_status || plan.fetch || plan.load ||
                      !plan.expired.empty() || !plan.release.empty() || !plan.batch.empty();
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
  Apply(state, now, BatchStarted{&plan.batch});
  for (const RunningFrame& frame : state.running) {
    // Cannot fail: the frame was accepted with its pages counted.
    CHECK(engine->kv()
              .Reserve(tables[static_cast<size_t>(frame.place)],
                       static_cast<int>(frame.envelope.base),
                       static_cast<int>(frame.envelope.base + frame.envelope.n))
              .ok());
  }
  batch_job.Prepare(*engine, state.running, tables);
  parts.jobs.Submit(&batch_job);
}

}  // namespace mortar
