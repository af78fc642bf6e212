// Goal: where nodes have keys, what is said of a session on its way through others counts only when
// edge and hop said it. Somebody in the middle, who forwards everything and reads every envelope,
// puts words of his own in the place of theirs, or changes what a coordinator granted: he can lose
// messages, and nothing more. The same roles as everywhere, on a simulated clock and network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>

#include "tests/integration/embedded_cluster.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using testing::HasSubstr;

GenerateRequest Request() {
  GenerateRequest request;
  for (int i = 0; i < 9; ++i) request.prompt.push_back(static_cast<Token>(i * 13 % kTinyVocab));
  request.n_predict = 12;
  request.ignore_end = true;
  return request;
}

// What came of a run in which `forge` changed one message: the first for which it said yes.
struct Outcome {
  Answer answer;
  bool forged = false;
  int routes = 0;  // that the edge asked for
  WorkerCounters first, second;
  EdgeCounters edge;
};
using Forge = std::function<bool(NodeId from, NodeId to, AnyMessage& message)>;

class ForgedWords : public testing::Test {
 protected:
  Outcome Run(const Forge& forge) {
    Outcome outcome;
    ClusterOptions options;
    options.n_workers = 2;
    options.step_deadline = std::chrono::seconds(2);
    options.sealed = true;
    const auto delay = std::chrono::milliseconds(1);  // messages keep their order
    options.sim = SimOptions{.loss = 0, .duplicates = 0, .delay_min = delay, .delay_max = delay};
    options.sim->tamper = [&](NodeId from, NodeId to, AnyMessage& message) {
      outcome.routes += std::holds_alternative<RouteRequest>(message);
      if (!outcome.forged) outcome.forged = forge(from, to, message);
    };
    EmbeddedCluster cluster(file_, options);
    outcome.answer = cluster.Run(Request());
    outcome.first = cluster.worker(0).counters;
    outcome.second = cluster.worker(1).counters;
    outcome.edge = cluster.edge().state().counters;
    return outcome;
  }
  // The same with the tokens of an undisturbed run, over the route that it began with.
  Outcome RunUnharmed(const Forge& forge) {
    Outcome outcome = Run(forge);
    EXPECT_TRUE(outcome.forged);
    ExpectTokens(outcome);
    EXPECT_EQ(outcome.routes, 1) << "nobody was sent away";
    return outcome;
  }
  void ExpectTokens(const Outcome& outcome) {
    ASSERT_TRUE(outcome.answer.finished.status.ok()) << outcome.answer.finished.status;
    EXPECT_EQ(outcome.answer.tokens, DecodeAlone(*file_, Request()));
  }
  // In the place of a frame of decode from one node to another, a word about its session.
  template <typename Word>
  static Forge InPlaceOfAFrame(NodeId from, NodeId to, Word (*word)(const Envelope&)) {
    return [=](NodeId f, NodeId t, AnyMessage& message) {
      const auto* frame = std::get_if<Activation>(&message);
      if (f != from || t != to || frame == nullptr || frame->envelope.base < 12) return false;
      message = word(frame->envelope);
      return true;
    };
  }

  const std::shared_ptr<GgufFile> file_ = TinyFile({.n_layers = 6});
};

constexpr NodeId kFirst = WorkerNode(0), kLast = WorkerNode(1);

TEST_F(ForgedWords, WithoutAnybodyInTheMiddleNothingIsRefused) {
  const Outcome outcome = Run([](NodeId, NodeId, AnyMessage&) { return false; });
  ExpectTokens(outcome);
  EXPECT_EQ(outcome.routes, 1);
  EXPECT_EQ(outcome.answer.finished.timings.retries, 0);
  for (const WorkerCounters& worker : {outcome.first, outcome.second}) {
    EXPECT_EQ(worker.broken_seals + worker.bad_grants + worker.unopened, 0u);
  }
  EXPECT_EQ(outcome.edge.broken_seals + outcome.edge.bad_grants + outcome.edge.keys_again, 0u);
}

TEST_F(ForgedWords, NobodyElseCancelsASession) {
  Outcome outcome = RunUnharmed(InPlaceOfAFrame<Cancel>(
      kEdgeNode, kFirst, [](const Envelope& e) { return Cancel{e.session}; }));
  EXPECT_EQ(outcome.first.broken_seals, 1u);
  outcome = RunUnharmed(InPlaceOfAFrame<End>(kEdgeNode, kFirst, [](const Envelope& e) {
    return End{e.session, e.seal};  // a frame's seal is no word's
  }));
  EXPECT_EQ(outcome.first.broken_seals, 1u);
}

TEST_F(ForgedWords, NobodyElseEndsARequestOrSendsItsEdgeToAnotherRoute) {
  Outcome outcome = RunUnharmed(InPlaceOfAFrame<Rejected>(kLast, kEdgeNode, [](const Envelope& e) {
    return Rejected{.session = e.session,
                    .epoch = e.epoch,
                    .step = e.step,
                    .status = InvalidArgument("made up")};
  }));
  EXPECT_EQ(outcome.edge.broken_seals, 1u);
  outcome = RunUnharmed(InPlaceOfAFrame<NeedRoute>(kLast, kEdgeNode, [](const Envelope& e) {
    return NeedRoute{.session = e.session, .epoch = e.epoch, .step = e.step};
  }));
  EXPECT_EQ(outcome.edge.broken_seals, 1u);
  outcome = RunUnharmed(InPlaceOfAFrame<NeedPrefix>(kLast, kEdgeNode, [](const Envelope& e) {
    return NeedPrefix{.session = e.session, .epoch = e.epoch, .step = e.step, .seal = e.seal};
  }));
  EXPECT_EQ(outcome.edge.broken_seals, 1u);
}

TEST_F(ForgedWords, ARouteFromWhoIsNotAskedForOneIsNotEvenLookedAt) {
  const Outcome outcome =
      RunUnharmed(InPlaceOfAFrame<Route>(kLast, kEdgeNode, [](const Envelope& e) {
        Route route{.request = 1, .status = absl::OkStatus()};
        route.grant.session = e.session;
        return route;
      }));
  EXPECT_EQ(outcome.edge.old_answers, 1u);
  EXPECT_EQ(outcome.edge.bad_grants, 0u) << "a signature takes time, and this edge waits for none";
}

// He says Goodbye in the edge's name, which has no seal: the worker lets the session go. What the
// edge shows it then is what he recorded; with the first frame he plays its beginning again.
TEST_F(ForgedWords, AFrameThatIsPlayedAgainAfterAGoodbyeIsNotSealedASecondTime) {
  std::optional<Activation> recorded;
  int goodbyes = 0, replays = 0;
  std::map<uint64_t, int> forwarded;  // frames of the first worker, by step: its nonce
  const Outcome outcome = Run([&](NodeId from, NodeId to, AnyMessage& message) {
    auto* frame = std::get_if<Activation>(&message);
    if (from == kFirst && to == kLast && frame != nullptr) ++forwarded[frame->envelope.step];
    if (from == kFirst && to == kEdgeNode && goodbyes == 1 &&
        std::holds_alternative<NeedRoute>(message)) {
      message = Alive{};  // that the edge does not hear
    }
    if (from != kEdgeNode || to != kFirst || frame == nullptr) return false;
    if (!recorded) {
      RowsPool pool;  // rows are opened in place
      recorded = *frame;
      recorded->rows = pool.Copy(frame->rows, 0, frame->rows.n());
    } else if (goodbyes == 0 && frame->envelope.base >= 12) {
      ++goodbyes;
      message = Goodbye{Unavailable("made up")};
    } else if (goodbyes == 1 && replays == 0) {
      ++replays;  // behind the key, which comes with the new epoch
      message = *std::move(recorded);
    }
    return false;
  });
  EXPECT_EQ(goodbyes + replays, 2);
  EXPECT_GE(outcome.first.old_step, 1u);
  for (const auto& [step, times] : forwarded) EXPECT_EQ(times, 1) << "step " << step;
  ExpectTokens(outcome);
  EXPECT_EQ(outcome.routes, 1) << "under higher steps its edge goes on";
}

TEST_F(ForgedWords, WhoSaysWithoutASealThatHeHasNoKeyGetsItAndMovesNothing) {
  const Outcome outcome =
      RunUnharmed(InPlaceOfAFrame<NeedPrefix>(kLast, kEdgeNode, [](const Envelope& e) {
        return NeedPrefix{.session = e.session, .epoch = e.epoch, .step = e.step};
      }));
  EXPECT_EQ(outcome.edge.keys_again, 1u);
  // The answer that was lost to it is asked for again when its time is over, and not before.
  EXPECT_EQ(outcome.answer.finished.timings.retries, 1);
  EXPECT_GT(outcome.answer.finished.timings.decode, std::chrono::seconds(2));
}

TEST_F(ForgedWords, AKeyThatWasLostComesAgainAtOnce) {
  const Outcome outcome = RunUnharmed([](NodeId, NodeId to, AnyMessage& message) {
    if (to != kLast || !std::holds_alternative<Open>(message)) return false;
    message = Alive{};
    return true;
  });
  EXPECT_GE(outcome.edge.keys_again, 1u);
  EXPECT_EQ(outcome.answer.finished.timings.retries, 1) << "by the word of the hop that has it";
  EXPECT_LT(outcome.answer.finished.timings.ttft, std::chrono::seconds(2)) << "not by a deadline";
}

TEST_F(ForgedWords, ARouteThatTheCoordinatorDidNotSignIsNotTaken) {
  const Outcome outcome = Run([](NodeId, NodeId, AnyMessage& message) {
    auto* route = std::get_if<Route>(&message);
    if (route == nullptr) return false;
    route->grant.hops[0].key =
        NewKeyPair().public_key;  // whoever has the secret one reads the rows
    return true;
  });
  EXPECT_TRUE(absl::IsPermissionDenied(outcome.answer.finished.status));
  EXPECT_THAT(Message(outcome.answer.finished.status), HasSubstr("not signed by a coordinator"));
  EXPECT_EQ(outcome.edge.bad_grants, 1u);
}

TEST_F(ForgedWords, AGrantThatWasChangedOnItsWayOpensNothingAndAnotherRouteIsAskedFor) {
  const Outcome outcome = Run([](NodeId, NodeId to, AnyMessage& message) {
    auto* open = std::get_if<Open>(&message);
    if (open == nullptr || to != kLast) return false;
    open->grant.positions_max *= 2;
    return true;
  });
  ExpectTokens(outcome);
  EXPECT_EQ(outcome.second.bad_grants, 1u);
  EXPECT_EQ(outcome.routes, 2);
}

TEST_F(ForgedWords, AKeyOfSomebodyElseIsNotTakenForTheEdges) {
  const Outcome outcome = RunUnharmed([](NodeId, NodeId to, AnyMessage& message) {
    auto* open = std::get_if<Open>(&message);
    if (open == nullptr || to != kLast) return false;
    // All that is public, with a session's key of one's own.
    open->key = *SealFor(open->grant.hops[1].key, NewSessionKey());
    return true;
  });
  EXPECT_EQ(outcome.second.broken_seals, 1u);
}

}  // namespace
}  // namespace mortar
