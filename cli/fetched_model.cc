#include "cli/fetched_model.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "cli/brick_node.h"
#include "cli/byte_size.h"
#include "cli/node_parts.h"
#include "cli/node_process.h"
#include "common/check.h"
#include "common/random.h"
#include "engine/brick/image.h"
#include "protocol/handshake.h"

namespace mortar {
namespace {

// How often an outline is tried that does not come, or is not of the model that is served, and how
// long after the last failure: whoever names another one may have left by then, and the coordinator
// says what most name. With 30 s for one that does not come, some four minutes.
constexpr int kOutlineTriesMax = 6;
constexpr Duration kOutlineRest = std::chrono::seconds(10);

// A node that has no model yet: it says Hello until it is welcome, and asks who has what each
// second, by which the coordinator knows that it is there.
class Visitor {
 public:
  Visitor(BrickExchange& exchange, const Clock& clock, const std::string& name, int coordinators)
      : exchange_(exchange),
        clock_(clock),
        name_(name),
        welcome_(static_cast<size_t>(coordinators)),
        refusals_(welcome_.size()) {}

  // One turn. The first coordinator's refusal, once all have refused.
  absl::Status Turn() {
    while (std::optional<Incoming> incoming = exchange_.Poll()) {
      if (!IsCoordinator(incoming->from)) continue;
      const auto from = static_cast<size_t>(CoordinatorIndex(incoming->from));
      if (from >= welcome_.size()) continue;
      if (std::holds_alternative<Welcome>(incoming->message)) welcome_[from] = true;
      const auto* goodbye = std::get_if<Goodbye>(&incoming->message);
      if (goodbye == nullptr) continue;
      welcome_[from] = false;
      if (!absl::IsUnavailable(goodbye->status)) refusals_[from] = goodbye->status;
    }
    const bool refused = std::ranges::none_of(refusals_, &absl::Status::ok);
    if (refused && !refusals_.empty()) return refusals_.front();
    const Time now = clock_.Now();
    if (said_ && now - *said_ < kHelloInterval) return absl::OkStatus();
    said_ = now;
    bool welcome = false;
    for (size_t i = 0; i < welcome_.size(); ++i) {
      welcome = welcome || welcome_[i];
      if (welcome_[i] || !refusals_[i].ok()) continue;
      (void)exchange_.Send(CoordinatorNode(static_cast<int>(i)),
                           Hello{.role = Role::kWorker, .name = name_});
    }
    if (welcome) exchange_.AskSources();
    return absl::OkStatus();
  }
  void AskAgain() { said_.reset(); }

 private:
  BrickExchange& exchange_;
  const Clock& clock_;
  const std::string name_;
  std::vector<bool> welcome_;           // of each coordinator
  std::vector<absl::Status> refusals_;  // for good, of each
  std::optional<Time> said_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<FetchedModel>> FetchedModel::Fetch(const CommandContext& context,
                                                                  const ZmqOptions& link,
                                                                  const std::string& name) {
  const Settings& settings = context.settings;
  const bool quantizes = settings.String("quantize") != "none";
  if (settings.Has("model") || quantizes) {
    return UsageError(
        settings.Where(quantizes ? "quantize" : "model") +
        ": with --brick-cache the model comes from other nodes; leave one of them out");
  }
  if (settings.String("brick-cache").empty()) {
    return UsageError(settings.Where("brick-cache") +
                      ": \"\" is no folder; name one that this node may write to");
  }
  const auto bytes_max =
      ParseByteSize(settings.String("brick-cache-size"), settings.Where("brick-cache-size"));
  if (!bytes_max.ok()) return UsageError(Message(bytes_max.status()));
  std::unique_ptr<FetchedModel> fetched(new FetchedModel());
  ASSIGN_OR_RETURN(fetched->cache_, BrickCache::Open(settings.String("brick-cache"), *bytes_max));
  if (fetched->cache_->hashed() > 0) {
    context.log.Info("bricks_hashed", {{"bricks", fetched->cache_->hashed()}});
  }
  RETURN_IF_ERROR(fetched->FetchOutline(context, link, name));
  return fetched;
}

absl::Status FetchedModel::FetchOutline(const CommandContext& context, ZmqOptions link,
                                        const std::string& name) {
  link.listen.clear();
  link.advertise.clear();
  link.card = {.role = Role::kWorker, .name = name};
  SystemRandom random;
  ChooseId(link, random);
  RowsPool pool;
  ASSIGN_OR_RETURN(const auto transport,
                   ZmqTransport::Create(link, {context.clock, context.log, pool}));
  BrickShelf shelf(*cache_);
  BrickNode node({*transport, shelf, context.clock, context.log});
  Visitor visitor(node.exchange(), context.clock, name, transport->coordinators());
  absl::Status refused;
  const auto turn = [&] {
    if (refused.ok()) refused = visitor.Turn();
    transport->Wait(kIdleWaitMax);
  };
  RETURN_IF_ERROR(WaitForCoordinator(*transport, context.clock, turn));
  visitor.AskAgain();
  bool waits = false;
  std::optional<Digest> wanted;
  int failures = 0;
  Time rests_until{};
  while (true) {
    RETURN_IF_ERROR(CheckInterrupted());
    turn();
    RETURN_IF_ERROR(WithContext(refused, "the coordinator refused this worker"));
    const std::optional<Sources>& sources = node.exchange().sources();
    if (!sources || context.clock.Now() < rests_until) continue;
    if (!sources->outline) {
      if (!std::exchange(waits, true)) {
        context.console.Note("mortar: worker " + OneLine(name) +
                             " waits for a node that has the model");
      }
      continue;
    }
    if (wanted != sources->outline) {
      wanted = sources->outline;
      cache_->Keep({*wanted});
      node.exchange().Want({{.digest = *wanted, .bytes = 0, .name = "outline"}});
    }
    const std::optional<absl::Status> done = node.exchange().Wanted();
    if (!done) continue;
    absl::Status taken = WithContext(*done, "the model's outline");
    if (taken.ok()) taken = TakeOutline(*sources);
    const bool may_pass = absl::IsUnavailable(taken) || absl::IsDataLoss(taken);
    if (may_pass && ++failures < kOutlineTriesMax) {
      context.log.Warning("outline_failed", {{"digest", ToHex(*wanted)},
                                             {"sources", sources->nodes.size()},
                                             {"why", Message(taken)},
                                             {"tries_left", kOutlineTriesMax - failures}});
      rests_until = context.clock.Now() + kOutlineRest;
      wanted.reset();
      continue;
    }
    SayGoodbye(*transport, taken.ok() ? "it comes again with its model" : "it got no outline");
    node.LogTraffic(context.log);
    return taken;
  }
}

absl::Status FetchedModel::TakeOutline(const Sources& sources) {
  outline_digest_ = *sources.outline;
  ASSIGN_OR_RETURN(const FileBytes bytes, cache_->Map(outline_digest_));
  const std::string name = "outline " + ToHex(outline_digest_).substr(0, 16) + "…";
  ASSIGN_OR_RETURN(outline_, ReadOutline(bytes.span(), name));
  if (outline_.config.traits.encoder) {
    return FailedPrecondition(name + ": the model is an encoder and continues no text");
  }
  model_ = {outline_.file, outline_.config, nullptr, outline_.manifest};
  ModelId described = ModelIdOf(model_, KvType::kF16);
  described.kv = sources.model.kv;  // this node's own is looked at when it joins
  if (described == sources.model) return absl::OkStatus();
  return DataLoss(name + ": describes " + described.name + ", bricks " +
                  ToHex(described.digest).substr(0, 16) + "…, and the cluster serves " +
                  sources.model.name + ", bricks " + ToHex(sources.model.digest).substr(0, 16) +
                  "…");
}

absl::StatusOr<HostedModel> FetchedModel::WithBricks(const std::vector<LayerBrick>& bricks) const {
  std::vector<BrickImage> images;
  for (const LayerBrick& wanted : bricks) {
    for (const Brick& brick : outline_.manifest.bricks) {
      if (brick.digest != wanted.digest || brick.layers != wanted.layers) continue;
      ASSIGN_OR_RETURN(FileBytes bytes, cache_->Map(wanted.digest));
      images.push_back({.brick = &brick, .bytes = std::move(bytes)});
    }
  }
  HostedModel model{nullptr, outline_.config, nullptr, outline_.manifest};
  ASSIGN_OR_RETURN(model.file,
                   mortar::WithBricks(outline_, std::move(images), outline_.file->path()));
  return model;
}

std::vector<WantedBrick> FetchedModel::WantedOf(const std::vector<LayerBrick>& bricks) const {
  std::vector<WantedBrick> wanted;
  for (const LayerBrick& layer : bricks) {
    for (const Brick& brick : outline_.manifest.bricks) {
      if (brick.digest != layer.digest || brick.layers != layer.layers) continue;
      const auto layout = LayoutOf(brick);
      CHECK(layout.ok());  // ReadOutline has looked
      wanted.push_back({.digest = layer.digest, .bytes = layout->bytes, .name = brick.name});
    }
  }
  return wanted;
}

absl::Status FetchedModel::CheckFits(uint64_t bytes) const {
  if (bytes <= BytesForBricks()) return absl::OkStatus();
  return ResourceExhausted("bricks of " + std::to_string(bytes) + " bytes are to be hosted, and " +
                           "--brick-cache-size leaves " + std::to_string(BytesForBricks()) +
                           " for them");
}

uint64_t FetchedModel::BytesForBricks() const {
  const uint64_t outline = cache_->Find(outline_digest_).value_or(0);
  return cache_->bytes_max() - std::min(cache_->bytes_max(), outline);
}

void CacheFetcher::Fetch(const std::vector<LayerBrick>& bricks) {
  std::vector<WantedBrick> wanted = model_.WantedOf(bricks);
  std::set<Digest> in_use = {model_.outline_digest()};
  uint64_t bytes = 0;
  for (const WantedBrick& brick : wanted) {
    if (!in_use.insert(brick.digest).second) continue;
    bytes += std::min(brick.bytes, std::numeric_limits<uint64_t>::max() - bytes);
  }
  // All of them, or none: half a placement is no use, and would take the place of what is.
  fits_ = model_.CheckFits(bytes);
  if (!fits_.ok()) return;
  model_.cache().Keep(std::move(in_use));
  before_ = exchange_.fetched();
  exchange_.Want(std::move(wanted));
}

std::optional<absl::Status> CacheFetcher::Fetched() {
  if (!fits_.ok()) return fits_;
  const std::optional<absl::Status> done = exchange_.Wanted();
  if (!done) return done;
  const FetchCounters& now = exchange_.fetched();
  log_.Info("bricks_ready", {{"ok", done->ok()},
                             {"here", now.here - before_.here},
                             {"fetched", now.fetched - before_.fetched},
                             {"bytes", now.bytes - before_.bytes},
                             {"resumed_bytes", now.resumed - before_.resumed}});
  return done;
}

}  // namespace mortar
