// Goal: every door that a server may have is tried in its turn, that which it prefers first, and
// whoever waits is told what each said.
#include "protocol/doors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr char kHere[] = "tcp://10.0.0.1:4750";
constexpr char kThere[] = "tcp://10.0.0.1:4752";
constexpr Duration kAtOnce = milliseconds(1);

class DoorsTest : public testing::Test {
 protected:
  const PublicKey old_ = NewKeyPair().public_key, new_ = NewKeyPair().public_key;
};

TEST_F(DoorsTest, KeysThatWereGivenAreTriedOneAfterTheOther) {
  ServerDoors doors = DoorsOf(kHere, {old_, new_});
  EXPECT_EQ(doors.all[doors.at].door.key, old_);
  EXPECT_TRUE(IsNextDue(doors, DialState::kHungUp, kAtOnce)) << "another one is there";
  EXPECT_EQ(Next(doors).key, new_);
  EXPECT_FALSE(IsNextDue(doors, DialState::kHungUp, kAtOnce)) << "a round has its rest";
  EXPECT_TRUE(IsNextDue(doors, DialState::kHungUp, kDoorRest + kAtOnce));
  EXPECT_EQ(Next(doors).key, old_);
}

TEST_F(DoorsTest, ADoorThatNeitherOpensNorRefusesIsLeftForAnotherAfterAWhile) {
  ServerDoors doors = DoorsOf(kHere, {old_, new_});
  for (const DialState state : {DialState::kTrying, DialState::kConnected}) {
    EXPECT_FALSE(IsNextDue(doors, state, kDoorPatience - kAtOnce));
    EXPECT_TRUE(IsNextDue(doors, state, kDoorPatience + kAtOnce));
    ServerDoors one = DoorsOf(kHere, {old_});
    EXPECT_FALSE(IsNextDue(one, state, seconds(60))) << "ZeroMQ itself tries again";
  }
}

TEST_F(DoorsTest, WhatTheServerSaidGoesFirstAndWhatWasGivenStays) {
  ServerDoors doors = DoorsOf(kHere, {old_});
  EXPECT_EQ(BetterThan(doors, {kHere, old_}), nullptr);
  Tell(doors, {{kThere, new_}, {kHere, old_}});
  ASSERT_NE(BetterThan(doors, {kHere, old_}), nullptr);
  EXPECT_EQ(BetterThan(doors, {kHere, old_})->endpoint, kThere);
  EXPECT_EQ(BetterThan(doors, {kThere, new_}), nullptr);
  // The new key in the old one's place, which nobody was told of.
  std::vector<std::pair<std::string, PublicKey>> all;
  for (const TriedDoor& tried : doors.all) all.emplace_back(tried.door.endpoint, tried.door.key);
  EXPECT_THAT(all, testing::ElementsAre(std::pair(kThere, new_), std::pair(kHere, old_),
                                        std::pair(kHere, new_)));
  Tell(doors, {{kHere, new_}});
  EXPECT_EQ(doors.all.size(), 2u);
  EXPECT_EQ(BetterThan(doors, {kThere, new_})->endpoint, kHere);
}

TEST_F(DoorsTest, WhoStandsAtADoorThatIsNoneAnyMoreGoesToTheFirst) {
  ServerDoors doors = DoorsOf(kHere, {old_});
  Tell(doors, {{kThere, new_}});
  NoteOpened(doors, {kThere, new_});
  Tell(doors, {{kHere, new_}});
  EXPECT_EQ(Next(doors).endpoint, kHere);
  EXPECT_EQ(doors.all[doors.at].door.key, new_);
}

TEST_F(DoorsTest, AKeyThatIsNotAllowedIsTriedOnceMoreBeforeThatIsTheEnd) {
  ServerDoors doors = DoorsOf(kHere, {old_});
  Note(doors, DialState::kNotAllowed);
  Note(doors, DialState::kNotAllowed);  // the same try
  EXPECT_FALSE(AllTurnAway(doors)) << "the list may have just been changed";
  EXPECT_TRUE(IsNextDue(doors, DialState::kNotAllowed, kListSeenMax + kAtOnce));
  Next(doors);
  EXPECT_FALSE(AllTurnAway(doors));
  EXPECT_THAT(WhyClosed(doors, DialState::kTrying), HasSubstr("not on its allow-list"))
      << "while it is tried again, what is known is said";
  Note(doors, DialState::kConnected);
  Note(doors, DialState::kNotAllowed);
  EXPECT_TRUE(AllTurnAway(doors));
  EXPECT_FALSE(IsNextDue(doors, DialState::kNotAllowed, kListSeenMax + kAtOnce)) << "in its time";
  NoteOpened(doors, {kHere, old_});
  EXPECT_FALSE(AllTurnAway(doors));
}

TEST_F(DoorsTest, KeysAtOneEndAloneAreTheEndAtOnce) {
  ServerDoors doors = DoorsOf(kHere, {});
  Note(doors, DialState::kKeysWanted);
  EXPECT_TRUE(AllTurnAway(doors));
  EXPECT_THAT(WhyClosed(doors, DialState::kTrying), HasSubstr("it wants keys"));
}

TEST_F(DoorsTest, WhoHasADoorThatDidNotTurnHimAwayWaitsOnAndHearsOfEach) {
  ServerDoors doors = DoorsOf(kHere, {old_, new_});
  for (int round = 0; round < 3; ++round) {
    Note(doors, DialState::kHungUp);
    Next(doors);
    Note(doors, DialState::kRefused);
    Next(doors);
  }
  EXPECT_FALSE(AllTurnAway(doors));
  const std::string why = WhyClosed(doors, DialState::kTrying);
  EXPECT_THAT(why, HasSubstr(ToHex(old_).substr(0, 8) + "…: it broke off the greeting"));
  EXPECT_THAT(why, HasSubstr(ToHex(new_).substr(0, 8) + "…: nobody listens there"));
}

}  // namespace
}  // namespace mortar
