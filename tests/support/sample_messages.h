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

}  // namespace mortar
