// Goal: what is sealed is read by those it is for, as it was written, and by nobody else.
#include "protocol/seal.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace mortar {
namespace {

constexpr NodeId kEdge{100};
constexpr NodeId kHop{200};

class Sealed : public testing::Test {
 protected:
  Activation Frame(int n = 3) {
    Activation frame;
    frame.envelope.session.bytes[3] = 9;
    frame.envelope.edge = kEdge;
    frame.envelope.step = 77;
    frame.envelope.epoch = 2;
    frame.envelope.base = 5;
    frame.envelope.n = static_cast<uint32_t>(n);
    frame.envelope.layer = 4;
    frame.envelope.n_hops = 1;
    frame.envelope.hops[0] = kHop;
    if (n == 0) return frame;
    frame.rows = pool_.Take(n, 8);
    for (int i = 0; i < n * 8; ++i) frame.rows.mutable_data()[i] = static_cast<float>(i) / 3;
    return frame;
  }
  static std::vector<float> Values(const Activation& frame) {
    return {frame.rows.data(), frame.rows.data() + frame.rows.bytes() / sizeof(float)};
  }
  // A frame of its own memory, so that the original stays as it is.
  Activation Copy(const Activation& frame) {
    Activation copy{.envelope = frame.envelope, .rows = {}};
    if (!frame.rows.empty()) copy.rows = pool_.Copy(frame.rows, 0, frame.rows.n());
    return copy;
  }

  RowsPool pool_;
  const SessionKey session_ = NewSessionKey();
  const SessionKey key_ = RowsKeyOf(session_, kEdge);
};

TEST_F(Sealed, RowsComeOutAsTheyWentIn) {
  Activation frame = Frame();
  const std::vector<float> before = Values(frame);
  SealRows(key_, frame);
  EXPECT_NE(Values(frame), before);
  ASSERT_TRUE(OpenRows(key_, frame).ok());
  EXPECT_EQ(Values(frame), before);
}

TEST_F(Sealed, AnEmptyAnswerIsSealedToo) {
  Activation frame = Frame(0);
  SealRows(key_, frame);
  EXPECT_TRUE(OpenRows(key_, frame).ok());
  ++frame.envelope.step;
  EXPECT_TRUE(absl::IsPermissionDenied(OpenRows(key_, frame)));
}

TEST_F(Sealed, EveryFieldOfTheEnvelopeAndEveryByteOfTheRowsIsHeld) {
  Activation sealed = Frame();
  SealRows(key_, sealed);
  const std::vector<void (*)(Envelope&)> changes = {
      [](Envelope& e) { e.session.bytes[15] ^= 1; },
      [](Envelope& e) { e.edge.value ^= 1; },
      [](Envelope& e) { e.step ^= 1; },
      [](Envelope& e) { e.epoch ^= 1; },
      [](Envelope& e) { e.base ^= 1; },
      [](Envelope& e) { e.n ^= 1; },
      [](Envelope& e) { e.rows_wanted = RowsWanted::kLast; },
      [](Envelope& e) { e.flags |= kFlagAnswer; },
      [](Envelope& e) { e.layer.reset(); },
      [](Envelope& e) { e.n_hops = 0; },
      [](Envelope& e) { e.hops[0].value ^= 1; },
      [](Envelope& e) { e.seal[0] ^= 1; },
      [](Envelope& e) { e.flags &= static_cast<uint16_t>(~kFlagSealed); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    Activation frame = Copy(sealed);
    changes[i](frame.envelope);
    EXPECT_TRUE(absl::IsPermissionDenied(OpenRows(key_, frame)));
  }
  for (const size_t at : {size_t{0}, sealed.rows.bytes() - 1}) {
    Activation frame = Copy(sealed);
    reinterpret_cast<uint8_t*>(frame.rows.mutable_data())[at] ^= 1;
    EXPECT_TRUE(absl::IsPermissionDenied(OpenRows(key_, frame)));
    EXPECT_TRUE(frame.rows.empty()) << "nobody computes with what was not genuine";
  }
  Activation untouched = Copy(sealed);
  EXPECT_TRUE(OpenRows(key_, untouched).ok());
}

TEST_F(Sealed, AnotherSenderOrSessionHasAnotherKey) {
  Activation frame = Frame();
  SealRows(RowsKeyOf(session_, kHop), frame);
  EXPECT_TRUE(absl::IsPermissionDenied(OpenRows(key_, frame)));
  frame = Frame();
  SealRows(RowsKeyOf(NewSessionKey(), kEdge), frame);
  EXPECT_TRUE(absl::IsPermissionDenied(OpenRows(key_, frame)));
}

TEST_F(Sealed, ASessionsKeyIsReadByTheHopItIsForAlone) {
  const KeyPair hop = NewKeyPair(), other = NewKeyPair();
  const auto sealed = SealFor(hop.public_key, session_);
  ASSERT_TRUE(sealed.ok());
  const auto opened = OpenSealed(*sealed, hop);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->bytes, session_.bytes);
  EXPECT_TRUE(absl::IsPermissionDenied(OpenSealed(*sealed, other).status()));
  SealedKey changed = *sealed;
  changed[40] ^= 1;
  EXPECT_TRUE(absl::IsPermissionDenied(OpenSealed(changed, hop).status()));
}

// --- Words ---

std::vector<AnyMessage> Words() {
  const SessionId session{{1, 2, 3}};
  return {NeedPrefix{.session = session, .epoch = 2, .step = 3, .have = 4},
          NeedRoute{.session = session, .epoch = 2, .step = 3},
          Rejected{.session = session, .epoch = 2, .step = 3, .status = OutOfRange("too far")},
          End{session},
          Cancel{session},
          Ended{session, 1, 2, 3, 4},
          Open{.session = session, .epoch = 2, .step = 3}};
}

TEST_F(Sealed, WordsAreTakenAsTheyWereSaidByWhoSaidThem) {
  for (const AnyMessage& plain : Words()) {
    SCOPED_TRACE(plain.index());
    EXPECT_TRUE(absl::IsPermissionDenied(CheckSeal(key_, plain))) << "without a seal";
    AnyMessage word = plain;
    SealMessage(key_, word);
    EXPECT_TRUE(CheckSeal(key_, word).ok());
    EXPECT_FALSE(CheckSeal(RowsKeyOf(session_, kHop), word).ok()) << "another sender";
    EXPECT_FALSE(CheckSeal(RowsKeyOf(NewSessionKey(), kEdge), word).ok()) << "another session";
  }
}

TEST_F(Sealed, NoWordsSealFitsAnother) {
  for (const AnyMessage& one : Words()) {
    AnyMessage sealed = one;
    SealMessage(key_, sealed);
    const std::optional<SealTag> seal = std::visit(
        [](const auto& m) -> std::optional<SealTag> {
          if constexpr (requires { m.seal.has_value(); }) return m.seal;
          return std::nullopt;
        },
        sealed);
    ASSERT_TRUE(seal.has_value());
    for (AnyMessage other : Words()) {
      if (other.index() == one.index()) continue;
      std::visit(
          [&](auto& m) {
            if constexpr (requires { m.seal.has_value(); }) m.seal = seal;
          },
          other);
      EXPECT_FALSE(CheckSeal(key_, other).ok()) << one.index() << " as " << other.index();
    }
  }
}

std::string SealOf(AnyMessage word) {
  SecretKey key;
  for (size_t i = 0; i < kKeyBytes; ++i) key.bytes[i] = static_cast<uint8_t>(i);
  SealMessage(key, word);
  std::string text;
  std::visit(
      [&](const auto& m) {
        if constexpr (requires { m.seal.has_value(); }) {
          constexpr char kDigits[] = "0123456789abcdef";
          for (const uint8_t byte : *m.seal) {
            text += kDigits[byte >> 4];
            text += kDigits[byte & 15];
          }
        }
      },
      word);
  return text;
}

// Nodes of two versions check one another's seals: these are of Python's hashlib.blake2b, over the
// text "mortar message 1", the ordinal in wire.capnp's union and the fields, key 00 01 ... 1f.
TEST_F(Sealed, SealsAreTheSameInAllVersions) {
  SessionId session;
  for (size_t i = 0; i < session.bytes.size(); ++i)
    session.bytes[i] = static_cast<uint8_t>(100 + i);
  EXPECT_EQ(SealOf(NeedPrefix{.session = session, .epoch = 2, .step = 3, .have = 4}),
            "7b3236e1adc41d96d68137fced0c5672");
  EXPECT_EQ(SealOf(NeedRoute{.session = session, .epoch = 2, .step = 3}),
            "85e6fb26992cb69534e91ed10d891598");
  EXPECT_EQ(SealOf(Rejected{.session = session, .epoch = 2, .step = 3, .status = OutOfRange("x")}),
            "c11227b9e1beed4d5d62e407b1121e79");
  EXPECT_EQ(SealOf(End{.session = session}), "65b03968be4ce69be8f86c36ece82a10");
  EXPECT_EQ(SealOf(Cancel{.session = session}), "8caa5383f02792b41b20f9dcc915307b");
  EXPECT_EQ(SealOf(Ended{.session = session, .frames = 5, .bytes = 6, .rows = 7, .compute_ns = 8}),
            "84d66a62af995845800757a749e93e17");
  EXPECT_EQ(SealOf(Open{.session = session, .epoch = 2, .step = 3}),
            "f73b5288690e245df75103a902be16e9");
}

TEST_F(Sealed, EveryFieldOfAWordIsHeld) {
  const auto held = [&](auto word, auto change) {
    AnyMessage message = word;
    SealMessage(key_, message);
    EXPECT_TRUE(CheckSeal(key_, message).ok());
    change(std::get<decltype(word)>(message));
    return absl::IsPermissionDenied(CheckSeal(key_, message));
  };
  const NeedPrefix need{.session = {}, .epoch = 2, .step = 3, .have = 4};
  EXPECT_TRUE(held(need, [](auto& m) { m.session.bytes[0] ^= 1; }));
  EXPECT_TRUE(held(need, [](auto& m) { ++m.epoch; }));
  EXPECT_TRUE(held(need, [](auto& m) { ++m.step; }));
  EXPECT_TRUE(held(need, [](auto& m) { ++m.have; }));
  EXPECT_TRUE(held(need, [](auto& m) { (*m.seal)[0] ^= 1; }));
  const NeedRoute route{.session = {}, .epoch = 2, .step = 3};
  EXPECT_TRUE(held(route, [](auto& m) { ++m.epoch; }));
  EXPECT_TRUE(held(route, [](auto& m) { ++m.step; }));
  const Rejected rejected{.session = {}, .epoch = 2, .step = 3, .status = OutOfRange("x")};
  EXPECT_TRUE(held(rejected, [](auto& m) { m.status = OutOfRange("y"); }));
  EXPECT_TRUE(held(rejected, [](auto& m) { m.status = ResourceExhausted("x"); }));
  EXPECT_TRUE(held(rejected, [](auto& m) { ++m.step; }));
  EXPECT_TRUE(held(End{}, [](auto& m) { m.session.bytes[15] ^= 1; }));
  EXPECT_TRUE(held(Cancel{}, [](auto& m) { m.session.bytes[15] ^= 1; }));
  EXPECT_TRUE(held(Ended{}, [](auto& m) { ++m.bytes; }));
  EXPECT_TRUE(held(Ended{}, [](auto& m) { ++m.compute_ns; }));
  EXPECT_TRUE(held(Open{}, [](auto& m) { m.key[79] ^= 1; }));
  EXPECT_TRUE(held(Open{}, [](auto& m) { ++m.step; }));
  EXPECT_TRUE(held(Open{}, [](auto& m) { m.grant.signature = Signature{1}; }));
}

TEST_F(Sealed, ALongReasonIsSealedAsItIsSent) {
  AnyMessage word =
      Rejected{.session = {}, .epoch = 2, .status = OutOfRange(std::string(5000, 'x'))};
  SealMessage(key_, word);
  std::get<Rejected>(word).status = OutOfRange(std::string(kStatusTextBytesMax, 'x'));
  EXPECT_TRUE(CheckSeal(key_, word).ok());
}

TEST_F(Sealed, TwoPairsMakeOneKeyAndNobodyElseMakesIt) {
  const KeyPair edge = NewKeyPair(), hop = NewKeyPair(), other = NewKeyPair();
  const SecretKey one = OpenKeyOf(edge, hop.public_key);
  EXPECT_EQ(one.bytes, OpenKeyOf(hop, edge.public_key).bytes);
  EXPECT_NE(one.bytes, OpenKeyOf(other, hop.public_key).bytes);
  EXPECT_NE(OpenKeyOf(hop, PublicKey{}).bytes, OpenKeyOf(edge, PublicKey{}).bytes);
}

TEST_F(Sealed, AHopWithoutAnUsableKeyIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(SealFor(PublicKey{}, session_).status()));
}

}  // namespace
}  // namespace mortar
