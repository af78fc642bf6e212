// The ranks of an MPI job in one process, over queues.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/mpi_transport.h"
#include "protocol/wire.h"
#include "tests/support/local_mpi.h"

namespace mortar {

inline NodeId Sender(const std::optional<Incoming>& incoming) {
  return incoming ? incoming->from : kNoNode;
}

template <typename T>
bool Is(const std::optional<Incoming>& incoming) {
  return incoming && std::holds_alternative<T>(incoming->message);
}

// A job of three ranks in one process.
class MpiTransportTest : public testing::Test {
 protected:
  static constexpr int kWidth = 64;
  static constexpr NodeId kEdge = NodeOfRank(0);
  static constexpr NodeId kFirst = NodeOfRank(1);
  static constexpr NodeId kSecond = NodeOfRank(2);

  MpiTransportTest() {
    for (int rank = 0; rank < 3; ++rank) {
      networks_.push_back(std::make_unique<MpiNetwork>(
          rank, 3, kWidth, MpiNetwork::Parts{mpi_.functions(), mpi_.job(rank), clock_, pool_}));
    }
    coordinator_ = networks_[0]->Attach(kCoordinatorNode);
    edge_ = networks_[0]->Attach(kEdge);
    first_ = networks_[1]->Attach(kFirst);
    second_ = networks_[2]->Attach(kSecond);
  }

  Activation Frame(uint64_t step, int n) {
    Activation frame;
    frame.envelope.edge = kEdge;
    frame.envelope.step = step;
    frame.envelope.n = static_cast<uint32_t>(n);
    if (n == 0) return frame;
    frame.rows = pool_.Take(n, kWidth);
    for (int i = 0; i < n * kWidth; ++i) {
      frame.rows.mutable_data()[i] = static_cast<float>(step) + static_cast<float>(i);
    }
    return frame;
  }
  static std::string HeadOf(NodeId from, NodeId to, const AnyMessage& message) {
    WireWriter writer;
    const auto words = writer.Write(from, to, message);
    return {reinterpret_cast<const char*>(words.data()), words.size_bytes()};
  }
  // What ends the job at rank 1 after rank 2 sent these parts.
  std::string FailureAfter(const std::vector<std::pair<int, std::string>>& parts) {
    for (const auto& [tag, bytes] : parts) mpi_.Put(2, 1, tag, bytes);
    EXPECT_FALSE(first_->Poll().has_value());
    EXPECT_FALSE(networks_[1]->failure().ok());
    return Message(networks_[1]->failure());
  }

  SteadyClock clock_;
  RowsPool pool_;
  LocalMpi mpi_{3};
  std::vector<std::unique_ptr<MpiNetwork>> networks_;  // outlive the transports
  std::unique_ptr<Transport> coordinator_;
  std::unique_ptr<Transport> edge_;
  std::unique_ptr<Transport> first_;
  std::unique_ptr<Transport> second_;
};

}  // namespace mortar
