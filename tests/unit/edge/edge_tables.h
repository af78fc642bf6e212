// An edge's state under test: joins, gets routes, computes nothing, and is answered by hand.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "edge/state.h"
#include "tests/support/letter_tokenizer.h"

namespace mortar {

class EdgeTables : public testing::Test {
 protected:
  static constexpr NodeId kSelf{50};
  static constexpr NodeId kWorkerA{60};
  static constexpr NodeId kWorkerB{61};
  static constexpr int kWidth = 32;

  EdgeTables() {
    EdgeOptions options;
    options.name = "e";
    options.model = {.name = "m", .digest = {}, .n_layers = 6, .n_embd = kWidth};
    options.n_vocab = 28;
    options.front_layers = options.back_layers = 1;
    options.n_parallel = 2;
    options.context_max = 256;
    options.kv_pages = 6;
    options.rows_max = 128;
    SetOptions(options);
  }
  void SetOptions(EdgeOptions options) {
    state_ = NewEdgeState(std::move(options), kSelf, tokenizer_);
    state_.last_tick = now_;
  }

  void Give(EdgeEvent event) { Apply(state_, now_, std::move(event)); }
  void GiveFrom(NodeId from, AnyMessage message) { Give(EdgeReceived{from, std::move(message)}); }
  EdgePlan PlanNow() {
    EdgePlan plan;
    Plan(state_, now_, plan);
    return plan;
  }
  GenerateRequest RequestOf(int n_prompt, int n_predict = 10) {
    GenerateRequest request;
    request.prompt.assign(static_cast<size_t>(n_prompt), 0);
    request.n_predict = n_predict;
    return request;
  }
  RequestId Submit(GenerateRequest request) {
    EXPECT_TRUE(CheckRequest(state_.options, request).ok());
    Give(Submitted{std::move(request)});
    return state_.next_request - 1;
  }
  static SessionId Session(uint8_t number) {
    SessionId id;
    id.bytes[0] = number;
    return id;
  }
  Route RouteFor(int slot, uint8_t session) {
    Route route;
    route.request = Slot(slot).route_request;
    route.grant.session = Session(session);
    route.grant.edge = kSelf;
    route.grant.model = state_.options.model;
    route.grant.positions_max = 1000;
    route.grant.hops = {{.node = kWorkerA, .name = "wa", .layers = {1, 3}},
                        {.node = kWorkerB, .name = "wb", .layers = {3, 5}}};
    return route;
  }
  EdgeSlot& Slot(int slot) { return state_.slots.at(static_cast<size_t>(slot)); }

  // Joins, and takes a request as far as the question for its route.
  void AskForARoute() {
    GiveFrom(kCoordinatorNode, Welcome{});
    Submit(RequestOf(3));
    Give(Admitted{0});
    Give(RouteAsked{0});
  }
  // Admits what waits, asks for its route and grants it.
  void Admit(int slot, uint8_t session) {
    if (PhaseOf(state_.coordinators) == Membership::kJoining) GiveFrom(kCoordinatorNode, Welcome{});
    ASSERT_EQ(PlanNow().admit, slot);
    Give(Admitted{slot});
    Give(RouteAsked{slot});
    GiveFrom(kCoordinatorNode, RouteFor(slot, session));
    ASSERT_EQ(Slot(slot).phase, SlotPhase::kRunning);
    state_.outputs.clear();
  }
  // Runs the front batch that is planned and takes the frames that it sends.
  std::vector<Activation> RunFront(Duration time = {}) {
    EdgePlan plan = PlanNow();
    EXPECT_FALSE(plan.front.empty());
    Give(FrontStarted{&plan.front, plan.prefill_waits});
    for (EdgeItem& item : state_.running) item.rows_out = pool_.Take(item.n, kWidth);
    Give(FrontDone{time});
    return TakeFrames();
  }
  std::vector<Activation> TakeFrames() {
    std::vector<Activation> frames;
    for (Outgoing& outgoing : state_.outbox) {
      EXPECT_EQ(outgoing.to, kWorkerA);
      frames.push_back(std::get<Activation>(std::move(outgoing.message)));
    }
    state_.outbox.clear();
    return frames;
  }
  // What the last hop answers to a frame.
  Activation AnswerTo(const Activation& frame) {
    Activation answer{.envelope = frame.envelope, .rows = {}};
    answer.envelope.layer =
        static_cast<uint16_t>(state_.options.model.n_layers - state_.options.back_layers);
    const int n = static_cast<int>(frame.envelope.n);
    const int back = frame.envelope.rows_wanted == RowsWanted::kAll    ? n
                     : frame.envelope.rows_wanted == RowsWanted::kLast ? 1
                                                                       : 0;
    answer.envelope.flags = kFlagAnswer;
    answer.envelope.n_hops = 0;
    answer.envelope.hops = {};
    answer.envelope.base += static_cast<uint32_t>(n - back);
    answer.envelope.n = static_cast<uint32_t>(back);
    if (back > 0) answer.rows = pool_.Take(back, kWidth);
    return answer;
  }
  // Runs the back batch that is planned; whatever samples draws `token`.
  void RunBack(Token token = 0, Duration time = {}) {
    const EdgePlan plan = PlanNow();
    ASSERT_FALSE(plan.back.empty());
    Give(BackStarted{&plan.back});
    for (EdgeItem& item : state_.running) item.drawn.Push(token);
    Give(BackDone{time});
  }
  // The same of one session, with all tokens that its step gives.
  void RunBackDrawing(std::initializer_list<Token> tokens) {
    const EdgePlan plan = PlanNow();
    ASSERT_EQ(plan.back.size(), 1u);
    Give(BackStarted{&plan.back});
    for (const Token token : tokens) state_.running.at(0).drawn.Push(token);
    Give(BackDone{});
  }
  // One token of decode, or a whole prompt of one chunk.
  void OneStep(Token token) {
    for (const Activation& frame : RunFront()) GiveFrom(kWorkerB, AnswerTo(frame));
    RunBack(token);
  }
  std::string TextOut() {
    std::string text;
    for (; !state_.outputs.empty(); state_.outputs.pop_front()) {
      if (const auto* out = std::get_if<TokenOut>(&state_.outputs.front().what)) text += out->text;
      if (const auto* out = std::get_if<Finished>(&state_.outputs.front().what)) {
        finished_ = *out;
        text += out->text;
      }
    }
    return text;
  }

  LetterTokenizer tokenizer_;
  RowsPool pool_;
  Time now_{std::chrono::seconds(100)};
  EdgeState state_;
  std::optional<Finished> finished_;  // the last that TextOut met
};

}  // namespace mortar
