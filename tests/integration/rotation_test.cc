// Goal: a coordinator and a relay change their keys amid an answer, with no process started again:
// whoever knows both keys, or was told of the new one, never stops; whoever knows the old one alone
// gets in until it ends and not after.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/integration/cluster_keys.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

// Some seconds of an answer: longer than both halves of a rotation.
constexpr int kLong = 1200;

class RotationTest : public ClusterKeysTest {
 protected:
  // The first half: the node serves another key, which is said on its log. Where.
  std::string BeginRotation(const std::string& name, const NodeProgram& node) {
    const ProgramResult made =
        Keys({"next", "--keys", File(name), "--listen", "tcp://127.0.0.1:0"});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    public_[name + ".next"] = made.out.substr(0, made.out.find('\n'));
    const std::string line = node.Line("door_opened");
    EXPECT_THAT(line, HasSubstr(public_[name + ".next"]));
    const size_t at = line.find("tcp://");
    return line.substr(at, line.find_first_of(" \"", at) - at);
  }
  // The second: the old key ends.
  void EndRotation(const std::string& name, const NodeProgram& node) {
    const ProgramResult made = Keys({"promote", "--keys", File(name)});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    EXPECT_THAT(made.out, HasSubstr(public_[name + ".next"]));
    EXPECT_THAT(node.Line("its key has ended"), HasSubstr(public_[name]));
  }
  std::string EndpointIn(const std::string& line) {
    const size_t at = line.find("tcp://");
    return line.substr(at, line.find_first_of(", \n", at) - at);
  }
};

TEST_F(RotationTest, ACoordinatorsKeyChangesAmidAnAnswerWhoseFramesItForwards) {
  const json expected = TokensOfOneProcess(kLong);
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  NodeProgram& worker =
      StartWorker(Dials("lab-1") + Arguments{"--listen", "none", "--log-level", "info"});
  auto answer = BeginAnswer(kLong, Dials("desk"));

  const std::string second = BeginRotation("coordinator", *coordinator_);
  worker.Line("moved");
  EXPECT_EQ(Tokens(4, Dials("desk")).size(), 4u) << "who knows the old one alone gets in";
  const std::string first = std::exchange(endpoint_, second);
  EXPECT_EQ(Tokens(4, Dials("desk", {"coordinator.next"})).size(), 4u) << "who knows the new one";
  endpoint_ = first;

  EndRotation("coordinator", *coordinator_);
  EXPECT_FALSE(answer->done()) << "it was over too soon";
  EXPECT_EQ(answer->Tokens(), expected);
  ExpectOneLineError(Edge(Ask(kPrompt, 4) + Dials("desk")), 1,
                     "its public key is not the one that was given");
  EXPECT_EQ(Tokens(4, Dials("desk", {"coordinator.next"})).size(), 4u) << "at the old endpoint";
  EXPECT_EQ(Tokens(4, Dials("desk", {"coordinator", "coordinator.next"})).size(), 4u);
  EXPECT_TRUE(worker.Runs());
  EXPECT_THAT(worker.Errors(), Not(HasSubstr("coordinator_lost")));
}

TEST_F(RotationTest, ARelaysKeyChangesAmidAnAnswer) {
  const json expected = TokensOfOneProcess(kLong);
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  NodeProgram relay(Arguments{"relay", "--listen", "tcp://127.0.0.1:0", "--coordinator", endpoint_,
                              "--log-level", "info"} +
                    WorkerFlags("relay"));
  const std::string at = EndpointIn(relay.Line("relay at "));
  const auto through = [&](const std::string& key) {
    return Arguments{"--relay", at, "--no-direct", "--relay-key", public_.at(key)};
  };
  NodeProgram& worker = StartWorker(Dials("lab-1") + through("relay") +
                                    Arguments{"--listen", "none", "--log-level", "info"});
  auto answer = BeginAnswer(kLong, Dials("desk") + through("relay"));

  BeginRotation("relay", relay);
  Allow("relay.next",
        "relay");  // it dials the coordinator by the new one too, once that is its own
  worker.Line("moved");
  EndRotation("relay", relay);
  EXPECT_FALSE(answer->done()) << "it was over too soon";
  EXPECT_EQ(answer->Tokens(), expected);
  Revoke("relay");  // nobody misses it
  EXPECT_EQ(Tokens(24, Dials("desk") + through("relay.next")), TokensOfOneProcess(24));
  EXPECT_THAT(worker.Errors(), Not(HasSubstr("relay_unreachable")));
  EXPECT_TRUE(relay.Runs());
  EXPECT_GT(ForwardedBy(relay), 2 * kLong);
}

TEST_F(RotationTest, AClientsKeyChangesWithoutARestartOfWhoListens) {
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  StartWorker(WorkerFlags("lab-1"));
  EXPECT_EQ(Tokens(4, Dials("desk")).size(), 4u);
  MakeKeys("desk-2");
  Allow("desk-2", "edge");
  EXPECT_EQ(Tokens(4, Dials("desk-2")).size(), 4u) << "both, for as long as is liked";
  EXPECT_EQ(Tokens(4, Dials("desk")).size(), 4u);
  Revoke("desk");
  coordinator_->Line("allow_list_read keys=4");
  ExpectOneLineError(Edge(Ask(kPrompt, 4) + Dials("desk")), 1, "not on its allow-list");
  EXPECT_EQ(Tokens(4, Dials("desk-2")).size(), 4u);
}

TEST_F(RotationTest, AKeyThatCannotBeServedIsSaidAndTheOldOneGoesOn) {
  StartCoordinator(1, "tcp://127.0.0.1:0", Listens("coordinator"));
  StartWorker(WorkerFlags("lab-1"));
  ASSERT_EQ(Keys({"next", "--keys", File("coordinator"), "--listen", endpoint_}).exit_code, 0);
  EXPECT_THAT(coordinator_->Line("door_not_opened"), HasSubstr("cannot listen on " + endpoint_));
  EXPECT_EQ(Tokens(4, Dials("desk")).size(), 4u);
}

TEST_F(RotationTest, WhatNextAndPromoteNeedIsSaid) {
  ExpectOneLineError(Keys({"next", "--keys", File("desk")}), 2, "add --listen");
  ExpectOneLineError(Keys({"next", "--keys", File("desk"), "--listen", "desk:1"}), 2, "--listen");
  ExpectOneLineError(Keys({"next", "--keys", File("none"), "--listen", "tcp://127.0.0.1:1"}), 1,
                     File("none"));
  ExpectOneLineError(Keys({"promote", "--keys", File("desk")}), 1, File("desk.next"));
  ExpectOneLineError(Keys({"new", "--keys", File("x"), "--listen", "tcp://127.0.0.1:1"}), 2,
                     "takes no --listen");
  ASSERT_EQ(Keys({"next", "--keys", File("desk"), "--listen", "tcp://127.0.0.1:1"}).exit_code, 0);
  ExpectOneLineError(Keys({"next", "--keys", File("desk"), "--listen", "tcp://127.0.0.1:1"}), 1,
                     "File exists");
}

}  // namespace
}  // namespace mortar
