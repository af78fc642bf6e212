// MPI among the "ranks" of one process: the table of protocol/mpi_plugin.h over queues, so that
// what a rank does with what it gets can be tested byte by byte. Messages may also be held back,
// as a network does.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "protocol/mpi_plugin.h"

namespace mortar {

class LocalMpi {
 public:
  explicit LocalMpi(int ranks);
  ~LocalMpi();

  const MpiFunctions& functions() const;
  void* job(int rank);  // what `start` would give this rank

  // As if `from` had sent it.
  void Put(int from, int to, int tag, const std::string& bytes);
  // As if `root` had broadcast it: all others get it.
  void PutBroadcast(int root, const std::string& bytes);
  // From now on sends stay undone, and nothing arrives, until it is let go.
  void Hold();
  void LetGo();
  // From now on sends fail with this code.
  void FailSends(int error);

  struct Rank;

 private:
  std::vector<std::unique_ptr<Rank>> ranks_;
};

}  // namespace mortar
