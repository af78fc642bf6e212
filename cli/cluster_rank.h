// One rank of an MPI job, as both kinds of them are given it.
#pragma once

#include "cli/cluster_launch.h"
#include "cli/cluster_shards.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "protocol/mpi_broadcast.h"
#include "protocol/mpi_transport.h"
#include "protocol/mpi_world.h"

namespace mortar {

struct Rank {
  const CommandContext& context;
  MpiWorld& world;
  Launch& launch;

  HopRanks hops() const { return HopRanksOf(context.settings); }
  int workers() const { return (world.size() - 1) / hops().per_hop; }
  // What rank 0 was started with, whatever this one was. After Gather.
  bool open() const { return launch.cards()[0].open == 1; }      // --listen
  bool sealed() const { return launch.cards()[0].sealed == 1; }  // and --keys: all nodes have some
  MpiBroadcast NewBroadcast() const {
    return {world.mpi(), world.job(), context.clock, CheckInterrupted};
  }
  MpiNetwork::Parts NetworkParts(RowsPool& pool) const {
    return {.mpi = world.mpi(),
            .job = world.job(),
            .clock = context.clock,
            .pool = pool,
            .open = open(),
            .ranks_per_node = hops().per_hop};
  }
};

// Sizes given are those of ranks, whatever their speed; what a rank measures alone says nothing of
// the ranks that share a worker's layers, which wait for one another; and a rank that gets its
// layers from rank 0 has them before anything is measured.
inline bool PlacesMeasured(const Settings& settings) {
  return settings.String("place") == "measured" && !settings.Has("layers") &&
         !settings.Bool("distribute") && HopRanksOf(settings).per_hop == 1;
}

// Rank 0: until its prompt is answered, or, where the job is open, until a signal. When it returns
// OK the job is over at all ranks.
absl::Status RunRankZero(const Rank& rank);

}  // namespace mortar
