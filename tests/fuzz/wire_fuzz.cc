// Any bytes as a message: an error, or a message that is written and read again as it was.
#include <cstdint>
#include <cstring>
#include <vector>

#include "common/check.h"
#include "protocol/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint64_t> words(size / sizeof(uint64_t));
  if (!words.empty()) std::memcpy(words.data(), data, words.size() * sizeof(uint64_t));
  const auto read = mortar::ReadMessage(words);
  if (!read.ok()) return 0;
  CHECK(mortar::ReadEnds(words).ok());
  mortar::WireWriter writer;
  const auto first = writer.Rewrite(read->from, read->to, read->message);
  if (!first.ok()) return 0;  // longer than it came
  const std::vector<uint64_t> once(first->begin(), first->end());
  const auto again = mortar::ReadMessage(once);
  CHECK(again.ok());
  const auto second = writer.Write(again->from, again->to, again->message);
  CHECK(std::vector<uint64_t>(second.begin(), second.end()) == once);
  return 0;
}
