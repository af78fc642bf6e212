#include "edge/loop.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/check.h"
#include "edge/jobs.h"
#include "protocol/boundary.h"
#include "protocol/grant.h"

namespace mortar {
namespace {

// One round takes at most so many messages, so that it plans even under a flood.
constexpr int kMessagesPerStep = 256;

// What a hop says of a session beside rows. Without a session: any other message.
struct HopWord {
  const SessionId* session = nullptr;
  bool sealed = false;
};
template <typename Message>
void Hear(const AnyMessage& message, HopWord& word) {
  if (const auto* m = std::get_if<Message>(&message)) word = {&m->session, m->seal.has_value()};
}
HopWord WordOf(const AnyMessage& message) {
  HopWord word;
  Hear<NeedPrefix>(message, word);
  Hear<NeedRoute>(message, word);
  Hear<Rejected>(message, word);
  Hear<Ended>(message, word);
  return word;
}

}  // namespace

struct Edge::Rest {
  Rest(EdgeOptions options, Parts p)
      : parts(p),
        state(NewEdgeState(std::move(options), p.transport.self(), p.tokenizer)),
        tables(state.slots.size()),
        front_job(p.engine, middle, pool, p.clock),
        back_job(p.engine, pool, p.clock),
        release_job(p.engine, middle, tables),
        middle_job(parts.load_middle, middle) {
    middle.tables.resize(state.slots.size());
    state.last_tick = parts.clock.Now();
  }

  bool PollJobs(Time now);
  bool PollMessages(Time now);
  absl::Status OpenAnswer(NodeId from, Activation& answer);
  bool IsGenuine(Time now, NodeId from, const AnyMessage& message);
  void DrawKeys(Time now, EdgeReceived& received);
  void SendOwed();
  bool Execute(Time now);
  void Join(Time now);
  void RunSessions(Time now);
  void PollMiddle(Time now);
  bool RunMiddle(Time now);
  void GoAlone(Time now, int index);
  bool RunEngine(Time now);

  Parts parts;
  EdgeState state;
  EdgePlan plan;
  RowsPool pool;
  std::vector<KvTable> tables;  // pages of each slot; the running job's, while state.busy
  MiddleEngine middle;
  FrontJob front_job;
  BackJob back_job;
  EdgeReleaseJob release_job;
  MiddleJob middle_job;
};

absl::StatusOr<std::unique_ptr<Edge>> Edge::Create(EdgeOptions options, Parts parts) {
  const EngineOptions& engine = parts.engine.options();
  options.kv_pages = parts.engine.kv().positions_max() / kKvPagePositions;
  options.n_vocab = parts.engine.config().n_vocab;
  options.context_max = engine.context_max;
  const bool has_middle = options.front_layers + options.back_layers < options.model.n_layers;
  options.takes_over = parts.load_middle != nullptr && has_middle;
  CHECK((parts.load_middle != nullptr) == (parts.loading != nullptr));
  RETURN_IF_ERROR(CheckEdgeOptions(options));
  CHECK(options.rows_max <= engine.rows_max);
  CHECK(options.sealed == (parts.keys != nullptr));
  CHECK(options.n_parallel * options.drafting.step_rows() <= engine.logit_rows_max);
  return std::unique_ptr<Edge>(new Edge(std::make_unique<Rest>(std::move(options), parts)));
}

Edge::Edge(std::unique_ptr<Rest> rest) : rest_(std::move(rest)) {}

Edge::~Edge() {
  rest_->parts.jobs.Drain();
  rest_->middle_job.Stop();
  if (rest_->parts.loading != nullptr) rest_->parts.loading->Drain();
}

const EdgeState& Edge::state() const { return rest_->state; }

absl::StatusOr<RequestId> Edge::Submit(GenerateRequest request) {
  Rest& r = *rest_;
  RETURN_IF_ERROR(CheckRequest(r.state.options, request));
  const RequestId id = r.state.next_request;
  Apply(r.state, r.parts.clock.Now(), Submitted{std::move(request)});
  return id;
}

void Edge::Cancel(RequestId request) {
  Apply(rest_->state, rest_->parts.clock.Now(), CancelRequested{request});
}

std::optional<EdgeOutput> Edge::PollOutput() {
  if (rest_->state.outputs.empty()) return std::nullopt;
  return rest_->state.outputs.pop_front();
}

bool Edge::Step() {
  Rest& r = *rest_;
  const Time now = r.parts.clock.Now();
  Apply(r.state, now, EdgeTicked{});
  bool worked = r.PollJobs(now);
  r.PollMiddle(now);
  r.SendOwed();  // a job's rows travel while this node reads what came meanwhile
  worked |= r.PollMessages(now);
  r.SendOwed();
  Plan(r.state, now, r.plan);
  worked |= r.Execute(now);
  r.SendOwed();
  return worked;
}

Duration Edge::Patience() const {
  const std::optional<Time>& until = rest_->plan.gathers_until;
  return until ? *until - rest_->parts.clock.Now() : Duration::max();
}

bool Edge::Rest::PollJobs(Time now) {
  bool any = false;
  while (Job* job = parts.jobs.PollDone()) {
    any = true;
    if (job == &front_job) {
      Apply(state, now, FrontDone{front_job.time});
    } else if (job == &back_job) {
      Apply(state, now, BackDone{back_job.time});
    } else {
      CHECK(job == &release_job);
      Apply(state, now, EdgePagesReleased{&release_job.slots});
    }
  }
  return any;
}

bool Edge::Rest::PollMessages(Time now) {
  int n = 0;
  for (; n < kMessagesPerStep; ++n) {
    std::optional<Incoming> incoming = parts.transport.Poll();
    if (!incoming) break;
    if (auto* answer = std::get_if<Activation>(&incoming->message)) {
      if (const absl::Status opened = OpenAnswer(incoming->from, *answer); !opened.ok()) {
        parts.log.Debug("broken_seal", {{"why", Message(opened)}});
        Apply(state, now, SealBroken{});
        continue;
      }
      const absl::Status fits = CheckAnswer(*answer, state.options.model.n_embd);
      if (!fits.ok()) {
        parts.log.Debug("broken_answer", {{"why", Message(fits)}});
        Apply(state, now, AnswerBroken{incoming->from, answer->envelope, fits});
        continue;
      }
    }
    if (!IsGenuine(now, incoming->from, incoming->message)) continue;
    EdgeReceived received{.from = incoming->from, .message = std::move(incoming->message)};
    if (state.options.sealed) DrawKeys(now, received);
    Apply(state, now, std::move(received));
  }
  return n > 0;
}

absl::Status Edge::Rest::OpenAnswer(NodeId from, Activation& answer) {
  if (!state.options.sealed) return CheckNotSealed(answer);
  const SessionKey* key = FindSessionKey(state, answer.envelope.session);
  if (key == nullptr) return NotFound("an answer to no session that runs");
  return OpenRows(RowsKeyOf(*key, from), answer);
}

// False: it is not the hop that says so, as far as this edge can know, and that was dealt with.
bool Edge::Rest::IsGenuine(Time now, NodeId from, const AnyMessage& message) {
  const HopWord word = WordOf(message);
  if (!state.options.sealed || word.session == nullptr) return true;
  // Nobody's session any more: counted where it is looked for.
  const SessionKey* key = FindSessionKey(state, *word.session);
  if (key == nullptr) return true;
  if (!word.sealed) {
    if (const auto* need = std::get_if<NeedPrefix>(&message)) {
      Apply(state, now, KeyWanted{from, *need});
      return false;
    }
    // A relay speaks for itself: it cannot deliver. As a hop nobody speaks without a seal.
    const bool relays = std::holds_alternative<NeedRoute>(message);
    if (relays && !IsHopOf(state, *word.session, from)) return true;
  }
  const absl::Status sealed = CheckSeal(RowsKeyOf(*key, from), message);
  if (sealed.ok()) return true;
  parts.log.Debug("broken_seal", {{"why", Message(sealed)}});
  Apply(state, now, SealBroken{});
  return false;
}

// Of a route that is not signed, or whose hops nothing can be sealed for, the reason in place of
// the grant.
void Edge::Rest::DrawKeys(Time now, EdgeReceived& received) {
  auto* route = std::get_if<Route>(&received.message);
  if (route == nullptr || !route->status.ok()) return;
  // Nobody waits for it: no signature is looked at, and whoever takes the message counts it.
  if (FindRouting(state, received.from, route->request) == nullptr) return;
  absl::Status is_signed = CheckSignature(SignersOf(state.coordinators), route->grant);
  if (!is_signed.ok()) {
    Apply(state, now, RouteForged{});
    route->status = std::move(is_signed);
    return;
  }
  auto keys = NewRouteKeys(route->grant, *parts.keys);
  if (keys.ok()) {
    received.keys = *std::move(keys);
  } else {
    route->status = keys.status();
  }
}

void Edge::Rest::SendOwed() {
  for (const Introduction& peer : state.introduce) {
    parts.transport.Introduce(peer);
  }
  state.introduce.clear();
  for (Outgoing& outgoing : state.outbox) {
    if (outgoing.seal) SealMessage(*outgoing.seal, outgoing.message);
    const absl::Status sent = parts.transport.Send(outgoing.to, std::move(outgoing.message));
    // Lost, as on any network: what needs an answer has a deadline and is sent again.
    if (!sent.ok()) parts.log.Debug("not_sent", {{"why", Message(sent)}});
  }
  state.outbox.clear();
}

bool Edge::Rest::Execute(Time now) {
  Join(now);
  RunSessions(now);
  const bool middle_changed = RunMiddle(now);
  const bool started = RunEngine(now);
  return started || middle_changed || !plan.send_hello.empty() || !plan.send_status.empty() ||
         plan.admit >= 0 || !plan.ask_route.empty() || !plan.route_timed_out.empty() ||
         !plan.deadline_passed.empty();
}

void Edge::Rest::Join(Time now) {
  for (const int to : plan.send_hello) {
    state.outbox.push_back({.to = CoordinatorNode(to),
                            .message = Hello{.role = Role::kEdge,
                                             .name = state.options.name,
                                             .model = state.options.model,
                                             .endpoint = parts.transport.endpoint()}});
    Apply(state, now, EdgeHelloSent{to});
  }
  for (const int to : plan.send_status) {
    NodeStatus status = StatusOf(state, to);
    AskRoundTrip(state.coordinators, to, now, state.options.model, status);
    state.outbox.push_back({.to = CoordinatorNode(to), .message = std::move(status)});
    Apply(state, now, EdgeStatusSent{to});
  }
}

void Edge::Rest::RunSessions(Time now) {
  for (const int slot : plan.route_timed_out) Apply(state, now, RouteTimedOut{slot});
  for (const int slot : plan.deadline_passed) Apply(state, now, DeadlinePassed{slot});
  for (const int index : plan.ask_route) {
    const EdgeSlot& slot = state.slots[static_cast<size_t>(index)];
    for (const int to : CoordinatorsToAsk(state, slot, now)) {
      state.outbox.push_back({.to = CoordinatorNode(to),
                              .message = RouteRequest{.request = slot.route_request,
                                                      .model = state.options.model,
                                                      .front_layers = state.options.front_layers,
                                                      .back_layers = state.options.back_layers,
                                                      .positions_max = slot.positions_max,
                                                      .missed = slot.missed}});
    }
    Apply(state, now, RouteAsked{index});
  }
  if (plan.admit >= 0) {
    Apply(state, now, Admitted{plan.admit});
    const int pages = state.slots[static_cast<size_t>(plan.admit)].pages;
    // Cannot fail: the plan counted the pages.
    CHECK(parts.engine.kv()
              .Reserve(tables[static_cast<size_t>(plan.admit)], 0, pages * kKvPagePositions)
              .ok());
  }
}

void Edge::Rest::PollMiddle(Time now) {
  if (parts.loading == nullptr || parts.loading->PollDone() == nullptr) return;
  if (!middle_job.loads) return Apply(state, now, MiddleUnloaded{});
  if (middle_job.status.ok()) {
    const Engine& engine = *middle.engine;
    // Pages for all slots, as long as each may become: GoAlone counts on it.
    const int pages = std::min(
        EdgePagesFor(state.options, 1, state.options.context_max) * state.options.n_parallel,
        state.options.kv_pages);
    CHECK(middle.engine->kv().positions_max() >= pages * kKvPagePositions);
    CHECK(engine.options().context_max >= parts.engine.options().context_max);
    parts.log.Info("middle_loaded", {{"ms", Milliseconds(now - state.middle.loading_since)},
                                     {"bytes", engine.weight_bytes()}});
  } else {
    parts.log.Warning("cannot_take_over", {{"why", Message(middle_job.status)}});
  }
  Apply(state, now, MiddleLoaded{middle_job.status});
}

bool Edge::Rest::RunMiddle(Time now) {
  for (const int slot : plan.go_alone) GoAlone(now, slot);
  if (!plan.load_middle && !plan.unload_middle) return !plan.go_alone.empty();
  middle_job.loads = plan.load_middle;
  if (plan.load_middle) {
    parts.log.Info("middle_loads");
    Apply(state, now, MiddleLoadStarted{});
  } else {
    parts.log.Info("middle_unloads");
    Apply(state, now, MiddleUnloadStarted{});
  }
  parts.loading->Submit(&middle_job);
  return true;
}

void Edge::Rest::GoAlone(Time now, int index) {
  const EdgeSlot& slot = state.slots[static_cast<size_t>(index)];
  // Cannot fail: its pages were counted when it was loaded.
  CHECK(middle.engine->kv()
            .Reserve(middle.tables[static_cast<size_t>(index)], 0, slot.pages * kKvPagePositions)
            .ok());
  const std::string waited = "no route within " + InSeconds(now - slot.routing_since);
  parts.log.Warning("takes_over",
                    {{"first_layer", state.options.front_layers},
                     {"end", state.options.model.n_layers - state.options.back_layers},
                     {"positions", slot.tokens.size()},
                     {"why", slot.given_up.ok() ? waited : Message(slot.given_up)}});
  Apply(state, now, WentAlone{index});
}

bool Edge::Rest::RunEngine(Time now) {
  if (!plan.release.empty()) {
    release_job.slots = plan.release;
    Apply(state, now, EdgeReleaseStarted{});
    parts.jobs.Submit(&release_job);
  } else if (!plan.back.empty()) {
    Apply(state, now, BackStarted{&plan.back});
    back_job.Prepare(state.running, state.slots, tables);
    parts.jobs.Submit(&back_job);
  } else if (!plan.front.empty()) {
    Apply(state, now, FrontStarted{&plan.front, plan.prefill_waits});
    front_job.Prepare(state.running, state.slots, tables);
    parts.jobs.Submit(&front_job);
  } else {
    return false;
  }
  return true;
}

}  // namespace mortar
