#include "cli/cluster_edge.h"

#include <chrono>
#include <optional>
#include <utility>

#include "cli/route_figures.h"
#include "edge/loop.h"

namespace mortar {
namespace {

// A session that has ended gives its place back while the next one begins.
constexpr int kSessions = 2;
// MPI loses nothing, and a rank that stands still is noticed by its silence (kStatusAgeMax).
constexpr Duration kStepDeadline = std::chrono::hours(1);

}  // namespace

struct ClusterEdge::State {
  State(const SessionOptions& s, const NodeParts& p, ClusterRoot& r)
      : session(s), parts(p), root(r) {}
  ~State() { root.Drive(nullptr, nullptr); }

  absl::Status Start();
  // One turn; the error is that of the job as a whole.
  absl::Status Turn();

  const SessionOptions session;
  const NodeParts parts;
  ClusterRoot& root;
  PumpedJobs jobs;
  std::optional<KeyPair> keys;  // where the job's nodes have some: made for it, kept nowhere
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Edge> edge;
  RouteFigures figures;
  Duration compute{};  // of the last answer
};

absl::Status ClusterEdge::State::Start() {
  if (root.sealed()) keys = NewKeyPair();
  transport = root.network().Attach(NodeOfRank(0), keys ? keys->public_key : PublicKey{});
  ASSIGN_OR_RETURN(engine, LoadEdgeEngine({parts.model, parts.kernels, parts.pool}, session.cut,
                                          {session.context, kSessions, session.kv_type,
                                           session.drafting.step_rows()}));
  EdgeOptions options = EdgeOptionsOf(session, ModelIdOf(parts.model, session.kv_type), "edge");
  if (!root.open()) options.step_deadline = kStepDeadline;
  options.sealed = keys.has_value();
  SayEdgeBytes(parts.model, options);
  ASSIGN_OR_RETURN(edge, Edge::Create(options, {*transport, parts.clock, jobs, parts.log, *engine,
                                                *parts.model.tokenizer, keys ? &*keys : nullptr}));
  root.Drive(edge.get(), &jobs);
  return root.WaitUntilOpen([this] { return Turn(); });
}

absl::Status ClusterEdge::State::Turn() {
  RETURN_IF_ERROR(root.Turn());
  if (PhaseOf(edge->state().coordinators) == Membership::kRefused) {
    return WithContext(RefusalOf(edge->state().coordinators), "the edge was refused");
  }
  return absl::OkStatus();
}

ClusterEdge::ClusterEdge(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClusterEdge::~ClusterEdge() = default;

absl::StatusOr<std::unique_ptr<ClusterEdge>> ClusterEdge::Start(const SessionOptions& session,
                                                                const NodeParts& parts,
                                                                ClusterRoot& root) {
  auto state = std::make_unique<State>(session, parts, root);
  RETURN_IF_ERROR(state->Start());
  return std::unique_ptr<ClusterEdge>(new ClusterEdge(std::move(state)));
}

absl::StatusOr<Finished> ClusterEdge::Generate(GenerateRequest request, const AnswerSinks& sinks) {
  State& s = *state_;
  const auto on_routed = [&](const Routed& routed) {
    s.figures.Begin(routed.hops);
    return sinks.on_route(RouteOf(routed, s.session.cut, s.parts.model));
  };
  const auto turn = [&] { return s.Turn(); };
  auto finished = RunToEnd(*s.edge, std::move(request), turn, on_routed, sinks);
  if (!finished.ok()) return finished;
  s.figures.Collect(*s.edge, s.parts.clock, [&] { (void)s.Turn(); });
  s.compute = finished->timings.compute;
  return finished;
}

std::vector<HopTraffic> ClusterEdge::Traffic() const {
  return state_->figures.Of(*state_->transport, state_->compute);
}

absl::Status ClusterEdge::Afterwards() {
  if (!state_->root.open()) return absl::OkStatus();
  return state_->root.Serve([this] { return state_->Turn(); });
}

}  // namespace mortar
