// Any sequence of messages to an edge with two sessions: counted, retried, answered, ended, and
// nothing worse. The byte before each message says from whom it is, whether it is made to fit the
// newest frame, and how much time has passed.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/check.h"
#include "edge/state.h"
#include "protocol/boundary.h"
#include "tests/fuzz/message_input.h"
#include "tests/support/letter_tokenizer.h"

namespace mortar {
namespace {

constexpr int kWidth = 32;
constexpr NodeId kSelf{50};
constexpr NodeId kNodes[] = {kCoordinatorNode, NodeId{60}, NodeId{61}, NodeId{70}};

// Guesses the letters behind the last one.
class NextLetters final : public Drafter {
 public:
  int Draft(std::span<const Token> log, std::span<Token> guesses) override {
    for (size_t i = 0; i < guesses.size(); ++i) {
      guesses[i] = (log.back() + 1 + static_cast<Token>(i)) % 26;
    }
    return static_cast<int>(guesses.size());
  }
};

class FuzzedEdge {
 public:
  FuzzedEdge() {
    EdgeOptions options;
    options.name = "e";
    options.model = {.name = "m", .digest = {}, .n_layers = 6, .n_embd = kWidth};
    options.n_vocab = tokenizer_.n_vocab();
    options.front_layers = options.back_layers = 1;
    options.n_parallel = 2;
    options.context_max = 256;
    options.kv_pages = 16;
    options.rows_max = 128;
    options.drafting = {.make = [](int) { return std::make_unique<NextLetters>(); }, .max = 4};
    state_ = NewEdgeState(options, kSelf, tokenizer_);
    state_.last_tick = now_;
    Give(EdgeReceived{kCoordinatorNode, Welcome{}});
    for (const int n_prompt : {5, 200}) {
      GenerateRequest request;
      request.prompt.assign(static_cast<size_t>(n_prompt), 0);
      request.n_predict = 10;
      Give(Submitted{std::move(request)});
    }
    for (int i = 0; i < 6; ++i) Turn();
  }

  void Take(uint8_t who, AnyMessage message) {
    const NodeId from = kNodes[who & 3];
    if ((who & 4) != 0) MakeFit(message);
    now_ += std::chrono::milliseconds(500) * (who >> 3);
    Give(EdgeTicked{});
    if (auto* answer = std::get_if<Activation>(&message)) {
      if (answer->envelope.n >= 1 && answer->envelope.n <= 128) {
        answer->rows = pool_.Take(static_cast<int>(answer->envelope.n), kWidth);
        std::fill_n(answer->rows.mutable_data(), answer->rows.bytes() / sizeof(float), 0.0f);
      }
      const absl::Status fits = CheckAnswer(*answer, kWidth);
      if (!fits.ok()) return Give(AnswerBroken{from, answer->envelope, fits});
    }
    Give(EdgeReceived{from, std::move(message)});
    for (int i = 0; i < 4; ++i) Turn();
  }

 private:
  void Give(EdgeEvent event) {
    Apply(state_, now_, std::move(event));
    CHECK(state_.pages_free >= 0);
    CHECK(state_.ended.size() <= kEndedSessionsKept);
    for (const EdgeSlot& slot : state_.slots) {
      CHECK(slot.in_flight.size() <= static_cast<size_t>(kFramesInFlightMax));
      CHECK(slot.bytes_in_flight <= kRowBytesInFlightMax);
      CHECK(slot.answered <= static_cast<int>(slot.tokens.size()));
      CHECK(slot.sent <= slot.positions_max && slot.guesses.n <= 4);
    }
    state_.outbox.clear();
    state_.introduce.clear();
    state_.outputs.clear();
  }

  // Puts the ids of a session that runs into a message, which chance would never find.
  void MakeFit(AnyMessage& message) {
    for (const EdgeSlot& slot : state_.slots) {
      if (slot.phase != SlotPhase::kRunning || slot.in_flight.empty()) continue;
      const FrameInFlight& frame = slot.in_flight.front();
      if (auto* answer = std::get_if<Activation>(&message)) {
        const uint32_t n = frame.wanted == RowsWanted::kAll ? static_cast<uint32_t>(frame.n) : 0;
        answer->envelope = {.session = slot.session,
                            .edge = kSelf,
                            .step = frame.step,
                            .epoch = slot.epoch,
                            .base = static_cast<uint32_t>(frame.end()) - n,
                            .n = n,
                            .flags = kFlagAnswer,
                            .layer = 5};
      } else if (auto* need = std::get_if<NeedPrefix>(&message)) {
        need->session = slot.session;
        need->epoch = slot.epoch;
      } else if (auto* route = std::get_if<NeedRoute>(&message)) {
        route->session = slot.session;
        route->epoch = slot.epoch;
      } else if (auto* rejected = std::get_if<Rejected>(&message)) {
        rejected->session = slot.session;
        rejected->epoch = slot.epoch;
      }
      return;
    }
  }

  void Grant(int index) {
    Give(RouteAsked{index});
    Route route;
    route.request = state_.slots[static_cast<size_t>(index)].route_request;
    route.grant.session.bytes[0] = ++sessions_;
    route.grant.edge = kSelf;
    route.grant.model = state_.options.model;
    route.grant.positions_max = 1000;
    route.grant.hops = {{.node = kNodes[1], .name = "wa", .layers = {1, 3}},
                        {.node = kNodes[2], .name = "wb", .layers = {3, 5}}};
    Give(EdgeReceived{kCoordinatorNode, std::move(route)});
  }

  // Some of the guesses hold, by turns.
  void Draw(EdgeItem& item) {
    const int held = ++tokens_ % (item.guesses.n + 1);
    for (int i = 0; i < held; ++i) item.drawn.Push(item.guesses.at[static_cast<size_t>(i)]);
    item.drawn.Push(static_cast<Token>(tokens_ % 26));
  }

  // Does what is planned, as the loop and its jobs would.
  void Turn() {
    Plan(state_, now_, plan_);
    for (const int slot : plan_.route_timed_out) Give(RouteTimedOut{slot});
    for (const int slot : plan_.deadline_passed) Give(DeadlinePassed{slot});
    for (const int slot : plan_.ask_route) Grant(slot);
    for (const int to : plan_.send_hello) Give(EdgeHelloSent{to});
    if (plan_.admit >= 0) Give(Admitted{plan_.admit});
    if (!plan_.release.empty()) {
      Give(EdgeReleaseStarted{});
      Give(EdgePagesReleased{&plan_.release});
    } else if (!plan_.back.empty()) {
      Give(BackStarted{&plan_.back});
      for (EdgeItem& item : state_.running) Draw(item);
      Give(BackDone{});
    } else if (!plan_.front.empty()) {
      Give(FrontStarted{&plan_.front, plan_.prefill_waits});
      for (EdgeItem& item : state_.running) item.rows_out = pool_.Take(item.n, kWidth);
      Give(FrontDone{});
    }
  }

  LetterTokenizer tokenizer_;
  RowsPool pool_;
  EdgeState state_;
  EdgePlan plan_;
  Time now_{std::chrono::seconds(100)};
  uint8_t sessions_ = 0;
  int tokens_ = 0;
};

}  // namespace
}  // namespace mortar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mortar::FuzzedEdge edge;
  mortar::ForEachMessage(data, size, [&](uint8_t who, mortar::AnyMessage message) {
    edge.Take(who, std::move(message));
  });
  return 0;
}
