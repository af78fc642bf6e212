#include "protocol/mpi_transport.h"

#include <sys/prctl.h>

#include <algorithm>
#include <thread>

#include "common/check.h"
#include "common/ring_queue.h"
#include "protocol/local_transport.h"
#include "protocol/mpi_world.h"
#include "protocol/wire.h"

namespace mortar {
namespace {

// Messages of one rank that are taken before another rank is looked at.
constexpr int kMessagesPerLook = 64;
// Messages that wait here for one node; more wait in MPI. As many as a loop takes in one round.
constexpr size_t kInboxMax = 256;
// Heads that are kept to be used again: those of a session's frames in flight, a few times over.
constexpr size_t kSpareHeadsMax = 64;

// A message on its way out: MPI reads it until both requests are done.
struct Sending {
  std::vector<uint64_t> head;
  Rows rows;
  void* head_request = nullptr;
  void* rows_request = nullptr;
  size_t bytes = 0;
};

// What is coming in from one rank.
struct Receiving {
  void* request = nullptr;  // a part that MPI still writes
  int tag = 0;              // of that part
  std::vector<uint64_t> head;
  std::optional<Incoming> frame;  // whose rows are awaited
  NodeId to;                      // of that frame
  bool left = false;              // said kMpiEnd
};

struct Peer {
  RingQueue<Sending> sending;
  size_t sending_bytes = 0;
  Receiving receiving;
};

struct Inbox {
  NodeId node;
  RingQueue<Incoming> messages;
};

std::string RankName(int rank) { return "rank " + std::to_string(rank); }

}  // namespace

Duration MpiNap(Duration quiet) {
  return std::clamp(quiet / 16, Duration(kMpiNapMin), Duration(kMpiNapMax));
}

struct MpiNetwork::State {
  State(int r, int size, int width, Parts p)
      : rank(r), n_embd(width), parts(p), peers(static_cast<size_t>(size)) {}

  int RankOf(NodeId node) const;  // -1: in none
  Inbox* InboxOf(NodeId node);    // null: not here
  absl::Status Send(NodeId from, NodeId to, const AnyMessage& message);
  absl::Status Start(int to, int tag, const void* data, size_t bytes, void** request);
  bool Look();
  void Flush(Peer& peer);
  void Take(int from);
  bool Begin(int from, Receiving& in);
  absl::Status BeginPart(const MpiArrival& arrival, Receiving& in) const;
  absl::Status TakeHead(int from, Receiving& in);
  void Deliver(NodeId to, Incoming incoming);
  bool HasRoom() const;
  void Fail(int with, const absl::Status& why);
  // MPI is this thread's while it lives.
  std::unique_lock<std::mutex> Calls() const {
    return parts.calls == nullptr ? std::unique_lock<std::mutex>()
                                  : std::unique_lock<std::mutex>(*parts.calls);
  }

  const int rank;
  const int n_embd;
  Parts parts;
  std::vector<Peer> peers;  // by rank; this one's own is empty
  LocalNetwork local;       // between the nodes here
  std::vector<Inbox> inboxes;
  WireWriter writer;
  std::vector<std::vector<uint64_t>> spare_heads;
  absl::Status failure;
  bool leaving = false;
  Time heard{};  // when something came last
};

// --- Sending ---

int MpiNetwork::State::RankOf(NodeId node) const {
  if (node == kCoordinatorNode) return 0;
  const uint64_t rank_of = node.value - kReservedNodeIds;
  return node.value >= kReservedNodeIds && rank_of < peers.size() ? static_cast<int>(rank_of) : -1;
}

Inbox* MpiNetwork::State::InboxOf(NodeId node) {
  const auto found = std::ranges::find(inboxes, node, &Inbox::node);
  return found == inboxes.end() ? nullptr : &*found;
}

absl::Status MpiNetwork::State::Start(int to, int tag, const void* data, size_t bytes,
                                      void** request) {
  const int error = parts.mpi.send(parts.job, to, tag, data, bytes, request);
  if (error == 0) return absl::OkStatus();
  Fail(to, MpiError(parts.mpi, error, "sending"));
  return failure;
}

absl::Status MpiNetwork::State::Send(NodeId from, NodeId to, const AnyMessage& message) {
  const int to_rank = RankOf(to);
  if (to_rank < 0) return NotFound("no node " + ToString(to) + " in this job");
  RETURN_IF_ERROR(failure);
  const auto calls = Calls();
  Peer& peer = peers[static_cast<size_t>(to_rank)];
  Flush(peer);
  const auto* frame = std::get_if<Activation>(&message);
  const std::span<const uint64_t> words = writer.Write(from, to, message);
  Sending sending;
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
  Sending& kept = peer.sending.back();
  RETURN_IF_ERROR(Start(to_rank, of_two ? kMpiHeadOfTwo : kMpiHead, kept.head.data(),
                        words.size_bytes(), &kept.head_request));
  if (of_two) {
    RETURN_IF_ERROR(
        Start(to_rank, kMpiRows, kept.rows.data(), kept.rows.bytes(), &kept.rows_request));
  }
  return absl::OkStatus();
}

void MpiNetwork::State::Flush(Peer& peer) {
  const int rank_of = static_cast<int>(&peer - peers.data());
  while (!peer.sending.empty() && failure.ok()) {
    Sending& first = peer.sending.front();
    for (void** request : {&first.head_request, &first.rows_request}) {
      if (*request == nullptr) continue;
      const int error = parts.mpi.test(request);
      if (error != 0) return Fail(rank_of, MpiError(parts.mpi, error, "sending"));
      if (*request != nullptr) return;
    }
    Sending sent = peer.sending.pop_front();
    peer.sending_bytes -= sent.bytes;
    if (spare_heads.size() < kSpareHeadsMax) spare_heads.push_back(std::move(sent.head));
  }
}

// --- Receiving ---

void MpiNetwork::State::Fail(int with, const absl::Status& why) {
  if (failure.ok()) failure = WithContext(why, RankName(with));
}

bool MpiNetwork::State::HasRoom() const {
  return leaving || std::ranges::all_of(inboxes, [](const Inbox& inbox) {
           return inbox.messages.size() < kInboxMax;
         });
}

bool MpiNetwork::State::Look() {
  const auto calls = Calls();
  for (size_t i = 0; i < peers.size(); ++i) {
    if (static_cast<int>(i) == rank) continue;
    Flush(peers[i]);
    Take(static_cast<int>(i));
  }
  return std::ranges::any_of(inboxes, [](const Inbox& i) { return !i.messages.empty(); });
}

void MpiNetwork::State::Take(int from) {
  Receiving& in = peers[static_cast<size_t>(from)].receiving;
  for (int n = 0; n < kMessagesPerLook && failure.ok() && !in.left; ++n) {
    if (in.request == nullptr && !Begin(from, in)) return;
    if (in.request != nullptr) {
      const int error = parts.mpi.test(&in.request);
      if (error != 0) return Fail(from, MpiError(parts.mpi, error, "receiving"));
      if (in.request != nullptr) return;
    }
    heard = parts.clock.Now();
    if (in.tag == kMpiEnd) {
      in.left = true;
    } else if (in.tag == kMpiRows) {
      Deliver(in.to, *std::move(in.frame));
      in.frame.reset();
    } else if (absl::Status taken = TakeHead(from, in); !taken.ok()) {
      return Fail(from, taken);
    }
  }
}

// False when there is nothing to take, or no room for it.
bool MpiNetwork::State::Begin(int from, Receiving& in) {
  if (!HasRoom()) return false;
  MpiArrival arrival;
  const int error = parts.mpi.probe(parts.job, from, &arrival);
  absl::Status begun = MpiError(parts.mpi, error, "receiving");
  if (begun.ok() && arrival.message == nullptr) return false;
  if (begun.ok()) begun = BeginPart(arrival, in);
  if (!begun.ok()) Fail(from, begun);
  return begun.ok();
}

absl::Status MpiNetwork::State::BeginPart(const MpiArrival& arrival, Receiving& in) const {
  const auto unexpected = [&](const std::string& wanted) {
    return InvalidArgument("sent " + std::to_string(arrival.bytes) + " bytes with tag " +
                           std::to_string(arrival.tag) + ", expected " + wanted);
  };
  void* into = nullptr;
  if (in.frame) {
    Rows& rows = std::get<Activation>(in.frame->message).rows;
    if (arrival.tag != kMpiRows || arrival.bytes != rows.bytes()) {
      return unexpected(std::to_string(rows.bytes()) + " bytes of rows");
    }
    into = rows.mutable_data();
  } else if (arrival.tag != kMpiEnd || arrival.bytes != 0) {
    if ((arrival.tag != kMpiHead && arrival.tag != kMpiHeadOfTwo) ||
        arrival.bytes > kMessageBytesMax || arrival.bytes % sizeof(uint64_t) != 0) {
      return unexpected("a head of whole words, at most " + std::to_string(kMessageBytesMax) +
                        " bytes");
    }
    in.head.resize(arrival.bytes / sizeof(uint64_t));
    into = in.head.data();
  }
  in.tag = arrival.tag;
  const int error = parts.mpi.receive(arrival.message, into, arrival.bytes, &in.request);
  return MpiError(parts.mpi, error, "receiving");
}

absl::Status MpiNetwork::State::TakeHead(int from, Receiving& in) {
  ASSIGN_OR_RETURN(WireMessage read, ReadMessage(in.head));
  if (RankOf(read.from) != from) {
    return InvalidArgument("sent a message in the name of node " + ToString(read.from));
  }
  if (InboxOf(read.to) == nullptr) {
    return InvalidArgument("sent a message for node " + ToString(read.to) + ", which is not here");
  }
  auto* frame = std::get_if<Activation>(&read.message);
  const uint32_t n = frame == nullptr ? 0 : frame->envelope.n;
  const bool of_two = in.tag == kMpiHeadOfTwo;
  if (of_two != (n > 0)) {
    return InvalidArgument(of_two ? "sent rows with a message that has none"
                                  : "sent a frame without its rows");
  }
  if (n > static_cast<uint32_t>(FrameRowsMax(n_embd))) {
    return InvalidArgument("sent a frame of " + std::to_string(n) + " rows, at most " +
                           std::to_string(FrameRowsMax(n_embd)) + " are allowed");
  }
  if (of_two) frame->rows = parts.pool.Take(static_cast<int>(n), n_embd);
  Incoming incoming{.from = read.from, .message = std::move(read.message)};
  if (of_two) {
    in.to = read.to;
    in.frame = std::move(incoming);
  } else {
    Deliver(read.to, std::move(incoming));
  }
  return absl::OkStatus();
}

void MpiNetwork::State::Deliver(NodeId to, Incoming incoming) {
  if (!leaving) InboxOf(to)->messages.push_back(std::move(incoming));
}

// --- One node ---

namespace {

class MpiTransport final : public Transport {
 public:
  MpiTransport(NodeId self, MpiNetwork::State& network)
      : self_(self), network_(network), local_(network.local.Attach(self)) {}

  NodeId self() const override { return self_; }

  absl::Status Send(NodeId to, AnyMessage message) override {
    if (network_.RankOf(to) == network_.rank) return local_->Send(to, std::move(message));
    const absl::Status sent = network_.Send(self_, to, message);
    const auto* frame = std::get_if<Activation>(&message);
    const auto frame_bytes = frame != nullptr ? std::optional(BytesOf(*frame)) : std::nullopt;
    links_.Count(to, sent.ok(), frame_bytes, frame != nullptr ? frame->rows.n() : 0);
    return sent;
  }

  std::optional<Incoming> Poll() override {
    if (auto incoming = local_->Poll()) return incoming;
    Inbox& inbox = *network_.InboxOf(self_);
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

std::unique_ptr<Transport> MpiNetwork::Attach(NodeId self) {
  State& s = *state_;
  CHECK(s.RankOf(self) == s.rank && s.InboxOf(self) == nullptr);
  s.inboxes.push_back({.node = self, .messages = {}});
  return std::make_unique<MpiTransport>(self, s);
}

void MpiNetwork::Wait(Duration longest) {
  State& s = *state_;
  const Time start = s.parts.clock.Now();
  while (!s.Look() && s.failure.ok() && !over()) {
    const Time now = s.parts.clock.Now();
    const Duration left = start + longest - now;
    if (left <= Duration::zero()) return;
    std::this_thread::sleep_for(std::min(MpiNap(now - s.heard), left));
  }
}

const absl::Status& MpiNetwork::failure() const { return state_->failure; }

bool MpiNetwork::over() const { return state_->peers[0].receiving.left; }

absl::Status MpiNetwork::Leave(const std::function<absl::Status()>& check) {
  State& s = *state_;
  s.leaving = true;
  for (Inbox& inbox : s.inboxes) inbox.messages.clear();
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
      const Peer& peer = s.peers[i];
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
