// Goal: a link begins only between nodes that agree on protocol, arithmetic and model.
#include "protocol/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mortar {
namespace {

using testing::HasSubstr;

const ModelId kModel{.name = "m", .digest = {}, .n_layers = 4, .n_embd = 32};

Hello Good() { return {.role = Role::kWorker, .name = "w", .model = kModel}; }

TEST(Handshake, NodesThatAgreeMayTalk) {
  EXPECT_TRUE(CheckHello(Good(), kModel).ok());
  EXPECT_TRUE(CheckHello(Good(), std::nullopt).ok()) << "whoever serves no model yet takes any";
  EXPECT_TRUE(CheckWelcome(WelcomeFor(Good()), false).ok());
}

TEST(Handshake, AnotherVersionContractOrModelIsRefusedWithBothValues) {
  Hello hello = Good();
  hello.version = 9;
  EXPECT_THAT(Message(CheckHello(hello, kModel)), HasSubstr("version 9, this cluster speaks 1"));
  hello = Good();
  hello.contract = "C2";
  EXPECT_THAT(Message(CheckHello(hello, kModel)), HasSubstr("contract C2"));
  hello = Good();
  hello.model.digest.bytes[0] = 0xab;
  EXPECT_THAT(
      Message(CheckHello(hello, kModel)),
      HasSubstr("serves model m, --kv f16, bricks 0000000000000000…, node w has m, --kv f16, "
                "bricks ab"));
  hello = Good();
  hello.model.kv = KvFormat::kF32;
  EXPECT_THAT(Message(CheckHello(hello, kModel)), HasSubstr("node w has m, --kv f32"));
  hello.model.kv = KvFormat::kQ80;
  EXPECT_THAT(Message(CheckHello(hello, kModel)), HasSubstr("node w has m, --kv q8_0"));
}

TEST(Handshake, ARelayNeedsNoModel) {
  EXPECT_TRUE(CheckHello({.role = Role::kRelay, .name = "r"}, kModel).ok());
}

TEST(Handshake, NamesAreBounded) {
  Hello hello = Good();
  hello.name = "";
  EXPECT_THAT(Message(CheckHello(hello, kModel)), HasSubstr("1 to 64 bytes"));
  hello.name.assign(65, 'x');
  EXPECT_FALSE(CheckHello(hello, kModel).ok());
}

TEST(Handshake, BetweenKeysNobodyIsTalkedIntoLessThanSignedRoutes) {
  Hello hello = Good();
  hello.features = 0;
  EXPECT_TRUE(CheckHello(hello, kModel).ok()) << "without keys nothing is signed";
  hello.key.bytes[0] = 1;
  EXPECT_THAT(Message(CheckHello(hello, kModel)), HasSubstr("knows no signed routes"));
  EXPECT_TRUE(CheckWelcome(Welcome{.features = 0}, /*has_keys=*/false).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckWelcome(Welcome{.features = 0}, true)));
  EXPECT_TRUE(CheckWelcome(Welcome{.features = kFeatures}, true).ok());
}

TEST(Handshake, UnknownFeaturesAreNotAgreed) {
  Hello hello = Good();
  hello.features = 0xff;
  EXPECT_EQ(WelcomeFor(hello).features, kFeatures);
  hello.features = 0;
  EXPECT_EQ(WelcomeFor(hello).features, 0u);
}

TEST(Handshake, AnAnswerOfAnotherVersionEndsIt) {
  EXPECT_FALSE(CheckWelcome({.version = 2}, false).ok());
  EXPECT_FALSE(CheckWelcome({.contract = "C2"}, false).ok());
}

}  // namespace
}  // namespace mortar
