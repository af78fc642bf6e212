#include "engine/text/merger.h"

#include <algorithm>

namespace mortar {
namespace {

// Order of the heap: its top is the lowest rank, then the leftmost.
bool Later(const Merger::Candidate& a, const Merger::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.first > b.first;
}

}  // namespace

bool Merger::Add(int32_t left, int32_t right, uint32_t rank, int32_t result) {
  return merges_.emplace(Key(left, right), Rule{rank, result}).second;
}

// Puts the pair of symbol `first` and the one after it on the heap, if it has a merge.
void Merger::Propose(int32_t first, Scratch* scratch) const {
  if (first < 0) return;
  const Symbol& symbol = scratch->symbols[first];
  if (symbol.after < 0) return;
  const int32_t right = scratch->symbols[symbol.after].token;
  const auto rule = merges_.find(Key(symbol.token, right));
  if (rule == merges_.end()) return;
  scratch->heap.push_back({rule->second.rank, first, symbol.token, right, rule->second.result});
  std::push_heap(scratch->heap.begin(), scratch->heap.end(), Later);
}

void Merger::Merge(const std::vector<int32_t>& tokens, Scratch* scratch,
                   std::vector<int32_t>* out) const {
  const auto n = static_cast<int32_t>(tokens.size());
  std::vector<Symbol>& symbols = scratch->symbols;
  symbols.resize(tokens.size());
  scratch->heap.clear();
  for (int32_t i = 0; i < n; ++i) symbols[i] = {tokens[i], i - 1, i + 1 < n ? i + 1 : -1};
  for (int32_t i = 0; i + 1 < n; ++i) Propose(i, scratch);
  while (!scratch->heap.empty()) {
    std::pop_heap(scratch->heap.begin(), scratch->heap.end(), Later);
    const Candidate candidate = scratch->heap.back();
    scratch->heap.pop_back();
    Symbol& first = symbols[candidate.first];
    if (first.token != candidate.left || first.after < 0) continue;
    Symbol& second = symbols[first.after];
    if (second.token != candidate.right) continue;
    first.token = candidate.result;
    first.after = second.after;
    second.token = -1;
    if (first.after >= 0) symbols[first.after].before = candidate.first;
    Propose(first.before, scratch);
    Propose(candidate.first, scratch);
  }
  for (int32_t i = n > 0 ? 0 : -1; i >= 0; i = symbols[i].after) out->push_back(symbols[i].token);
}

}  // namespace mortar
