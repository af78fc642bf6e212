// cluster: one rank of a job that mpirun started. Rank 0 is coordinator and edge, or coordinator
// alone (cluster_root.cc), all others are workers; the answer and every error come from one rank
// alone.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "cli/call_limit.h"
#include "cli/cluster_rank.h"
#include "cli/cluster_root.h"
#include "cli/cut.h"
#include "cli/distribute.h"
#include "cli/machine_memory.h"
#include "cli/model.h"
#include "cli/node_process.h"
#include "cli/speed_probe.h"
#include "protocol/waited.h"
#include "worker/loop.h"

namespace mortar {
namespace {

// A rank whose error another one tells waits so long to be ended by it.
constexpr Duration kToldElsewhereMax = std::chrono::seconds(10);
// For all ranks to come to MPI's own beginning: mpirun starts them within seconds, and a program on
// a slow network file system takes some more.
constexpr Duration kMpiJoinMax = std::chrono::minutes(1);
// How long a worker of an open job that got a signal stays: mpirun ends all ranks a second after
// its SIGTERM, and at once when one of them goes (OpenMPI 4.1 does not go on with a sleep that the
// end of a child cut short). So rank 0, which has edges outside to tell, goes first.
constexpr Duration kRankZeroFirst = std::chrono::milliseconds(800);
// As the embedded run, where rank 0's edge is the only one.
constexpr int kSessions = 2;

// What a worker is made of, read before all ranks agree that they can begin.
struct WorkerSetup {
  HostedModel model;
  WorkerOptions options;
  NodeEngineOptions engine;
  Compute compute;
  std::optional<KeyPair> keys{};  // made for this job, and kept nowhere
};

// In the order of ranks, which people chose, and not in that of joining, which is chance.
absl::StatusOr<LayerRange> OwnLayers(const Rank& rank, int n_layers) {
  ASSIGN_OR_RETURN(const CutRequest cut,
                   ReadCutFor(rank.workers(), rank.context.settings, n_layers));
  return RangesOf(cut)[static_cast<size_t>(rank.hops().HopOf(rank.world.rank()))];
}

// Needs: the model is there.
absl::Status MakeWorker(const Rank& rank, WorkerSetup& setup) {
  const Settings& settings = rank.context.settings;
  const ModelConfig& config = setup.model.config;
  const KvType kv_type = KvTypeOf(settings.String("kv"));
  WorkerOptions& options = setup.options;
  RETURN_IF_ERROR(CheckShards(settings, config));
  options.name = "rank-" + std::to_string(rank.world.rank());
  options.model = ModelIdOf(setup.model, kv_type);
  options.bricks = LayerBricksOf(setup.model.manifest);
  if (!PlacesMeasured(settings)) {
    ASSIGN_OR_RETURN(options.layers_only, OwnLayers(rank, config.n_layers));
  }
  options.memory_bytes = AvailableMemory();
  options.sessions_max = rank.open() ? static_cast<int>(settings.Int("parallel")) : kSessions;
  options.rows_max = kNodeRowsMax;
  options.starter_reports = true;
  setup.engine = {.sessions = options.sessions_max, .kv_type = kv_type};
  ASSIGN_OR_RETURN(setup.engine.context, ContextSize(settings, config.n_ctx_train));
  options.kv_bytes_per_layer = KvBytesPerLayer(config, setup.engine);
  if (rank.sealed()) setup.keys = NewKeyPair();
  ASSIGN_OR_RETURN(setup.compute, MakeCompute(settings));
  return absl::OkStatus();
}

absl::Status ReadWorker(const Rank& rank, WorkerSetup& setup) {
  RETURN_IF_ERROR(rank.launch.Check());
  ASSIGN_OR_RETURN(setup.model, OpenHostedModel(rank.context.settings, rank.context.environment,
                                                rank.context.log));
  return MakeWorker(rank, setup);
}

// With --distribute: all agree that rank 0 has read the model, and then it comes.
absl::Status TakeWorker(const Rank& rank, WorkerSetup& setup) {
  RETURN_IF_ERROR(rank.launch.Agree(rank.launch.Check()));
  MpiBroadcast broadcast = rank.NewBroadcast();
  ASSIGN_OR_RETURN(setup.model,
                   TakeModel([&](int n_layers) { return OwnLayers(rank, n_layers); }, broadcast));
  return MakeWorker(rank, setup);
}

// With --distribute what came from rank 0 is given back when it is loaded: a rank is placed once.
void GiveBack(const Rank& rank, WorkerSetup& setup) {
  if (rank.context.settings.Bool("distribute")) setup.model.file.reset();
}

// The layers of a placement.
absl::StatusOr<std::unique_ptr<Engine>> LoadRankEngine(const Rank& rank, WorkerSetup& setup,
                                                       const Placement& placement) {
  if (setup.model.file == nullptr) return WeightsGone();
  auto engine = LoadWorkerEngine({setup.model, *setup.compute.kernels, *setup.compute.pool},
                                 placement, setup.engine);
  GiveBack(rank, setup);
  return engine;
}

// Rank 0 reads its own layers before it answers a Hello. The ranks say so one after the other, as
// in the muster.
absl::Status CheckWelcomed(const Rank& rank, Membership phase, Waited& waited) {
  if (phase != Membership::kJoining) return absl::OkStatus();
  const Duration longest = kMusterReadyMax + (rank.world.rank() - 1) * kMusterTurn;
  if (waited.At(rank.context.clock.Now()) <= longest) return absl::OkStatus();
  return Unavailable(rank.launch.Describe(0) + " has let nobody join within " +
                     InSeconds(kMusterReadyMax));
}

// Null where this rank shares its layers with none.
std::unique_ptr<HopShards> ShardsOf(const Rank& rank, WorkerSetup& setup, std::mutex& calls) {
  if (rank.hops().per_hop == 1) return nullptr;
  const CommandContext& context = rank.context;
  const NodeParts node = {setup.model, *setup.compute.kernels, *setup.compute.pool, context.clock,
                          context.log};
  return std::make_unique<HopShards>(
      rank.hops(), setup.engine,
      HopShards::Parts{rank.world, calls, node,
                       [&rank](int other) { return rank.launch.Describe(other); }, CheckInterrupted,
                       [&rank, &setup] { GiveBack(rank, setup); }});
}

TellShards TellOf(HopShards* shards) {
  if (shards == nullptr) return {};
  return
      [shards](const ShardOrder& order, std::span<const float> rows) { shards->Tell(order, rows); };
}

absl::Status RunWorker(const Rank& rank) {
  const CommandContext& context = rank.context;
  WorkerSetup setup;
  if (context.settings.Bool("distribute")) {
    RETURN_IF_ERROR(TakeWorker(rank, setup));
  } else {
    RETURN_IF_ERROR(rank.launch.Agree(ReadWorker(rank, setup)));
  }
  if (PlacesMeasured(context.settings)) {
    SayWorkerSpeed({setup.model, *setup.compute.kernels, *setup.compute.pool}, setup.engine,
                   context.clock, context.log, setup.options);
  }
  RowsPool pool;
  std::mutex calls;
  MpiNetwork::Parts network_parts = rank.NetworkParts(pool);
  network_parts.calls = &calls;
  MpiNetwork network(rank.world.rank(), rank.world.size(), setup.model.config.n_embd,
                     network_parts);
  const std::unique_ptr<HopShards> shards = ShardsOf(rank, setup, calls);
  if (shards != nullptr && !shards->leads()) {
    RETURN_IF_ERROR(shards->Follow());
    return network.Leave(CheckInterrupted);
  }
  const auto transport = network.Attach(NodeOfRank(rank.world.rank()),
                                        setup.keys ? setup.keys->public_key : PublicKey{});
  PumpedJobs jobs;
  Worker worker(setup.options, {.transport = *transport,
                                .clock = context.clock,
                                .jobs = jobs,
                                .log = context.log,
                                .load =
                                    [&](const Placement& placement) {
                                      if (shards != nullptr) return shards->Load(placement);
                                      return LoadRankEngine(rank, setup, placement);
                                    },
                                .keys = setup.keys ? &*setup.keys : nullptr,
                                .tell = TellOf(shards.get())});
  LoopDriver driver(worker, &jobs, IdleOnMpi(network, AwakeMax(context.settings)), context.clock);
  Waited waited;
  while (!network.over()) {
    RETURN_IF_ERROR(CheckInterrupted());
    RETURN_IF_ERROR(CheckWelcomed(rank, PhaseOf(worker.state().coordinators), waited));
    driver.Turn(kIdleWaitMax);
    RETURN_IF_ERROR(network.failure());
    if (shards != nullptr) RETURN_IF_ERROR(shards->failure());
    if (PhaseOf(worker.state().coordinators) != Membership::kRefused) continue;
    return WithContext(RefusalOf(worker.state().coordinators),
                       "the coordinator refused this worker");
  }
  if (shards != nullptr) RETURN_IF_ERROR(shards->End());
  return network.Leave(CheckInterrupted);
}

absl::Status RunRank(const Rank& rank) {
  RETURN_IF_ERROR(rank.launch.Gather());
  rank.context.log.Info(
      "rank_started",
      {{"rank", rank.world.rank()}, {"ranks", rank.world.size()}, {"process", getpid()}});
  return rank.world.rank() == 0 ? RunRankZero(rank) : RunWorker(rank);
}

// The whole job with this rank: its line first, then an end for all others.
[[noreturn]] void EndJob(const Rank& rank, const absl::Status& status) {
  if (!rank.launch.tells()) {
    const Time start = rank.context.clock.Now();
    while (InterruptSignal() == 0 && rank.context.clock.Now() - start < kToldElsewhereMax) {
      std::this_thread::sleep_for(kIdleWaitMax);
    }
    _exit(kExitFailed);
  }
  const int index = rank.world.rank();
  const absl::Status from_rank = WithContext(status, rank.launch.Describe(index));
  const absl::Status told = index == 0             ? status
                            : IsUsageError(status) ? UsageError(Message(from_rank))
                                                   : from_rank;
  rank.world.Abort(rank.context.console.Finish(told));
}

absl::StatusOr<std::string> ProgramFolder() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return ErrnoStatus(error.value(), "read /proc/self/exe");
  return program.parent_path().string();
}

// The rank that mpirun says this is; 0 where another launcher does not.
int LaunchedRank(const Environment& environment) {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK"}) {
    const auto found = environment.find(variable);
    if (found == environment.end()) continue;
    return std::clamp(std::atoi(found->second.c_str()), 0, kMpiRanksMax);
  }
  return 0;
}

// MPI's own beginning and end return when all ranks have come there, and do not say who has not.
CallLimit LimitOf(const CommandContext& context, int rank, Duration limit, const char* what) {
  return CallLimit(limit + rank * kMusterTurn, context.clock, [&context, rank, limit, what] {
    _exit(context.console.Finish(Unavailable("rank " + std::to_string(rank) + " (process " +
                                             std::to_string(getpid()) + "): not all ranks have " +
                                             what + " MPI within " + InSeconds(limit))));
  });
}

absl::StatusOr<std::unique_ptr<MpiWorld>> JoinJob(const CommandContext& context) {
  RETURN_IF_ERROR(CheckLaunched(context.environment));
  ASSIGN_OR_RETURN(const std::string folder, ProgramFolder());
  const CallLimit limit = LimitOf(context, LaunchedRank(context.environment), kMpiJoinMax, "begun");
  return MpiWorld::Join(folder);
}

absl::Status LeaveJob(const CommandContext& context, MpiWorld& world) {
  const CallLimit limit = LimitOf(context, world.rank(), kMpiLeaveMax, "left");
  return world.Leave();
}

}  // namespace

absl::Status ClusterCommand(const CommandContext& context) {
  ASSIGN_OR_RETURN(const std::unique_ptr<MpiWorld> world, JoinJob(context));
  Launch launch(*world, context.settings, context.clock);
  const Rank rank{context, *world, launch};
  absl::Status status = RunRank(rank);
  // A signal: mpirun sees that this rank left without a word to the others, and ends them.
  if (InterruptSignal() != 0) {
    if (rank.open() && world->rank() != 0) std::this_thread::sleep_for(kRankZeroFirst);
    return status;
  }
  if (status.ok()) status = LeaveJob(context, *world);
  if (!status.ok()) EndJob(rank, status);
  return status;
}

}  // namespace mortar
