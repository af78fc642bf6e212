// Goal: keys are read as they are written and as nothing else, and a node's id is its key's.
#include "protocol/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "protocol/allow_list.h"

namespace mortar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Refusal(std::string_view list) {
  const auto read = AllowList::Parse(list);
  return read.ok() ? "read" : Message(read.status());
}

TEST(Keys, APairIsReadAsItWasWritten) {
  const KeyPair pair = NewKeyPair();
  EXPECT_FALSE(pair.public_key.empty());
  EXPECT_NE(NewKeyPair().public_key, pair.public_key);
  const auto secret = ParseSecretKey(ToHex(pair.secret_key));
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->secret_key.bytes, pair.secret_key.bytes);
  EXPECT_EQ(secret->public_key, pair.public_key) << "the public key follows from the secret one";
  EXPECT_EQ(*ParsePublicKey(ToHex(pair.public_key)), pair.public_key);
}

// The pair of "Alice" in RFC 7748, section 6.1: keys that other programs made are keys here.
TEST(Keys, APublicKeyFollowsFromItsSecretOneAsTheStandardSays) {
  const auto pair =
      ParseSecretKey("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  ASSERT_TRUE(pair.ok()) << pair.status();
  EXPECT_EQ(ToHex(pair->public_key),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
}

TEST(Keys, AnythingElseIsNoKey) {
  const std::string good = ToHex(NewKeyPair().public_key);
  for (const std::string& text :
       {std::string(), good.substr(1), good + "0", good + " ", " " + good, std::string(64, '0'),
        std::string(64, 'g'), "0x" + good.substr(2), good.substr(0, 63) + '\0'}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParsePublicKey(text).status())) << text;
  }
  const std::string secret = ToHex(NewKeyPair().secret_key);
  const absl::Status refused = ParseSecretKey(secret.substr(0, 60)).status();
  EXPECT_THAT(Message(refused), HasSubstr("64 hexadecimal digits"));
  EXPECT_EQ(Message(refused).find(secret.substr(0, 8)), std::string::npos) << "it stays secret";
}

TEST(Keys, ANodesIdIsItsKeysAlone) {
  const PublicKey key = NewKeyPair().public_key, other = NewKeyPair().public_key;
  EXPECT_EQ(NodeIdOf(key, 7), NodeIdOf(key, 7));
  std::set<uint64_t> ids = {NodeIdOf(other, 7).value};
  for (uint64_t instance = 0; instance < 100; ++instance) {
    EXPECT_TRUE(ids.insert(NodeIdOf(key, instance).value).second) << instance;
  }
}

// --- The allow-list ---

TEST(AllowListText, SaysWhoMayJoinAsWhat) {
  const PublicKey a = NewKeyPair().public_key, b = NewKeyPair().public_key;
  const auto list = AllowList::Parse("# the laboratory\n\n" + ToHex(a) + " worker lab-1\r\n  " +
                                     ToHex(b) + "\tedge,worker  Ada's desk  \n# end");
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->keys().size(), 2u);
  EXPECT_EQ(list->keys()[0].name, "lab-1");
  EXPECT_EQ(list->keys()[1].name, "Ada's desk");
  EXPECT_THAT(list->keys()[1].roles, ElementsAre(Role::kEdge, Role::kWorker));
  EXPECT_TRUE(list->Allows(a, Role::kWorker));
  EXPECT_FALSE(list->Allows(a, Role::kEdge));
  EXPECT_TRUE(list->Allows(b, Role::kEdge));
  EXPECT_FALSE(list->Allows(b, Role::kRelay));
  EXPECT_FALSE(list->Knows(NewKeyPair().public_key));
  EXPECT_FALSE(AllowList().Knows(a)) << "an empty list allows nobody";
}

TEST(AllowListText, WhatIsNoListIsRefusedByItsLine) {
  const std::string key = ToHex(NewKeyPair().public_key);
  EXPECT_THAT(Refusal("# a\nnonsense worker"), HasSubstr("line 2: a public key has 64"));
  EXPECT_THAT(Refusal(key), HasSubstr("line 1: \"\" is no role"));
  EXPECT_THAT(Refusal(key + " coordinator"), HasSubstr("\"coordinator\" is no role"));
  EXPECT_THAT(Refusal(key + " worker,"), HasSubstr("\"\" is no role"));
  EXPECT_THAT(Refusal(key + " Worker"), HasSubstr("is no role"));
  EXPECT_THAT(Refusal(key + " worker\n" + key + " edge"), HasSubstr("line 2: this key stands"));
  EXPECT_THAT(Refusal(std::string(kAllowListBytesMax + 1, '\n')), HasSubstr("at most 1048576"));
}

TEST(AllowListText, AKeyIsTakenOutWithItsLineAndNothingElse) {
  const PublicKey a = NewKeyPair().public_key, b = NewKeyPair().public_key;
  const std::string first = "# mine\n" + LineOf({a, {Role::kWorker}, "lab-1"}) + "\n";
  const std::string second = LineOf({b, {Role::kEdge, Role::kRelay}, ""});
  EXPECT_EQ(second, ToHex(b) + " edge,relay");
  EXPECT_EQ(WithoutKey(first + second, b), first);
  EXPECT_EQ(WithoutKey(first + second, a), "# mine\n" + second);
  EXPECT_EQ(WithoutKey(first, b), std::nullopt);
}

}  // namespace
}  // namespace mortar
