// How fast this node computes, before anybody has asked it to.
#pragma once

#include "cli/node_parts.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status.h"
#include "worker/state.h"

namespace mortar {

// Time of a token for each byte of weights that it reads here, in ns: tokens are computed in some
// of the model's own layers, the first ones of `only` or of the whole model, as many as are larger
// than common caches. The mean of half a second or more, so that a machine that is shared out by
// time slices counts as what it is. Takes up to a second or so, and memory for those layers, which
// is given back. The errors are those of loading them.
absl::StatusOr<double> MeasureNsPerByte(const NodeCompute& compute, LayerRange only, KvType kv_type,
                                        const Clock& clock);

// What a worker says of itself for a measured placement: its speed, and what its KV takes. A speed
// that cannot be measured is warned of and not said: the coordinator then places layers evenly.
void SayWorkerSpeed(const NodeCompute& compute, const NodeEngineOptions& engine, const Clock& clock,
                    const Logger& log, WorkerOptions& options);

}  // namespace mortar
