#include "edge/middle.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mortar {

void MiddleJob::Run() {
  middle_.engine.reset();
  status = absl::OkStatus();
  if (!loads) return;
  auto loaded = load_(stop_);
  if (!loaded.ok()) {
    status = loaded.status();
    return;
  }
  middle_.engine = *std::move(loaded);
}

void MiddleStep::Prepare(std::vector<EdgeItem>& items, const std::vector<EdgeSlot>& slots) {
  items_.clear();
  rows_.clear();
  for (EdgeItem& item : items) {
    if (!slots[static_cast<size_t>(item.slot)].alone) continue;
    items_.push_back(&item);
    const KvTable& table = middle_.tables[static_cast<size_t>(item.slot)];
    for (int i = 0; i < item.n; ++i) rows_.push_back({.kv = &table, .position = item.base + i});
  }
  const int total = static_cast<int>(rows_.size());
  all_ = items_.size() < 2 ? Rows{} : pool_.Take(total, middle_.engine->config().n_embd);
}

void MiddleStep::Compute() {
  if (items_.empty()) return;
  float* rows = all_.empty() ? items_[0]->rows_out.mutable_data() : all_.mutable_data();
  if (!all_.empty()) {
    float* to = rows;
    for (const EdgeItem* item : items_) {
      std::memcpy(to, item->rows_out.data(), item->rows_out.bytes());
      to += item->rows_out.bytes() / sizeof(float);
    }
  }
  // In slices: its scratch memory is for smaller batches than that of front and back.
  Engine& engine = *middle_.engine;
  const size_t rows_max = static_cast<size_t>(engine.options().rows_max);
  const size_t width = static_cast<size_t>(engine.config().n_embd);
  for (size_t first = 0; first < rows_.size(); first += rows_max) {
    const size_t n = std::min(rows_max, rows_.size() - first);
    float* slice = rows + first * width;
    // In place: all threads have read their rows before the first layer.
    engine.Run(0,
               {.rows = std::span(rows_).subspan(first, n), .rows_in = slice, .rows_out = slice});
  }
  if (all_.empty()) return;
  for (EdgeItem* item : items_) {
    std::memcpy(item->rows_out.mutable_data(), rows, item->rows_out.bytes());
    rows += item->rows_out.bytes() / sizeof(float);
  }
}

}  // namespace mortar
