// JSON as Python's json.dumps writes it, which Hugging Face's filter tojson calls.
#pragma once

#include <cstdint>
#include <string>

#include "common/status.h"
#include "engine/text/jinja/value.h"

namespace mortar::jinja {

struct JsonStyle {
  bool ascii = false;        // escape what is outside ASCII
  bool lines = false;        // one item a line, indented by `indent` spaces a level
  int64_t indent = 0;        // 0 to 100
  bool sorted = false;       // by key
  Text between{", ", true};  // items; without the space where there are lines
  Text after_key{": ", true};
};

// The value's bytes keep their trust, an escape has that of its character, punctuation and numbers
// are trusted. InvalidArgument for what JSON has no form for; ResourceExhausted above
// kOutputBytesMax.
absl::StatusOr<Text> ToJson(const Value& value, const JsonStyle& style);

}  // namespace mortar::jinja
