#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"

namespace mortar {

// pending_ holds at most the three bytes of a character that has begun and not ended.
std::string Detokenizer::Push(Token token) {
  std::string_view bytes = tokenizer_.Bytes(token);
  if (drops_space_ && !bytes.empty()) {
    drops_space_ = false;
    if (bytes[0] == ' ') bytes.remove_prefix(1);
  }
  pending_ += bytes;
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Step step = NextUtf8(rest);
    if (step.kind == Utf8Kind::kIncomplete) break;
    out += step.kind == Utf8Kind::kCharacter ? rest.substr(0, step.bytes) : kReplacementCharacter;
    rest.remove_prefix(step.bytes);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

std::string Detokenizer::Finish() {
  const bool incomplete = !pending_.empty();
  pending_.clear();
  return incomplete ? std::string(kReplacementCharacter) : std::string();
}

}  // namespace mortar
