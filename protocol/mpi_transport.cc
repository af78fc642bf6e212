#include "protocol/mpi_transport.h"

#include <sys/prctl.h>

#include <algorithm>
#include <thread>

#include "common/check.h"
#include "protocol/mpi_ranks.h"
#include "protocol/mpi_world.h"

namespace mortar {
namespace {

// Heads that are kept to be used again: those of a session's frames in flight, a few times over.
constexpr size_t kSpareHeadsMax = 64;

std::string RankName(int rank) { return "rank " + std::to_string(rank); }

}  // namespace

Duration MpiNap(Duration quiet) {
  return std::clamp(quiet / 16, Duration(kMpiNapMin), Duration(kMpiNapMax));
}

// --- Sending ---

int MpiNetwork::State::RankOf(NodeId node) const {
  if (node == kCoordinatorNode) return 0;
  if (!Owns(node)) return -1;
  const int rank_of = static_cast<int>(node.value - kReservedNodeIds);
  return rank_of == 0 || (rank_of - 1) % parts.ranks_per_node == 0 ? rank_of : -1;
}

bool MpiNetwork::State::Owns(NodeId node) const {
  if (node == kCoordinatorNode) return true;
  return node.value >= kReservedNodeIds && node.value - kReservedNodeIds < peers.size();
}

// A rank speaks for its own node, rank 0 of an open job also for those outside.
bool MpiNetwork::State::MaySpeak(int from, NodeId name) const {
  if (!Owns(name)) return parts.open && from == 0;
  return RankOf(name) == from;
}

MpiInbox* MpiNetwork::State::InboxOf(NodeId node) {
  const auto found = std::ranges::find(inboxes, node, &MpiInbox::node);
  return found == inboxes.end() ? nullptr : &*found;
}

void MpiNetwork::State::Fail(int with, const absl::Status& why) {
  if (failure.ok()) failure = WithContext(why, RankName(with));
}

absl::Status MpiNetwork::State::Start(int to, int tag, const void* data, size_t bytes,
                                      void** request) {
  const int error = parts.mpi.send(parts.job, to, tag, data, bytes, request);
  if (error == 0) return absl::OkStatus();
  Fail(to, MpiError(parts.mpi, error, "sending"));
  return failure;
}

absl::Status MpiNetwork::State::Send(NodeId from, NodeId to, const AnyMessage& message) {
  int to_rank = RankOf(to);
  if (to_rank < 0 && outside != nullptr) return outside->Forward(from, to, message);
  if (to_rank < 0 && parts.open && rank != 0) to_rank = 0;
  if (to_rank < 0) return NotFound("no node " + ToString(to) + " in this job");
  RETURN_IF_ERROR(failure);
  const auto calls = Calls();
  MpiPeer& peer = peers[static_cast<size_t>(to_rank)];
  Flush(peer);
  const auto* frame = std::get_if<Activation>(&message);
  const bool own = Owns(from);  // or handed on for a node outside
  ASSIGN_OR_RETURN(const std::span<const uint64_t> words,
                   own ? writer.Write(from, to, message) : writer.Rewrite(from, to, message));
  MpiSending sending;
  if (frame != nullptr) sending.rows = frame->rows;
  sending.bytes = words.size_bytes() + sending.rows.bytes();
  if (peer.sending_bytes + sending.bytes > kQueueBytesPerPeerMax ||
      peer.sending.size() >= kQueueMessagesPerPeerMax) {
    return ResourceExhausted("queue to " + RankName(to_rank) +
                             " is full: " + std::to_string(peer.sending.size()) + " messages, " +
                             std::to_string(peer.sending_bytes) + " bytes");
  }
  if (!spare_heads.empty()) {
    sending.head = std::move(spare_heads.back());
    spare_heads.pop_back();
  }
  sending.head.assign(words.begin(), words.end());
  const bool of_two = !sending.rows.empty();
  peer.sending_bytes += sending.bytes;
  peer.sending.push_back(std::move(sending));
  MpiSending& kept = peer.sending.back();
  RETURN_IF_ERROR(Start(to_rank, of_two ? kMpiHeadOfTwo : kMpiHead, kept.head.data(),
                        words.size_bytes(), &kept.head_request));
  if (of_two) {
    RETURN_IF_ERROR(
        Start(to_rank, kMpiRows, kept.rows.data(), kept.rows.bytes(), &kept.rows_request));
  }
  return absl::OkStatus();
}

absl::Status MpiNetwork::State::Forward(NodeId from, NodeId to, AnyMessage message) {
  heard = parts.clock.Now();  // an answer may come soon
  if (RankOf(to) > 0) return Send(from, to, message);
  MpiInbox* inbox = RankOf(to) == 0 ? InboxOf(to) : nullptr;
  if (inbox == nullptr) return NotFound("no node " + ToString(to) + " in this job");
  if (inbox->messages.size() >= kMpiInboxMax) {
    return ResourceExhausted(std::to_string(kMpiInboxMax) + " messages wait for node " +
                             ToString(to));
  }
  inbox->messages.push_back({.from = from, .message = std::move(message)});
  return absl::OkStatus();
}

void MpiNetwork::State::Flush(MpiPeer& peer) {
  const int rank_of = static_cast<int>(&peer - peers.data());
  while (!peer.sending.empty() && failure.ok()) {
    MpiSending& first = peer.sending.front();
    for (void** request : {&first.head_request, &first.rows_request}) {
      if (*request == nullptr) continue;
      const int error = parts.mpi.test(request);
      if (error != 0) return Fail(rank_of, MpiError(parts.mpi, error, "sending"));
      if (*request != nullptr) return;
    }
    MpiSending sent = peer.sending.pop_front();
    peer.sending_bytes -= sent.bytes;
    if (spare_heads.size() < kSpareHeadsMax) spare_heads.push_back(std::move(sent.head));
  }
}

// --- One node ---

namespace {

class MpiTransport final : public Transport {
 public:
  MpiTransport(NodeId self, const PublicKey& key, MpiNetwork::State& network)
      : self_(self), key_(key), network_(network), local_(network.local.Attach(self)) {}

  NodeId self() const override { return self_; }

  absl::Status Send(NodeId to, AnyMessage message) override {
    if (auto* hello = std::get_if<Hello>(&message)) hello->key = key_;
    if (network_.RankOf(to) == network_.rank) return local_->Send(to, std::move(message));
    const absl::Status sent = network_.Send(self_, to, message);
    const auto* frame = std::get_if<Activation>(&message);
    const auto frame_bytes = frame != nullptr ? std::optional(BytesOf(*frame)) : std::nullopt;
    links_.Count(to, sent.ok(), frame_bytes, frame != nullptr ? frame->rows.n() : 0);
    return sent;
  }

  std::optional<Incoming> Poll() override {
    if (auto incoming = local_->Poll()) return incoming;
    MpiInbox& inbox = *network_.InboxOf(self_);
    if (inbox.messages.empty()) (void)network_.Look();
    if (inbox.messages.empty()) return std::nullopt;
    return inbox.messages.pop_front();
  }

  std::vector<LinkCounters> Links() const override {
    std::vector<LinkCounters> all = local_->Links();
    all.insert(all.end(), links_.links().begin(), links_.links().end());
    return all;
  }

  // As handed to MPI, which does not say what it adds.
  size_t BytesOf(const Activation& frame) const override {
    return EncodedBytes(frame.envelope) + frame.rows.bytes();
  }

  std::string endpoint() const override { return ""; }
  void Introduce(const Introduction&) override {}

 private:
  const NodeId self_;
  const PublicKey key_;
  MpiNetwork::State& network_;
  const std::unique_ptr<Transport> local_;
  LinkTable links_;
};

}  // namespace

MpiNetwork::MpiNetwork(int rank, int size, int n_embd, Parts parts)
    : state_(std::make_unique<State>(rank, size, n_embd, parts)) {
  CHECK(size <= kMpiRanksMax && rank >= 0 && rank < size && n_embd > 0);
  // Naps of 20 µs would take 70: by default the kernel may be 50 µs late.
  (void)prctl(PR_SET_TIMERSLACK, 1);
  state_->heard = parts.clock.Now();
}

MpiNetwork::~MpiNetwork() = default;

std::unique_ptr<Transport> MpiNetwork::Attach(NodeId self, const PublicKey& key) {
  State& s = *state_;
  CHECK(s.RankOf(self) == s.rank && s.InboxOf(self) == nullptr);
  s.inboxes.push_back({.node = self, .messages = {}});
  return std::make_unique<MpiTransport>(self, key, s);
}

void MpiNetwork::Open(NodesBehind& outside) {
  CHECK(state_->parts.open && state_->rank == 0);
  state_->outside = &outside;
}

bool MpiNetwork::Owns(NodeId node) const { return state_->Owns(node); }

absl::Status MpiNetwork::Forward(NodeId from, NodeId to, AnyMessage message) {
  return state_->Forward(from, to, std::move(message));
}

void MpiNetwork::Wait(Duration longest, const Nap& nap) {
  State& s = *state_;
  const Time start = s.parts.clock.Now();
  while (!s.Look() && s.failure.ok() && !over()) {
    const Time now = s.parts.clock.Now();
    const Duration left = start + longest - now;
    if (left <= Duration::zero()) return;
    const Duration pause = std::min(MpiNap(now - s.heard), left);
    if (nap && nap(pause)) return;
    if (!nap) std::this_thread::sleep_for(pause);
  }
}

const absl::Status& MpiNetwork::failure() const { return state_->failure; }

bool MpiNetwork::over() const { return state_->peers[0].receiving.left; }

absl::Status MpiNetwork::Leave(const std::function<absl::Status()>& check) {
  State& s = *state_;
  s.leaving = true;
  for (MpiInbox& inbox : s.inboxes) inbox.messages.clear();
  for (size_t i = 0; i < s.peers.size(); ++i) {
    if (static_cast<int>(i) == s.rank) continue;
    const auto calls = s.Calls();
    s.peers[i].sending.push_back({});
    RETURN_IF_ERROR(
        s.Start(static_cast<int>(i), kMpiEnd, nullptr, 0, &s.peers[i].sending.back().head_request));
  }
  const Time start = s.parts.clock.Now();
  while (true) {
    (void)s.Look();
    RETURN_IF_ERROR(s.failure);
    int missing = -1;
    for (size_t i = 0; i < s.peers.size(); ++i) {
      const MpiPeer& peer = s.peers[i];
      const bool done = peer.receiving.left && peer.sending.empty();
      if (static_cast<int>(i) != s.rank && !done) missing = static_cast<int>(i);
    }
    if (missing < 0) return absl::OkStatus();
    RETURN_IF_ERROR(check());
    if (s.parts.clock.Now() - start > kMpiLeaveMax) {
      return Unavailable(RankName(missing) + " has not left the job within " +
                         InSeconds(kMpiLeaveMax));
    }
    std::this_thread::sleep_for(kMpiNapMin);
  }
}

}  // namespace mortar
