#include "tests/support/local_mpi.h"

#include <cstdio>
#include <cstring>

#include "common/check.h"

namespace mortar {
namespace {

struct Message {
  int tag = 0;
  std::string bytes;
};

}  // namespace

struct LocalMpi::Rank {
  LocalMpi* mpi = nullptr;
  int index = 0;
  std::vector<std::deque<Message>> from;
  std::deque<Message> taken;  // probed for; not each is received
  std::deque<std::string> broadcasts;
  bool held = false;
  int send_error = 0;
};

namespace {

LocalMpi::Rank& RankOf(void* job) { return *static_cast<LocalMpi::Rank*>(job); }

int Start(void**, int*, int*) { CHECK(false); }

int Second(void*, void**) { CHECK(false); }

int Send(void* job, int to, int tag, const void* data, size_t bytes, void** request) {
  LocalMpi::Rank& self = RankOf(job);
  if (self.send_error != 0) return self.send_error;
  self.mpi->Put(self.index, to, tag, std::string(static_cast<const char*>(data), bytes));
  *request = self.held ? &self : nullptr;
  return 0;
}

int Probe(void* job, int from, MpiArrival* arrival) {
  LocalMpi::Rank& self = RankOf(job);
  *arrival = {};
  std::deque<Message>& waiting = self.from[static_cast<size_t>(from)];
  if (self.held || waiting.empty()) return 0;
  self.taken.push_back(std::move(waiting.front()));
  waiting.pop_front();
  Message& message = self.taken.back();
  *arrival = {&message, message.tag, message.bytes.size()};
  return 0;
}

int Receive(void* message, void* into, size_t bytes, void** request) {
  const auto& taken = *static_cast<Message*>(message);
  CHECK(taken.bytes.size() == bytes);
  if (bytes > 0) std::memcpy(into, taken.bytes.data(), bytes);
  *request = nullptr;
  return 0;
}

int Test(void** request) {
  if (!static_cast<LocalMpi::Rank*>(*request)->held) *request = nullptr;
  return 0;
}

void Describe(int error, char* text, size_t bytes) {
  std::snprintf(text, bytes, "error %d", error);
}

void Abort(void*, int) { CHECK(false); }
int Finish() { return 0; }

// The root's comes first: the others find it, or an error.
int Broadcast(void* job, int root, void* data, size_t bytes, void** request) {
  LocalMpi::Rank& self = RankOf(job);
  *request = self.held ? &self : nullptr;
  if (self.held) return 0;
  if (self.index == root) {
    self.mpi->PutBroadcast(root, std::string(static_cast<const char*>(data), bytes));
    return 0;
  }
  if (self.broadcasts.empty() || self.broadcasts.front().size() != bytes) return 1;
  std::memcpy(data, self.broadcasts.front().data(), bytes);
  self.broadcasts.pop_front();
  return 0;
}

constexpr MpiFunctions kFunctions = {kMpiPluginVersion, Start, Second,   Send,  Probe,
                                     Receive,           Test,  Describe, Abort, Finish,
                                     Broadcast};

}  // namespace

LocalMpi::LocalMpi(int ranks) {
  for (int i = 0; i < ranks; ++i) {
    auto rank = std::make_unique<Rank>();
    rank->mpi = this;
    rank->index = i;
    rank->from.resize(static_cast<size_t>(ranks));
    ranks_.push_back(std::move(rank));
  }
}

LocalMpi::~LocalMpi() = default;

const MpiFunctions& LocalMpi::functions() const { return kFunctions; }

void* LocalMpi::job(int rank) { return ranks_[static_cast<size_t>(rank)].get(); }

void LocalMpi::Put(int from, int to, int tag, const std::string& bytes) {
  ranks_[static_cast<size_t>(to)]->from[static_cast<size_t>(from)].push_back({tag, bytes});
}

void LocalMpi::PutBroadcast(int root, const std::string& bytes) {
  for (const auto& rank : ranks_) {
    if (rank->index != root) rank->broadcasts.push_back(bytes);
  }
}

void LocalMpi::Hold() {
  for (const auto& rank : ranks_) rank->held = true;
}

void LocalMpi::LetGo() {
  for (const auto& rank : ranks_) rank->held = false;
}

void LocalMpi::FailSends(int error) {
  for (const auto& rank : ranks_) rank->send_error = error;
}

}  // namespace mortar
