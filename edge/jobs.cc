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
    tokens_.insert(tokens_.end(), log.begin() + item.base, log.begin() + item.base + item.n);
    item.rows_out = pool_.Take(item.n, n_embd);
  }
  const int total = static_cast<int>(rows_.size());
  all_out_ = items.size() == 1 ? Rows{} : pool_.Take(total, n_embd);
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

void BackJob::Prepare(std::vector<EdgeItem>& items, std::vector<EdgeSlot>& slots,
                      const std::vector<KvTable>& tables) {
  items_ = &items;
  rows_.clear();
  logit_rows_.clear();
  draws_.clear();
  for (EdgeItem& item : items) {
    AddRows(item, tables, rows_);
    if (!item.sample) continue;
    logit_rows_.push_back(static_cast<int>(rows_.size()) - 1);
    draws_.push_back({&item, &slots[static_cast<size_t>(item.slot)]});
  }
  CHECK(static_cast<int>(draws_.size()) <= engine_.options().logit_rows_max);
  logits_.resize(draws_.size() * static_cast<size_t>(engine_.config().n_vocab));
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
  const size_t n_vocab = static_cast<size_t>(engine_.config().n_vocab);
  for (size_t i = 0; i < draws_.size(); ++i) {
    EdgeSlot& slot = *draws_[i].slot;
    const std::span<float> logits(logits_.data() + i * n_vocab, n_vocab);
    const auto output_index = static_cast<uint64_t>(slot.timings.output_tokens);
    draws_[i].item->token =
        AllFinite(logits) ? slot.sampler.Sample(logits, slot.tokens, output_index) : kNoToken;
  }
}

}  // namespace mortar
