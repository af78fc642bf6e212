// What rank 0 of an MPI job does: coordinator and edge, or with --listen and no prompt coordinator
// alone.
#include <memory>
#include <optional>
#include <utility>

#include "cli/answer.h"
#include "cli/cluster_edge.h"
#include "cli/cluster_gate.h"
#include "cli/cluster_rank.h"
#include "cli/cut.h"
#include "cli/distribute.h"
#include "cli/node_process.h"

namespace mortar {
namespace {

// Without a prompt an open job's rank 0 is no edge. Standard input is the prompt where -p or -f
// says "-": a service has none.
bool HasPrompt(const Rank& rank) {
  return !rank.open() || rank.context.settings.Has("prompt") || rank.context.settings.Has("file");
}

// In the order in which the last is gone first.
struct Root {
  RowsPool pool;
  std::unique_ptr<ClusterGate> gate;  // null where the job is not open
  std::unique_ptr<MpiNetwork> network;
  std::unique_ptr<ClusterRoot> root;
  bool agreed = false;  // all ranks were told whether this one can begin
};

// What can be wrong here before anything is loaded: said by one rank for all.
absl::Status Prepare(const Rank& rank, const HostedModel& model, const SessionOptions& session,
                     Root& root) {
  const Settings& settings = rank.context.settings;
  RETURN_IF_ERROR(ReadCutFor(rank.workers(), settings, model.config.n_layers).status());
  RETURN_IF_ERROR(CheckShards(settings, model.config));
  if (!rank.open()) return absl::OkStatus();
  ASSIGN_OR_RETURN(root.gate,
                   ClusterGate::Open(rank.context, ModelIdOf(model, session.kv_type), root.pool));
  return absl::OkStatus();
}

// Agrees with all ranks to begin, and makes the coordinator.
absl::Status Begin(const Rank& rank, const HostedModel& model, const SessionOptions& session,
                   Root& root) {
  const CommandContext& context = rank.context;
  const absl::Status prepared = Prepare(rank, model, session, root);
  root.agreed = true;
  RETURN_IF_ERROR(rank.launch.Agree(prepared));
  if (context.settings.Bool("distribute")) {
    MpiBroadcast broadcast = rank.NewBroadcast();
    RETURN_IF_ERROR(SendModel(model, broadcast));
    context.log.Info("distributed", {{"bytes", broadcast.bytes()}});
  }
  root.network = std::make_unique<MpiNetwork>(0, rank.world.size(), model.config.n_embd,
                                              rank.NetworkParts(root.pool));
  root.root = std::make_unique<ClusterRoot>(
      ClusterRootOptions{.workers = rank.workers(),
                         .ranks = rank.hops(),
                         .measured = PlacesMeasured(context.settings),
                         .awake_max = AwakeMax(context.settings),
                         .model = ModelIdOf(model, session.kv_type),
                         .cut = session.cut,
                         .context = session.context,
                         .describe = [&](int worker) { return rank.launch.Describe(worker); }},
      ClusterRoot::Parts{context.clock, context.log, *root.network, root.gate.get()});
  return absl::OkStatus();
}

void SayOpen(const Rank& rank, const Root& root) {
  if (root.gate == nullptr) return;
  rank.context.console.Note("mortar: coordinator at " + root.gate->endpoint() +
                            ", for edges and workers outside this job");
}

absl::Status AnswerHere(const Rank& rank, Root& root) {
  const auto start = [&](const AnswerInput& in) -> absl::StatusOr<std::unique_ptr<AnsweringNodes>> {
    RETURN_IF_ERROR(Begin(rank, in.model, in.session, root));
    ASSIGN_OR_RETURN(std::unique_ptr<AnsweringNodes> edge,
                     ClusterEdge::Start(in.session,
                                        {in.model, *in.compute.kernels, *in.compute.pool,
                                         rank.context.clock, rank.context.log},
                                        *root.root));
    SayOpen(rank, root);
    return edge;
  };
  return AnswerPrompt(rank.context, start);
}

absl::Status ServeOthers(const Rank& rank, Root& root) {
  const CommandContext& context = rank.context;
  ASSIGN_OR_RETURN(const HostedModel model,
                   OpenHostedModel(context.settings, context.environment, context.log));
  ASSIGN_OR_RETURN(const SessionOptions session,
                   ReadSessionOptions(context.settings, model.config));
  RETURN_IF_ERROR(Begin(rank, model, session, root));
  const auto turn = [&] { return root.root->Turn(); };
  RETURN_IF_ERROR(root.root->WaitUntilOpen(turn));
  SayOpen(rank, root);
  return root.root->Serve(turn);
}

}  // namespace

absl::Status RunRankZero(const Rank& rank) {
  absl::Status status = rank.launch.Check();
  if (status.ok()) status = CheckGateFlags(rank.context.settings);
  const std::string warning = WireWarning(rank.launch.cards());
  if (status.ok() && !warning.empty()) rank.context.console.Note("mortar: warning: " + warning);
  Root root;
  if (status.ok()) status = HasPrompt(rank) ? AnswerHere(rank, root) : ServeOthers(rank, root);
  if (!root.agreed) return rank.launch.Agree(status);
  if (!status.ok() && root.root != nullptr) root.root->SayEnd(status);
  RETURN_IF_ERROR(status);
  return root.network->Leave(CheckInterrupted);
}

}  // namespace mortar
