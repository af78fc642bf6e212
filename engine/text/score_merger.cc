#include "engine/text/score_merger.h"

#include <algorithm>

#include "engine/text/utf8.h"

namespace mortar {
namespace {

// Order of the heap: its top is the highest score, then the leftmost.
bool Later(const ScoreMerger::Candidate& a, const ScoreMerger::Candidate& b) {
  return a.score != b.score ? a.score < b.score : a.first > b.first;
}

}  // namespace

ScoreMerger::ScoreMerger(const TokenTable& table, std::span<const float> scores)
    : table_(table), scores_(scores.begin(), scores.end()) {
  for (Token token = 0; token < table.size(); ++token) {
    if (table.IsPlain(token)) {
      longest_ = std::max(longest_, table.Text(token).size());
    }
  }
}

// Puts the pair of symbol `first` and the one after it on the heap, if it is a token.
void ScoreMerger::Propose(std::string_view text, int32_t first, Scratch* scratch) const {
  if (first < 0) return;
  const Symbol& symbol = scratch->symbols[first];
  if (symbol.after < 0) return;
  const uint32_t bytes = symbol.bytes + scratch->symbols[symbol.after].bytes;
  if (bytes > longest_) return;
  const Token token = table_.FindPlain(text.substr(symbol.at, bytes));
  if (token < 0) return;
  scratch->heap.push_back({scores_[token], first, bytes});
  std::push_heap(scratch->heap.begin(), scratch->heap.end(), Later);
}

// Each merge makes a pair longer and proposes two, so that a pair's length tells whether it is
// still the one that was proposed.
void ScoreMerger::Merge(std::string_view text, Scratch* scratch,
                        const std::function<void(std::string_view, Token)>& emit) const {
  std::vector<Symbol>& symbols = scratch->symbols;
  symbols.clear();
  scratch->heap.clear();
  for (size_t at = 0; at < text.size();) {
    const auto bytes = static_cast<uint32_t>(NextUtf8(text.substr(at)).bytes);
    const auto i = static_cast<int32_t>(symbols.size());
    symbols.push_back({static_cast<uint32_t>(at), bytes, i - 1, i + 1});
    at += bytes;
  }
  if (symbols.empty()) return;
  symbols.back().after = -1;
  for (size_t i = 0; i < symbols.size(); ++i) Propose(text, static_cast<int32_t>(i), scratch);
  while (!scratch->heap.empty()) {
    std::pop_heap(scratch->heap.begin(), scratch->heap.end(), Later);
    const Candidate candidate = scratch->heap.back();
    scratch->heap.pop_back();
    Symbol& first = symbols[candidate.first];
    if (first.bytes == 0 || first.after < 0) continue;
    Symbol& second = symbols[first.after];
    if (first.bytes + second.bytes != candidate.bytes) continue;
    first.bytes = candidate.bytes;
    first.after = second.after;
    second.bytes = 0;
    if (first.after >= 0) symbols[first.after].before = candidate.first;
    Propose(text, first.before, scratch);
    Propose(text, candidate.first, scratch);
  }
  for (int32_t i = 0; i >= 0; i = symbols[i].after) {
    const std::string_view symbol = text.substr(symbols[i].at, symbols[i].bytes);
    emit(symbol, table_.FindPlain(symbol));
  }
}

}  // namespace mortar
