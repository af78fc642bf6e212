// One message of each kind with every field set: for tests of what crosses the wire, and for the
// stored messages of tests/data/wire.
#pragma once

#include <string>
#include <vector>

#include "protocol/wire.h"

namespace mortar {

struct SampleMessage {
  std::string name;  // of its kind, as in the schema
  WireMessage message;
};

std::vector<SampleMessage> SampleMessages();

// A NodeStatus of so many bricks, each in fewer bytes than WireWriter takes: all that may be left
// out of one is. With kBricksMax of them and kFrameRowBytesMax of padding it is a message that can
// be read, and that is longer than a message may be when it is written again.
std::vector<uint64_t> CompactStatus(NodeId from, NodeId to, size_t n_bricks, size_t padding);

}  // namespace mortar
