#include "edge/jobs.h"

#include <cstring>

#include "common/check.h"
#include "common/finite.h"

namespace mortar {
namespace {

void AddRows(const EdgeItem& item, const std::vector<KvTable>& tables,
             std::vector<BatchRow>& rows) {
  const KvTable& table = tables[static_cast<size_t>(item.slot)];
  for (int i = 0; i < item.n; ++i) rows.push_back({.kv = &table, .position = item.base + i});
}

}  // namespace

void FrontJob::Prepare(std::vector<EdgeItem>& items, const std::vector<EdgeSlot>& slots,
                       const std::vector<KvTable>& tables) {
  items_ = &items;
  rows_.clear();
  tokens_.clear();
  const int n_embd = engine_.config().n_embd;
  for (EdgeItem& item : items) {
    AddRows(item, tables, rows_);
    const std::vector<Token>& log = slots[static_cast<size_t>(item.slot)].tokens;
    const int end = item.base + item.n - item.guesses.n;
    tokens_.insert(tokens_.end(), log.begin() + item.base, log.begin() + end);
    const std::span<const Token> guesses = item.guesses.view();
    tokens_.insert(tokens_.end(), guesses.begin(), guesses.end());
    item.rows_out = pool_.Take(item.n, n_embd);
  }
  const int total = static_cast<int>(rows_.size());
  all_out_ = items.size() == 1 ? Rows{} : pool_.Take(total, n_embd);
  middle_.Prepare(items, slots);
}

void FrontJob::Compute() {
  std::vector<EdgeItem>& items = *items_;
  Batch batch;
  batch.rows = rows_;
  batch.tokens = tokens_;
  batch.rows_out = all_out_.empty() ? items[0].rows_out.mutable_data() : all_out_.mutable_data();
  engine_.Run(kFrontPart, batch);
  if (all_out_.empty()) return;
  const float* from = all_out_.data();
  for (EdgeItem& item : items) {
    std::memcpy(item.rows_out.mutable_data(), from, item.rows_out.bytes());
    from += item.rows_out.bytes() / sizeof(float);
  }
}

void EdgeReleaseJob::Run() {
  for (const int slot : slots) {
    engine_.kv().Release(tables_[static_cast<size_t>(slot)]);
    KvTable& alone = middle_.tables[static_cast<size_t>(slot)];
    if (!alone.pages.empty()) middle_.engine->kv().Release(alone);
  }
}

BackJob::BackJob(Engine& engine, RowsPool& pool, const Clock& clock)
    : engine_(engine), pool_(pool), clock_(clock) {
  // Room for the longest step, so that none allocates; untouched until one is as long.
  logits_.reserve(static_cast<size_t>(engine.options().logit_rows_max) *
                  static_cast<size_t>(engine.config().n_vocab));
}

void BackJob::Prepare(std::vector<EdgeItem>& items, std::vector<EdgeSlot>& slots,
                      const std::vector<KvTable>& tables) {
  items_ = &items;
  rows_.clear();
  logit_rows_.clear();
  draws_.clear();
  for (EdgeItem& item : items) {
    AddRows(item, tables, rows_);
    if (!item.sample) continue;
    draws_.push_back({&item, &slots[static_cast<size_t>(item.slot)], logit_rows_.size()});
    const int end = static_cast<int>(rows_.size());
    for (int row = end - item.guesses.n - 1; row < end; ++row) logit_rows_.push_back(row);
  }
  CHECK(static_cast<int>(logit_rows_.size()) <= engine_.options().logit_rows_max);
  const size_t n_logits = logit_rows_.size() * static_cast<size_t>(engine_.config().n_vocab);
  if (logits_.size() < n_logits) logits_.resize(n_logits);  // sets to zero what is new
  const int total = static_cast<int>(rows_.size());
  all_in_ = items.size() == 1 ? Rows{} : pool_.Take(total, engine_.config().n_embd);
}

void BackJob::Compute() {
  std::vector<EdgeItem>& items = *items_;
  Batch batch;
  batch.rows = rows_;
  batch.rows_in = items[0].rows_in.data();
  if (!all_in_.empty()) {
    float* to = all_in_.mutable_data();
    for (const EdgeItem& item : items) {
      std::memcpy(to, item.rows_in.data(), item.rows_in.bytes());
      to += item.rows_in.bytes() / sizeof(float);
    }
    batch.rows_in = all_in_.data();
  }
  batch.logit_rows = logit_rows_;
  batch.logits = logits_.data();
  engine_.Run(kBackPart, batch);
  for (const Draw& draw : draws_) DrawTokens(draw);
}

void BackJob::DrawTokens(const Draw& draw) {
  const size_t n_vocab = static_cast<size_t>(engine_.config().n_vocab);
  EdgeSlot& slot = *draw.slot;
  StepTokens& drawn = draw.item->drawn;
  const std::span<const Token> guesses = draw.item->guesses.view();
  // A guess is the history of what is drawn behind it, when it was drawn itself.
  for (size_t held = 0;; ++held) {
    const std::span<float> logits(logits_.data() + (draw.logits + held) * n_vocab, n_vocab);
    const uint64_t output_index = static_cast<uint64_t>(slot.timings.output_tokens) + held;
    const Token token = AllFinite(logits) ? slot.sampler.Sample(logits, slot.tokens, output_index,
                                                                guesses.first(held))
                                          : kNoToken;
    drawn.Push(token);
    if (held == guesses.size() || token != guesses[held]) return;
  }
}

}  // namespace mortar
