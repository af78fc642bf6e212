// A coordinator and two nodes, each with a transport of its own over real sockets on loopback.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "protocol/zmq_transport.h"

namespace mortar {

inline constexpr NodeId kA{100};
inline constexpr NodeId kB{200};
inline constexpr int kWidth = 64;
inline constexpr char kLoopback[] = "tcp://127.0.0.1:0";

inline ModelId Model() { return {.name = "m", .digest = {}, .n_layers = 4, .n_embd = kWidth}; }

inline Hello Card(const std::string& name) {
  return {.role = Role::kWorker, .name = name, .model = Model()};
}

// One node with all that came to its loop.
struct Node {
  std::unique_ptr<ZmqTransport> transport;
  std::vector<Incoming> got;

  template <typename T>
  const T* Got(NodeId from) const {
    for (const Incoming& incoming : got) {
      if (incoming.from == from && std::holds_alternative<T>(incoming.message)) {
        return &std::get<T>(incoming.message);
      }
    }
    return nullptr;
  }
  std::string Reason(NodeId from) const {
    const auto* goodbye = Got<Goodbye>(from);
    return goodbye == nullptr ? "no Goodbye" : Message(goodbye->status);
  }
};

class ZmqLinks : public testing::Test {
 protected:
  ZmqLinks() { StartCoordinator(kLoopback); }

  void StartCoordinator(const std::string& listen) {
    Start(coordinator_, {.self = kCoordinatorNode,
                         .card = {.role = Role::kCoordinator, .name = "coordinator"},
                         .listen = listen,
                         .forwards = true,
                         .members = true});
  }

  void Start(Node& node, ZmqOptions options) {
    auto transport = ZmqTransport::Create(std::move(options), {clock_, log_, pool_});
    ASSERT_TRUE(transport.ok()) << transport.status();
    node.transport = *std::move(transport);
  }
  // A node that says Hello to the coordinator, which welcomes it.
  void Join(Node& node, NodeId id, const std::string& listen = kLoopback) {
    Start(node, {.self = id,
                 .card = Card(ToString(id)),
                 .listen = listen,
                 .upstreams = {coordinator_.transport->endpoint()}});
    Enter(node, id);
  }
  void Enter(Node& node, NodeId id) {
    ASSERT_TRUE(Until({&node, &coordinator_}, [&] {
      (void)node.transport->Send(kCoordinatorNode, Card(ToString(id)));
      return coordinator_.Got<Hello>(id) != nullptr;
    }));
    ASSERT_TRUE(coordinator_.transport->Send(id, Welcome{}).ok());
    ASSERT_TRUE(
        Until({&node, &coordinator_}, [&] { return node.transport->UpstreamStatus().ok(); }));
  }
  // Turns the loops of `nodes` until `done`, for ten seconds at most.
  bool Until(const std::vector<Node*>& nodes, const std::function<bool()>& done) {
    const Time start = clock_.Now();
    while (clock_.Now() - start < std::chrono::seconds(10)) {
      for (Node* node : nodes) {
        while (auto incoming = node->transport->Poll()) node->got.push_back(*std::move(incoming));
      }
      if (done()) return true;
      nodes.front()->transport->Wait(std::chrono::milliseconds(1));
    }
    return false;
  }
  Activation Frame(int n) {
    Activation frame;
    frame.envelope.session.bytes[0] = 7;
    frame.envelope.edge = kA;
    frame.envelope.step = 3;
    frame.envelope.n = static_cast<uint32_t>(n);
    frame.rows = pool_.Take(n, kWidth);
    for (int i = 0; i < n * kWidth; ++i) frame.rows.mutable_data()[i] = static_cast<float>(i);
    return frame;
  }

  SteadyClock clock_;
  Logger log_{LogLevel::kOff, LogFormat::kText};
  RowsPool pool_;
  Node coordinator_;
  Node a_;
  Node b_;
};

}  // namespace mortar
