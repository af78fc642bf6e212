// What a rank takes from the others, part by part: whatever breaks the protocol ends the job.
#include <algorithm>
#include <utility>

#include "protocol/mpi_ranks.h"
#include "protocol/mpi_world.h"

namespace mortar {
namespace {

// Messages of one rank that are taken before another rank is looked at.
constexpr int kMessagesPerLook = 64;

}  // namespace

bool MpiNetwork::State::HasRoom() const {
  return leaving || std::ranges::all_of(inboxes, [](const MpiInbox& inbox) {
           return inbox.messages.size() < kMpiInboxMax;
         });
}

bool MpiNetwork::State::Look() {
  const auto calls = Calls();
  for (size_t i = 0; i < peers.size(); ++i) {
    if (static_cast<int>(i) == rank) continue;
    Flush(peers[i]);
    Take(static_cast<int>(i));
  }
  return std::ranges::any_of(inboxes, [](const MpiInbox& i) { return !i.messages.empty(); });
}

void MpiNetwork::State::Take(int from) {
  MpiReceiving& in = peers[static_cast<size_t>(from)].receiving;
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
bool MpiNetwork::State::Begin(int from, MpiReceiving& in) {
  if (!HasRoom()) return false;
  MpiArrival arrival;
  const int error = parts.mpi.probe(parts.job, from, &arrival);
  absl::Status begun = MpiError(parts.mpi, error, "receiving");
  if (begun.ok() && arrival.message == nullptr) return false;
  if (begun.ok()) begun = BeginPart(arrival, in);
  if (!begun.ok()) Fail(from, begun);
  return begun.ok();
}

absl::Status MpiNetwork::State::BeginPart(const MpiArrival& arrival, MpiReceiving& in) const {
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

absl::Status MpiNetwork::State::TakeHead(int from, MpiReceiving& in) {
  ASSIGN_OR_RETURN(WireMessage read, ReadMessage(in.head));
  if (!MaySpeak(from, read.from)) {
    return InvalidArgument("sent a message in the name of node " + ToString(read.from));
  }
  if (InboxOf(read.to) == nullptr && outside == nullptr) {
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
  if (leaving) return;
  MpiInbox* inbox = InboxOf(to);
  if (inbox != nullptr) return inbox->messages.push_back(std::move(incoming));
  // It tells the edge where that matters.
  (void)outside->Forward(incoming.from, to, std::move(incoming.message));
}

}  // namespace mortar
