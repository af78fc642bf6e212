#include "protocol/brick_exchange.h"

#include <utility>

#include "common/check.h"

namespace mortar {
namespace {

// Messages about bricks that one Poll takes before it returns without one for the loop.
constexpr int kMessagesPerPoll = 64;
// Messages for the loop behind which bricks have their turn, however many more wait: a quarter of
// what a loop takes in one round, so that a flood holds up no brick.
constexpr int kMessagesPerTurn = 64;

}  // namespace

class BrickExchange::ReadJob final : public Job {
 public:
  explicit ReadJob(BrickStore& store) : store_(store) {}

  WaitingRead read;            // in
  absl::Status status;         // out
  std::vector<uint8_t> bytes;  // out, when it is OK

  void Run() override {
    bytes.resize(read.request.length);
    status = store_.Read(read.request.digest, read.request.offset, bytes);
  }

 private:
  BrickStore& store_;
};

class BrickExchange::FetchingJob final : public Job {
 public:
  explicit FetchingJob(BrickStore& store) : store_(store) {}

  Digest digest;               // in
  uint64_t at = 0;             // in: of the brick's bytes that it will have, or that are here
  bool anew = false;           // in, of kOpen: without those that are here
  std::vector<uint8_t> bytes;  // in, of kWrite
  FetchJobDone done;           // in: job and run; out: the rest

  void Run() override {
    if (done.job == FetchJob::kOpen) {
      done.status = anew ? store_.Discard(digest) : absl::OkStatus();
      if (!done.status.ok()) return;
      auto begun = store_.Begin(digest, at);
      done.status = begun.status();
      if (begun.ok()) done.begun = *begun;
    } else if (done.job == FetchJob::kWrite) {
      done.status = store_.Append(digest, at, bytes);
      done.bytes = bytes.size();
    } else {
      done.status = store_.Finish(digest);
    }
  }

 private:
  BrickStore& store_;
};

BrickExchange::BrickExchange(Parts parts)
    : parts_(parts),
      read_job_(std::make_unique<ReadJob>(parts.store)),
      fetch_job_(std::make_unique<FetchingJob>(parts.store)) {}

BrickExchange::~BrickExchange() { parts_.jobs.Drain(); }

void BrickExchange::Want(std::vector<WantedBrick> bricks) {
  Apply(fetch_, parts_.clock.Now(), BricksWanted{std::move(bricks)});
}

std::optional<absl::Status> BrickExchange::Wanted() const {
  if (fetch_.phase == FetchPhase::kDone) return absl::OkStatus();
  if (fetch_.phase == FetchPhase::kFailed) return fetch_.failure;
  return std::nullopt;
}

void BrickExchange::AskSources() {
  // Lost, as on any network: it is asked again.
  for (int i = 0; i < parts_.coordinators; ++i) {
    (void)parts_.transport.Send(CoordinatorNode(i), SourcesRequest{});
  }
  Apply(fetch_, parts_.clock.Now(), SourcesAsked{});
}

std::optional<Incoming> BrickExchange::Poll() {
  const Time now = parts_.clock.Now();
  TakeDone(now);
  for (int i = 0; i < kMessagesPerPoll; ++i) {
    std::optional<Incoming> incoming = parts_.transport.Poll();
    if (!incoming) break;
    if (Take(*incoming, now)) continue;
    if (++handed_on_ >= kMessagesPerTurn) Turn(now);
    return incoming;
  }
  Turn(now);
  return std::nullopt;
}

bool BrickExchange::Take(Incoming& incoming, Time now) {
  if (auto* chunk = std::get_if<BrickChunk>(&incoming.message)) {
    Apply(fetch_, now, ChunkCame{incoming.from, std::move(*chunk)});
    return true;
  }
  if (const auto* request = std::get_if<BrickRequest>(&incoming.message)) {
    auto refusal = Ask(serve_, now, incoming.from, *request, parts_.store.Find(request->digest));
    if (refusal) (void)parts_.transport.Send(incoming.from, *std::move(refusal));
    return true;
  }
  auto* sources = std::get_if<Sources>(&incoming.message);
  if (sources == nullptr || !IsCoordinator(incoming.from)) return false;
  for (const Introduction& node : sources->nodes) parts_.transport.Introduce(node);
  Apply(fetch_, now, SourcesCame{sources->nodes});
  sources_ = std::move(*sources);
  return true;
}

void BrickExchange::TakeDone(Time now) {
  while (Job* job = parts_.jobs.PollDone()) {
    if (job == read_job_.get()) {
      if (!read_job_->status.ok()) {
        parts_.log.Warning("brick_unreadable", {{"sha256", ToHex(read_job_->read.request.digest)},
                                                {"why", Message(read_job_->status)}});
      }
      Outgoing chunk = EndRead(serve_, read_job_->status, std::move(read_job_->bytes));
      // Whoever asked notices by his deadline.
      (void)parts_.transport.Send(chunk.to, std::move(chunk.message));
    } else {
      CHECK(job == fetch_job_.get());
      Apply(fetch_, now, fetch_job_->done);
    }
  }
}

void BrickExchange::Turn(Time now) {
  handed_on_ = 0;
  if (const WaitingRead* read = StartRead(serve_)) {
    read_job_->read = *read;
    parts_.jobs.Submit(read_job_.get());
  }
  // Each plan asks for one chunk at most, and the window ends them.
  for (int i = 0; i <= 2 * kBrickWindow; ++i) {
    const FetchPlan plan = Plan(fetch_, now);
    if (plan.job) StartFetchJob(*plan.job, now);
    if (plan.ask_sources) AskSources();
    if (plan.stalled) Apply(fetch_, now, FetchStalled{});
    if (plan.leave_source) Apply(fetch_, now, SourceLeft{});
    if (plan.choose) Apply(fetch_, now, SourceChosen{*plan.choose});
    if (plan.request) {
      (void)parts_.transport.Send(fetch_.source, *plan.request);
      Apply(fetch_, now, ChunkAsked{plan.request->length});
    }
    if (!plan.choose && !plan.leave_source && !plan.request) break;
  }
  Report();
}

void BrickExchange::StartFetchJob(FetchJob kind, Time now) {
  FetchingJob& job = *fetch_job_;
  const WantedBrick& brick = fetch_.wanted[fetch_.at];
  job.digest = brick.digest;
  job.at = kind == FetchJob::kOpen ? brick.bytes : fetch_.written;
  job.anew = fetch_.anew;
  job.bytes = std::exchange(fetch_.arrived, {});
  job.done = {.job = kind, .run = fetch_.run, .status = {}};
  Apply(fetch_, now, FetchJobStarted{});
  parts_.jobs.Submit(&job);
}

void BrickExchange::Report() {
  for (const BadSource& bad : fetch_.to_report) {
    parts_.log.Warning("brick_refused",
                       {{"brick", bad.brick}, {"node", ToString(bad.node)}, {"why", bad.why}});
  }
  fetch_.to_report.clear();
}

}  // namespace mortar
