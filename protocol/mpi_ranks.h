// One rank's end of an MPI job: what is on its way to and from each other rank. For
// mpi_transport.cc (sending, nodes) and mpi_receive.cc alone.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/ring_queue.h"
#include "protocol/local_transport.h"
#include "protocol/mpi_transport.h"
#include "protocol/wire.h"

namespace mortar {

// Messages that wait here for one node; more wait in MPI. As many as a loop takes in one round.
inline constexpr size_t kMpiInboxMax = 256;

// A message on its way out: MPI reads it until both requests are done.
struct MpiSending {
  std::vector<uint64_t> head;
  Rows rows;
  void* head_request = nullptr;
  void* rows_request = nullptr;
  size_t bytes = 0;
};

// What is coming in from one rank.
struct MpiReceiving {
  void* request = nullptr;  // a part that MPI still writes
  int tag = 0;              // of that part
  std::vector<uint64_t> head;
  std::optional<Incoming> frame;  // whose rows are awaited
  NodeId to;                      // of that frame
  bool left = false;              // said kMpiEnd
};

struct MpiPeer {
  RingQueue<MpiSending> sending;
  size_t sending_bytes = 0;
  MpiReceiving receiving;
};

struct MpiInbox {
  NodeId node;
  RingQueue<Incoming> messages;
};

struct MpiNetwork::State {
  State(int r, int size, int width, Parts p)
      : rank(r), n_embd(width), parts(p), peers(static_cast<size_t>(size)) {}

  int RankOf(NodeId node) const;  // -1: in none
  bool Owns(NodeId node) const;
  bool MaySpeak(int from, NodeId name) const;
  MpiInbox* InboxOf(NodeId node);  // null: not here
  absl::Status Send(NodeId from, NodeId to, const AnyMessage& message);
  absl::Status Forward(NodeId from, NodeId to, AnyMessage message);
  absl::Status Start(int to, int tag, const void* data, size_t bytes, void** request);
  bool Look();
  void Flush(MpiPeer& peer);
  void Take(int from);
  bool Begin(int from, MpiReceiving& in);
  absl::Status BeginPart(const MpiArrival& arrival, MpiReceiving& in) const;
  absl::Status TakeHead(int from, MpiReceiving& in);
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
  std::vector<MpiPeer> peers;  // by rank; this one's own is empty
  LocalNetwork local;          // between the nodes here
  NodesBehind* outside = nullptr;
  std::vector<MpiInbox> inboxes;
  WireWriter writer;
  std::vector<std::vector<uint64_t>> spare_heads;
  absl::Status failure;
  bool leaving = false;
  Time heard{};  // when something came last
};

}  // namespace mortar
