#include "protocol/brick_fetch.h"

#include <algorithm>

#include "common/check.h"

namespace mortar {
namespace {

// Written bytes wait at most for as many as may be on their way.
constexpr uint64_t kInFlightMax = uint64_t{kBrickWindow} * kBrickChunkBytesMax;

const WantedBrick& Current(const FetchState& s) { return s.wanted[s.at]; }

std::string Describe(const WantedBrick& brick) {
  return brick.name + " (sha256 " + ToHex(brick.digest).substr(0, 16) + "…)";
}

void Leave(FetchState& s) {
  s.source = kNoNode;
  s.asked = s.have;
  s.early.clear();
}

// The brick at `at`, from what is here of it.
void Open(FetchState& s) {
  ++s.run;
  s.phase = s.at < s.wanted.size() ? FetchPhase::kOpening : FetchPhase::kDone;
  s.total = s.phase == FetchPhase::kDone ? 0 : Current(s).bytes;
  s.have = s.written = s.asked = 0;
  s.source = s.first_source = kNoNode;
  s.mixed = false;
  s.arrived.clear();
  s.early.clear();
  s.lacking.clear();
}

void Fail(FetchState& s, absl::Status why) {
  ++s.run;
  s.phase = FetchPhase::kFailed;
  s.failure = std::move(why);
  s.arrived.clear();
  Leave(s);
}

// The first brick, or the one behind another: what was found out about the last says nothing of it.
void OpenNext(FetchState& s) {
  s.alone = s.anew = false;
  s.attempts = 0;
  s.busy = {};
  Open(s);
}

// The same brick from its beginning, from one node alone.
void OpenAnew(FetchState& s) {
  if (++s.attempts >= kBrickAttemptsMax) {
    return Fail(s, Unavailable("brick " + Describe(Current(s)) + " did not come whole in " +
                               std::to_string(s.attempts) + " attempts: " + s.last_reason));
  }
  std::set<NodeId> lacking = std::move(s.lacking);
  Open(s);
  s.lacking = std::move(lacking);
  s.alone = s.anew = true;
}

// Of whom the rest must come, where that must be one node.
std::optional<NodeId> OnlySource(const FetchState& s) {
  return s.alone && s.first_source != kNoNode ? std::optional(s.first_source) : std::nullopt;
}

// The node that is asked is not asked for more of what it has begun.
void GiveUp(FetchState& s) {
  if (OnlySource(s)) return OpenAnew(s);
  Leave(s);
}

void Blame(FetchState& s, NodeId node, std::string why) {
  ++s.counters.refused;
  s.liars.insert({node, Current(s).digest});
  s.last_reason = "node " + ToString(node) + ": " + why;
  s.to_report.push_back({node, Current(s).name, std::move(why)});
}

void On(FetchState& s, Time now, BricksWanted& e) {
  s.wanted = std::move(e.bricks);
  s.at = 0;
  s.failure = absl::OkStatus();
  s.last_reason = "no node has it";
  s.progress = now;
  s.liars.clear();
  OpenNext(s);
}

void On(FetchState& s, Time now, SourcesAsked&) { s.sources_asked = now; }

void On(FetchState& s, Time, SourcesCame& e) {
  s.sources = std::move(e.nodes);
  s.lacking.clear();
  std::erase_if(s.rests_until, [&](const auto& entry) {
    return std::ranges::find(s.sources, entry.first, &Introduction::node) == s.sources.end();
  });
  const auto only = OnlySource(s);
  if (!only || s.source != kNoNode || s.phase != FetchPhase::kAsking || s.have == s.total) return;
  if (std::ranges::find(s.sources, *only, &Introduction::node) == s.sources.end()) OpenAnew(s);
}

void On(FetchState& s, Time now, SourceChosen& e) {
  s.source = e.node;
  s.heard = now;
  s.asked = s.have;
}

void Rest(FetchState& s, Time now, std::string why) {
  s.rests_until[s.source] = now + kBrickSourceRest;
  s.last_reason = "node " + ToString(s.source) + ": " + std::move(why);
}

void On(FetchState& s, Time now, SourceLeft&) {
  Rest(s, now, "it sends nothing");
  GiveUp(s);
}

void On(FetchState& s, Time now, ChunkAsked& e) {
  if (s.asked == s.have) s.heard = now;
  s.asked += e.length;
}

void OnRefusal(FetchState& s, Time now, const absl::Status& why) {
  if (absl::IsResourceExhausted(why)) {
    // It has the brick, and others before this node.
    s.busy += now - s.progress;
    if (s.busy <= kBrickBusyMax) s.progress = now;
    Rest(s, now, Message(why));
    return Leave(s);
  }
  s.lacking.insert(s.source);
  s.last_reason = "node " + ToString(s.source) + ": " + Message(why);
  GiveUp(s);
}

// What is wrong with a chunk that was asked for, or nothing.
std::optional<std::string> Misfit(const FetchState& s, const BrickChunk& chunk) {
  const uint64_t total_max = Current(s).bytes == 0 ? kOutlineBytesMax : Current(s).bytes;
  const bool fits =
      s.total == 0 ? chunk.total >= 1 && chunk.total <= total_max : chunk.total == s.total;
  const uint64_t expected = std::min<uint64_t>(kBrickChunkBytesMax, chunk.total - chunk.offset);
  if (fits && chunk.bytes.size() == expected) return std::nullopt;
  return "sent " + std::to_string(chunk.bytes.size()) + " bytes at " +
         std::to_string(chunk.offset) + " of a brick of " + std::to_string(chunk.total) +
         ", expected one of " + std::to_string(s.total == 0 ? total_max : s.total);
}

void Keep(FetchState& s, std::vector<uint8_t> bytes) {
  s.arrived.insert(s.arrived.end(), bytes.begin(), bytes.end());
  s.have += bytes.size();
  s.asked = std::min(std::max(s.asked, s.have), s.total);
  s.counters.bytes += bytes.size();
}

void On(FetchState& s, Time now, ChunkCame& e) {
  BrickChunk& chunk = e.chunk;
  const bool asked = s.phase == FetchPhase::kAsking && e.from == s.source &&
                     chunk.digest == Current(s).digest && s.asked > s.have;
  if (asked && !chunk.status.ok()) return OnRefusal(s, now, chunk.status);
  // Pieces begin where one was asked for, each once.
  const bool awaited = asked && chunk.offset >= s.have && chunk.offset < s.asked &&
                       (chunk.offset - s.have) % kBrickChunkBytesMax == 0 &&
                       !s.early.contains(chunk.offset);
  if (!awaited) {
    ++s.counters.unexpected;
    return;
  }
  if (auto misfit = Misfit(s, chunk)) {
    Blame(s, s.source, *std::move(misfit));
    return GiveUp(s);
  }
  s.total = chunk.total;
  if (s.first_source == kNoNode) s.first_source = s.source;
  if (s.first_source != s.source) s.mixed = true;
  s.last_source = s.source;
  s.heard = s.progress = now;
  // A link that opens meanwhile is a shorter way, on which later pieces come sooner.
  s.early.emplace(chunk.offset, std::move(chunk.bytes));
  while (!s.early.empty() && s.early.begin()->first == s.have) {
    Keep(s, std::move(s.early.begin()->second));
    s.early.erase(s.early.begin());
  }
}

void On(FetchState& s, Time, FetchStalled&) {
  Fail(s, Unavailable("brick " + Describe(Current(s)) + " did not come: " + s.last_reason));
}

void On(FetchState& s, Time, FetchJobStarted&) {
  CHECK(!s.job_running);
  s.job_running = true;
}

void OnOpened(FetchState& s, Time now, const FetchJobDone& e) {
  s.progress = now;
  s.anew = false;
  if (e.begun.whole) {
    ++s.counters.here;
    ++s.at;
    return OpenNext(s);
  }
  s.have = s.written = s.asked = e.begun.bytes;
  s.counters.resumed += e.begun.bytes;
  s.mixed = e.begun.bytes > 0;
  s.phase = s.total > 0 && s.written == s.total ? FetchPhase::kClosing : FetchPhase::kAsking;
}

void OnClosed(FetchState& s, Time now, const absl::Status& status) {
  if (status.ok()) {
    s.progress = now;
    ++s.counters.fetched;
    ++s.at;
    return OpenNext(s);
  }
  if (!absl::IsDataLoss(status)) return Fail(s, status);
  if (!s.mixed) {
    Blame(s, s.first_source, Message(status));
    return Open(s);
  }
  // Of a mixture nobody can say whose bytes are wrong.
  ++s.counters.refused;
  s.last_reason = Message(status);
  OpenAnew(s);
}

void On(FetchState& s, Time now, FetchJobDone& e) {
  s.job_running = false;
  if (e.run != s.run) return;
  if (e.job == FetchJob::kClose) return OnClosed(s, now, e.status);
  if (!e.status.ok()) return Fail(s, std::move(e.status));
  if (e.job == FetchJob::kOpen) return OnOpened(s, now, e);
  s.written += e.bytes;
  if (s.written == s.total) s.phase = FetchPhase::kClosing;
}

bool MayAsk(const FetchState& s, Time now, NodeId node) {
  if (s.liars.contains({node, Current(s).digest}) || s.lacking.contains(node)) return false;
  const auto rest = s.rests_until.find(node);
  return rest == s.rests_until.end() || now >= rest->second;
}

// The node that had the brick before this one, else the first that may be asked; none while all
// rest, lack it or lied, or the only one does.
std::optional<NodeId> NextSource(const FetchState& s, Time now) {
  if (const auto only = OnlySource(s)) return MayAsk(s, now, *only) ? only : std::nullopt;
  std::optional<NodeId> first;
  for (const Introduction& source : s.sources) {
    if (!MayAsk(s, now, source.node)) continue;
    if (source.node == s.last_source) return source.node;
    if (!first) first = source.node;
  }
  return first;
}

}  // namespace

void Apply(FetchState& state, Time now, FetchEvent event) {
  std::visit([&](auto& e) { On(state, now, e); }, event);
}

FetchPlan Plan(const FetchState& s, Time now) {
  FetchPlan plan;
  if (s.phase == FetchPhase::kIdle || s.phase == FetchPhase::kDone ||
      s.phase == FetchPhase::kFailed) {
    return plan;
  }
  if (s.phase == FetchPhase::kOpening || s.phase == FetchPhase::kClosing) {
    if (!s.job_running) {
      plan.job = s.phase == FetchPhase::kOpening ? FetchJob::kOpen : FetchJob::kClose;
    }
    return plan;
  }
  if (!s.arrived.empty() && !s.job_running) plan.job = FetchJob::kWrite;
  const bool whole = s.total > 0 && s.have == s.total;
  if (whole) return plan;  // it is written, and then hashed
  if (now - s.progress > kBrickStallMax) {
    plan.stalled = true;
    return plan;
  }
  if (s.source == kNoNode) {
    plan.choose = NextSource(s, now);
    plan.ask_sources =
        !plan.choose && (!s.sources_asked || now - *s.sources_asked >= kHelloInterval);
    return plan;
  }
  if (s.asked > s.have && now - s.heard > kBrickChunkWaitMax) {
    plan.leave_source = true;
    return plan;
  }
  // Of a brick whose size is not known, one chunk says it.
  const uint64_t end = s.total == 0 ? s.have + 1 : s.total;
  if (s.asked < end && s.asked - s.written < kInFlightMax) {
    const uint64_t left = s.total == 0 ? kBrickChunkBytesMax : s.total - s.asked;
    plan.request = BrickRequest{
        .digest = Current(s).digest,
        .offset = s.asked,
        .length = static_cast<uint32_t>(std::min<uint64_t>(left, kBrickChunkBytesMax))};
  }
  return plan;
}

}  // namespace mortar
