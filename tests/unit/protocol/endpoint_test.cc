// Goal: an endpoint means one address and one port, whoever wrote it; everything else is refused
// with what to give instead.
#include "protocol/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/limits.h"

namespace mortar {
namespace {

using testing::HasSubstr;

TEST(EndpointTest, AnAddressAndAPortAreReadAndWrittenBack) {
  for (const char* text : {"tcp://127.0.0.1:4750", "tcp://0.0.0.0:0", "tcp://10.2.3.255:65535"}) {
    const auto endpoint = ParseEndpoint(text);
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    EXPECT_EQ(ToString(*endpoint), text);
  }
}

TEST(EndpointTest, LocalhostIsLoopbackWhateverAResolverSays) {
  const auto endpoint = ParseEndpoint("tcp://localhost:4750");
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_EQ(ToString(*endpoint), "tcp://127.0.0.1:4750");
}

TEST(EndpointTest, LoopbackIsOneNetworkAndNothingThatBeginsLikeIt) {
  EXPECT_TRUE(IsLoopback(*ParseEndpoint("tcp://127.0.0.1:1")));
  EXPECT_TRUE(IsLoopback(*ParseEndpoint("tcp://127.255.255.254:1")));
  EXPECT_FALSE(IsLoopback(*ParseEndpoint("tcp://128.0.0.1:1")));
  EXPECT_FALSE(IsLoopback(*ParseEndpoint("tcp://0.0.0.0:1")));
  EXPECT_FALSE(IsLoopback(*ParseEndpoint("tcp://10.127.0.1:1")));
}

TEST(EndpointTest, AnyAddressIsAllZeros) {
  EXPECT_TRUE(IsAnyAddress(*ParseEndpoint("tcp://0.0.0.0:1")));
  EXPECT_FALSE(IsAnyAddress(*ParseEndpoint("tcp://0.0.0.1:1")));
}

TEST(EndpointTest, WhatWouldBeLookedUpOrDialsTwoPlacesIsRefused) {
  const std::string zero("tcp://127.0.0.1\0.evil.example:1", 31);
  for (const std::string& text :
       {std::string("tcp://127.evil.example:4750"), std::string("tcp://127.0.0.1.example:4750"),
        std::string("tcp://127.0.0.1:0;10.0.0.5:4750"),
        std::string("tcp://127.0.0.1;10.0.0.5:4750"), std::string("tcp://127.1:4750"),
        std::string("tcp://*:4750"), std::string("tcp://eth0:4750"),
        std::string("tcp:// 127.0.0.1:4750"), std::string("tcp://0127.0.0.1:4750"), zero}) {
    const auto endpoint = ParseEndpoint(text);
    EXPECT_FALSE(endpoint.ok()) << text;
    EXPECT_THAT(endpoint.status().message(), HasSubstr("give tcp://A.B.C.D:PORT"));
  }
}

TEST(EndpointTest, WhatIsNoEndpointIsRefused) {
  for (const char* text :
       {"", "tcp://", "tcp://:", "tcp://:4750", "127.0.0.1:4750", "tcp://127.0.0.1",
        "ipc:///tmp/a:1", "inproc://a:1", "TCP://127.0.0.1:1"}) {
    EXPECT_FALSE(ParseEndpoint(text).ok()) << text;
  }
}

TEST(EndpointTest, APortIsDigitsUpTo65535) {
  for (const char* port : {"", "*", "-1", "+1", "65536", "99999999999999999999", "4750 ", "0x10"}) {
    EXPECT_FALSE(ParseEndpoint(std::string("tcp://127.0.0.1:") + port).ok()) << port;
  }
}

TEST(EndpointTest, IPv6IsRefusedByName) {
  EXPECT_THAT(ParseEndpoint("tcp://[::1]:4750").status().message(), HasSubstr("IPv4 alone"));
}

TEST(EndpointTest, ALongOneIsRefusedUnread) {
  const std::string text = "tcp://" + std::string(kEndpointBytesMax, '1') + ":1";
  EXPECT_THAT(ParseEndpoint(text).status().message(), HasSubstr("bytes"));
}

}  // namespace
}  // namespace mortar
