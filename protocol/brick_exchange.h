// Bricks over the links of a node: what stands between its loop and its transport. The messages
// about bricks it takes for itself, all others it hands on, and what it sends it sends when none
// waits for the loop, or behind some dozens of them: rows go first.
//
// Files are read, written and hashed by jobs of its own queue, one at a time. It is driven by the
// loop's Poll, and so by the loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/brick_store.h"
#include "common/clock.h"
#include "common/job_queue.h"
#include "common/log.h"
#include "protocol/brick_fetch.h"
#include "protocol/brick_serve.h"
#include "protocol/transport.h"

namespace mortar {

class BrickExchange final : public Transport {
 public:
  // All of these outlive the exchange; `jobs` is its alone.
  struct Parts {
    Transport& transport;
    BrickStore& store;
    const Clock& clock;
    JobQueue& jobs;
    const Logger& log;
    int coordinators = 1;  // that are asked who has what
  };
  explicit BrickExchange(Parts parts);
  ~BrickExchange() override;

  // Fetches those that are not here, in this order, instead of whatever was wanted before.
  void Want(std::vector<WantedBrick> bricks);
  // Absent while it does.
  std::optional<absl::Status> Wanted() const;
  // What a coordinator said last of who has what; absent: none has said anything yet.
  const std::optional<Sources>& sources() const { return sources_; }
  // Asks each once, whether anything is wanted or not.
  void AskSources();
  const FetchCounters& fetched() const { return fetch_.counters; }
  const ServeCounters& served() const { return serve_.counters; }

  NodeId self() const override { return parts_.transport.self(); }
  absl::Status Send(NodeId to, AnyMessage message) override {
    return parts_.transport.Send(to, std::move(message));
  }
  std::optional<Incoming> Poll() override;
  std::vector<LinkCounters> Links() const override { return parts_.transport.Links(); }
  size_t BytesOf(const Activation& frame) const override { return parts_.transport.BytesOf(frame); }
  std::string endpoint() const override { return parts_.transport.endpoint(); }
  void Introduce(const Introduction& peer) override { parts_.transport.Introduce(peer); }

 private:
  class ReadJob;
  class FetchingJob;

  // False: the message is for the loop.
  bool Take(Incoming& incoming, Time now);
  void TakeDone(Time now);
  void Turn(Time now);
  void StartFetchJob(FetchJob kind, Time now);
  void Report();

  Parts parts_;
  ServeState serve_;
  FetchState fetch_;
  std::optional<Sources> sources_;
  int handed_on_ = 0;  // to the loop, since the last turn
  std::unique_ptr<ReadJob> read_job_;
  std::unique_ptr<FetchingJob> fetch_job_;
};

}  // namespace mortar
