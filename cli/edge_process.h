// An edge in this process, joined over ZeroMQ to a coordinator and workers elsewhere.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/answering.h"
#include "cli/node_parts.h"
#include "cli/take_over.h"
#include "common/clock.h"
#include "protocol/zmq_transport.h"

namespace mortar {

struct EdgeProcessOptions {
  std::string name;
  ZmqOptions link;       // whom it dials and how; who it is is filled in
  Duration awake_max{};  // between jobs (common/loop_driver.h)
  SessionOptions session;
  TakeOverOptions take_over{};
};

class EdgeProcess final : public AnsweringNodes {
 public:
  // Returns when the coordinator has answered. Unavailable, with the reason, when it does not
  // within kDialMax.
  static absl::StatusOr<std::unique_ptr<EdgeProcess>> Start(const EdgeProcessOptions& options,
                                                            const NodeParts& parts);
  ~EdgeProcess() override;

  absl::StatusOr<Finished> Generate(GenerateRequest request, const AnswerSinks& sinks) override;
  std::vector<HopTraffic> Traffic() const override;

 private:
  struct State;
  explicit EdgeProcess(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mortar
