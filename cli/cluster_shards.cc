#include "cli/cluster_shards.h"

#include <thread>

#include "cli/console.h"
#include "cli/model.h"
#include "engine/model/shard.h"
#include "protocol/mpi_transport.h"

namespace mortar {

HopRanks HopRanksOf(const Settings& settings) {
  return {.per_hop = static_cast<int>(settings.Int("tp"))};
}

absl::Status CheckShards(const Settings& settings, const ModelConfig& config) {
  const absl::Status fits = CheckShard(config, {0, HopRanksOf(settings).per_hop});
  return fits.ok() ? fits : UsageError(settings.Where("tp") + ": " + Message(fits));
}

absl::Status WeightsGone() {
  return FailedPrecondition("this rank was placed again, and its weights were given back");
}

HopShards::HopShards(HopRanks ranks, NodeEngineOptions engine, Parts parts)
    : parts_(std::move(parts)),
      engine_(std::move(engine)),
      shards_(ranks.LeaderOf(ranks.HopOf(parts_.world.rank())), ranks.per_hop, parts_.world.rank(),
              {parts_.world.mpi(), parts_.world.second_job(), parts_.calls, parts_.node.clock,
               parts_.check, parts_.describe}) {
  engine_.sharding = {.shard = {shards_.index(), shards_.count()},
                      .all_gather = [this](std::span<std::byte> all, std::span<const size_t> ends) {
                        return shards_.AllGather(all, ends);
                      }};
}

absl::StatusOr<std::unique_ptr<Engine>> HopShards::LoadOwn(const Placement& placement) {
  if (parts_.node.model.file == nullptr) return WeightsGone();
  auto engine = LoadWorkerEngine({parts_.node.model, parts_.node.kernels, parts_.node.pool},
                                 placement, engine_);
  parts_.loaded();
  return engine;
}

ShardLoad HopShards::LoadOf(LayerRange layers) const {
  const ModelId model = ModelIdOf(parts_.node.model, engine_.kv_type);
  return {.layers = layers,
          .kv = model.kv,
          .context = engine_.context,
          .sessions = engine_.sessions,
          .model = model.digest};
}

// --- The leader ---

absl::StatusOr<std::unique_ptr<Engine>> HopShards::Load(const Placement& placement) {
  ShardOrder order;
  order.kind = ShardOrderKind::kLoad;
  order.load = LoadOf(placement.layers);
  Tell(order, {});
  absl::StatusOr<std::unique_ptr<Engine>> own = LoadOwn(placement);
  // Also when the own load failed: an answer that stays would be taken for the next load's.
  const absl::Status others = shards_.Answers();
  if (own.ok()) RETURN_IF_ERROR(others);
  return own;
}

void HopShards::Tell(const ShardOrder& order, std::span<const float> rows) {
  WriteShardOrder(order, words_);
  (void)shards_.Tell(words_, std::as_bytes(rows));  // failure() says so
}

absl::Status HopShards::End() {
  Tell({.kind = ShardOrderKind::kEnd, .load = {}, .frames = {}, .places = {}}, {});
  LogEnd();
  return failure();
}

// --- The others ---

absl::Status HopShards::Follow() {
  Follower follower(LoadOf({}), [this](LayerRange layers) {
    Placement placement;
    placement.layers = layers;
    return LoadOwn(placement);
  });
  RowsPool pool;
  Time heard = parts_.node.clock.Now();
  for (;;) {
    RETURN_IF_ERROR(parts_.check());
    if (!shards_.Hear(words_)) {
      std::this_thread::sleep_for(MpiNap(parts_.node.clock.Now() - heard));
      continue;
    }
    RETURN_IF_ERROR(failure());
    RETURN_IF_ERROR(ReadShardOrder(words_, order_));
    if (order_.kind == ShardOrderKind::kEnd) break;
    RETURN_IF_ERROR(Obey(follower, pool));
    heard = parts_.node.clock.Now();
  }
  LogEnd();
  return absl::OkStatus();
}

absl::Status HopShards::Obey(Follower& follower, RowsPool& pool) {
  if (order_.kind == ShardOrderKind::kLoad) {
    const absl::Status loaded = follower.Load(order_.load);
    if (!loaded.ok()) {
      parts_.node.log.Debug("load_failed", {{"why", Message(loaded)}});
    } else {
      parts_.node.log.Info("loaded", {{"layers", ToString(order_.load.layers)},
                                      {"shard", shards_.index()},
                                      {"weight_bytes", follower.engine()->weight_bytes()}});
    }
    (void)shards_.Answer(loaded);
  } else if (order_.kind == ShardOrderKind::kRelease) {
    RETURN_IF_ERROR(follower.Release(order_.places));
  } else {
    RETURN_IF_ERROR(follower.CheckBatch(order_.frames));
    Rows rows = pool.Take(static_cast<int>(RowsOf(order_)), parts_.node.model.config.n_embd);
    if (shards_.HearRows({reinterpret_cast<std::byte*>(rows.mutable_data()), rows.bytes()})) {
      RETURN_IF_ERROR(follower.Run(order_.frames, rows.data()));
    }
  }
  return failure();
}

void HopShards::LogEnd() const {
  parts_.node.log.Info("shard_ended", {{"shard", shards_.index()},
                                       {"gathers", shards_.gathers()},
                                       {"gather_bytes_sent", shards_.bytes_sent()}});
}

}  // namespace mortar
