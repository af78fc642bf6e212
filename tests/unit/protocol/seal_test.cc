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

TEST_F(Sealed, AHopWithoutAnUsableKeyIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(SealFor(PublicKey{}, session_).status()));
}

}  // namespace
}  // namespace mortar
