#include "cli/layer_text.h"

#include <charconv>

namespace mortar {
namespace {

// All of `text` as a number; false when it is none, or too large for one.
bool ReadNumber(std::string_view text, int& number) {
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc() && read.ptr == end;
}

}  // namespace

std::optional<LayerRange> ParseLayerRange(std::string_view text, int n_layers) {
  const size_t dash = text.find('-');
  LayerRange range;
  if (dash == std::string_view::npos || !ReadNumber(text.substr(0, dash), range.begin) ||
      !ReadNumber(text.substr(dash + 1), range.end)) {
    return std::nullopt;
  }
  if (range.begin < 0 || range.empty() || range.end > n_layers) return std::nullopt;
  return range;
}

}  // namespace mortar
