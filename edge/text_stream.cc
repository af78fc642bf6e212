#include "edge/text_stream.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace mortar {

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops)
    : detokenizer_(tokenizer), stops_(std::move(stops)) {
  for (const std::string& stop : stops_) CHECK(!stop.empty());
}

std::string TextStream::Push(Token token) {
  held_ += detokenizer_.Push(token);
  return Release(/*all=*/false);
}

std::string TextStream::Finish() {
  held_ += detokenizer_.Finish();
  return Release(/*all=*/true);
}

std::string TextStream::Release(bool all) {
  if (stopped_) return {};
  size_t first_stop = std::string::npos;
  for (const std::string& stop : stops_) first_stop = std::min(first_stop, held_.find(stop));
  if (first_stop != std::string::npos) {
    stopped_ = true;
    std::string text = held_.substr(0, first_stop);
    held_.clear();
    return text;
  }
  // Held back: the longest end of the text with which some stop string begins.
  size_t hold = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > hold; --n) {
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) hold = n;
    }
  }
  if (all) hold = 0;
  std::string text = held_.substr(0, held_.size() - hold);
  held_.erase(0, text.size());
  return text;
}

}  // namespace mortar
