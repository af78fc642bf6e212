// Any sequence of messages to a worker that hosts layers and to a coordinator: counted, answered
// or applied, and nothing worse. The byte before each message says who gets it and from whom.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "common/check.h"
#include "coordinator/state.h"
#include "protocol/boundary.h"
#include "tests/fuzz/message_input.h"
#include "worker/state.h"

namespace mortar {
namespace {

constexpr int kWidth = 32;
constexpr int kPages = 8;
constexpr NodeId kNodes[] = {kCoordinatorNode, NodeId{50}, NodeId{60}, NodeId{61}};

// A worker after it has joined and loaded layers [1, 5).
class FuzzedWorker {
 public:
  FuzzedWorker() {
    WorkerOptions options;
    options.name = "w";
    options.model = {.name = "m", .digest = {}, .n_layers = 6, .n_embd = kWidth};
    for (int i = 0; i < 6; ++i) options.bricks.push_back({.layers = {i, i + 1}, .digest = {}});
    options.sessions_max = 4;
    options.rows_max = 128;
    state_ = NewWorkerState(options);
    Give(WorkerReceived{kCoordinatorNode, Welcome{}});
    Give(WorkerReceived{kCoordinatorNode, Placement{.id = 1,
                                                    .model = options.model,
                                                    .layers = {1, 5},
                                                    .bricks = {options.bricks.begin() + 1,
                                                               options.bricks.begin() + 5}}});
    Turn();
    CHECK(state_.load == LoadPhase::kReady);
  }

  void Take(NodeId from, AnyMessage message) {
    now_ += std::chrono::milliseconds(10);
    if (auto* frame = std::get_if<Activation>(&message)) {
      // As often its own as another.
      if (frame->envelope.layer) frame->envelope.layer = *frame->envelope.layer & 1;
      // As many rows as it says, as a transport would have taken; a few will do.
      if (frame->envelope.n >= 1 && frame->envelope.n <= 64) {
        frame->rows = pool_.Take(static_cast<int>(frame->envelope.n), kWidth);
        std::fill_n(frame->rows.mutable_data(), frame->rows.bytes() / sizeof(float), 0.0f);
      }
      absl::Status fits = CheckFrame(*frame, kWidth);
      if (!fits.ok()) return Give(FrameBroken{frame->envelope, std::move(fits)});
    }
    Give(WorkerReceived{from, std::move(message)});
    Turn();
  }

 private:
  void Give(WorkerEvent event) {
    Apply(state_, now_, std::move(event));
    CHECK(state_.pages_free >= 0 && state_.frames_queued >= 0);
    state_.outbox.clear();
    state_.introduce.clear();
  }
  // Does what is planned, as the loop and its jobs would.
  void Turn() {
    Plan(state_, now_, plan_);
    if (plan_.load) {
      const LayerRange layers = state_.wanted->layers;
      Give(LoadStarted{});
      Give(LoadDone{.status = {}, .layers = layers, .pages = kPages, .positions_max = 500});
    } else if (!plan_.release.empty()) {
      Give(ReleaseStarted{});
      Give(PagesReleased{&plan_.release});
    } else if (!plan_.batch.empty()) {
      Give(BatchStarted{&plan_.batch});
      for (RunningFrame& frame : state_.running) {
        if (frame.envelope.rows_wanted == RowsWanted::kAll || frame.envelope.n_hops > 0) {
          frame.rows_out = frame.rows_in;
        }
      }
      Give(BatchDone{});
    }
  }

  RowsPool pool_;
  WorkerState state_;
  WorkerPlan plan_;
  Time now_{std::chrono::seconds(100)};
};

class FuzzedCoordinator {
 public:
  void Take(NodeId from, AnyMessage message) {
    now_ += std::chrono::milliseconds(10);
    Apply(state_, now_, Received{from, std::move(message), SessionId{}});
    for (CoordinatorAction& action : Plan(state_, now_)) {
      Apply(state_, now_, std::move(action.then));
    }
    CHECK(state_.members.size() <= static_cast<size_t>(kNodesMax));
    CHECK(state_.waiting.size() <= kRouteRequestsWaitingMax);
    state_.outbox.clear();
  }

 private:
  CoordinatorState state_;
  Time now_{std::chrono::seconds(100)};
};

}  // namespace
}  // namespace mortar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mortar::FuzzedWorker worker;
  mortar::FuzzedCoordinator coordinator;
  mortar::ForEachMessage(data, size, [&](uint8_t who, mortar::AnyMessage message) {
    const mortar::NodeId from = mortar::kNodes[who >> 1 & 3];
    if ((who & 1) != 0) {
      worker.Take(from, std::move(message));
    } else {
      coordinator.Take(from, std::move(message));
    }
  });
  return 0;
}
