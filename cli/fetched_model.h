// A worker's model without its file: the outline and the bricks come from other nodes into a
// folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/hosted_model.h"
#include "common/status.h"
#include "engine/brick/cache.h"
#include "engine/brick/outline.h"
#include "protocol/brick_exchange.h"
#include "protocol/zmq_transport.h"
#include "worker/loop.h"

namespace mortar {

class FetchedModel {
 public:
  // --brick-cache and --brick-cache-size. Joins the coordinator under another id, without a model,
  // until it has learned of one and has its outline; waits as long as no node has said which. One
  // that does not come, or is not of this model, is logged and tried again, a few times. The error
  // of a signal; of the coordinator that refuses this node; of the folder; of the last try.
  static absl::StatusOr<std::unique_ptr<FetchedModel>> Fetch(const CommandContext& context,
                                                             const ZmqOptions& link,
                                                             const std::string& name);

  // Its file lists all tensors and holds next to none; it has no tokenizer.
  const HostedModel& model() const { return model_; }
  const Digest& outline_digest() const { return outline_digest_; }
  BrickCache& cache() { return *cache_; }
  // What the folder may have beside the outline.
  uint64_t BytesForBricks() const;
  // ResourceExhausted, with the numbers, for bricks that take more together.
  absl::Status CheckFits(uint64_t bytes) const;
  // The model with the tensors of these bricks, which are in the folder.
  absl::StatusOr<HostedModel> WithBricks(const std::vector<LayerBrick>& bricks) const;
  // What is to be fetched of them.
  std::vector<WantedBrick> WantedOf(const std::vector<LayerBrick>& bricks) const;

 private:
  FetchedModel() = default;
  absl::Status FetchOutline(const CommandContext& context, ZmqOptions link,
                            const std::string& name);
  absl::Status TakeOutline(const Sources& sources);

  std::unique_ptr<BrickCache> cache_;
  Digest outline_digest_;
  Outline outline_;
  HostedModel model_;
};

// Fetches what a worker is to host.
class CacheFetcher final : public BrickFetcher {
 public:
  // All of these outlive the fetcher.
  CacheFetcher(FetchedModel& model, BrickExchange& exchange, const Logger& log)
      : model_(model), exchange_(exchange), log_(log) {}

  void Fetch(const std::vector<LayerBrick>& bricks) override;
  std::optional<absl::Status> Fetched() override;

 private:
  FetchedModel& model_;
  BrickExchange& exchange_;
  const Logger& log_;
  absl::Status fits_;  // what is to be fetched into the folder
  FetchCounters before_;
};

}  // namespace mortar
