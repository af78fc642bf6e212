// One metadata value as the file stores it. Inside engine/gguf only.
#pragma once

#include <cstdint>

#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/gguf/reader.h"

namespace mortar {

// A value: its type as a 32-bit number, then what the type says. Integers widen to 64 bits and
// floats to double, which keeps every value exactly. `elements_left` is what arrays may still
// hold in this file, in elements; what this value takes is deducted. InvalidArgument, DataLoss
// or ResourceExhausted without the key's name.
absl::StatusOr<GgufValue> ReadValue(ByteReader& reader, uint64_t& elements_left);

// "an unsigned integer", "a string", "an array of strings", for messages.
const char* KindName(const GgufValue& value);

}  // namespace mortar
