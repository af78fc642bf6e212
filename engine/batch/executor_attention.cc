// Attention of a batch: which heads of which rows each thread takes.
#include <algorithm>
#include <cstdint>
#include <numeric>

#include "engine/batch/executor.h"

namespace mortar {
namespace {

// Tasks of attention for each thread below which heads are shared out: the last one is waited for.
constexpr int kTasksPerThread = 4;

// Heads whose outputs together fill whole blocks of 32, so that the thread that makes them can
// quantise them.
int HeadsPerTask(int head_dim) { return kBlock / std::gcd(kBlock, head_dim); }

// The first of the keys that a position sees, itself the last.
int FirstKey(int position, int window) {
  return window == 0 ? 0 : std::max(0, position + 1 - window);
}

}  // namespace

int Executor::EndOfKeys(const Batch& batch, int row) const {
  size_t last = static_cast<size_t>(row);
  const KvTable* kv = batch.rows[last].kv;
  if (config_.traits.encoder) {
    while (last + 1 < batch.rows.size() && batch.rows[last + 1].kv == kv) ++last;
  }
  return batch.rows[last].position + 1;
}

void Executor::Attention(const Op& op, const Batch& batch, int thread) {
  const int n_rows = static_cast<int>(batch.rows.size());
  if (n_rows * KvHeads() >= kTasksPerThread * n_threads_) {
    AttendInTurn(op, batch, thread);
  } else {
    AttendShare(op, batch, thread);
  }
}

// Tasks are all heads of one row that share a KV head, so that its KV is read once. They are dealt
// out in turn, since later rows see more keys than earlier ones.
void Executor::AttendInTurn(const Op& op, const Batch& batch, int thread) {
  const int n_rows = static_cast<int>(batch.rows.size());
  const int heads_per_kv = config_.n_heads / config_.n_kv_heads;
  const int heads_per_task = std::lcm(HeadsPerTask(config_.head_dim), heads_per_kv);
  const int tasks_per_row = (Heads() + heads_per_task - 1) / heads_per_task;
  for (int task = thread; task < n_rows * tasks_per_row; task += n_threads_) {
    const int first = task % tasks_per_row * heads_per_task;
    const int last = std::min(first + heads_per_task, Heads());
    AttendRow(op, batch, task / tasks_per_row, first, last, thread);
  }
}

// Few rows: the heads of all stand in one line, which is cut where each thread has seen as many
// keys. Neighbours share their KV head, and few of them are parted.
void Executor::AttendShare(const Op& op, const Batch& batch, int thread) {
  const int n_rows = static_cast<int>(batch.rows.size());
  const int heads_per_unit = HeadsPerTask(config_.head_dim);
  const int64_t n_units = (Heads() + heads_per_unit - 1) / heads_per_unit;
  int64_t all = 0;
  for (int row = 0; row < n_rows; ++row) all += n_units * KeysSeen(op, batch, row);
  int64_t before = 0;
  for (int row = 0; row < n_rows; ++row) {
    const int64_t keys = KeysSeen(op, batch, row);
    // The first unit of this row that begins at or behind the cut.
    const auto unit_at = [&](int64_t cut) {
      return static_cast<int>(std::clamp((cut - before + keys - 1) / keys, int64_t{0}, n_units));
    };
    const int first = unit_at(all * thread / n_threads_) * heads_per_unit;
    const int last = unit_at(all * (thread + 1) / n_threads_) * heads_per_unit;
    if (first < last) AttendRow(op, batch, row, first, std::min(last, Heads()), thread);
    before += n_units * keys;
  }
}

int Executor::KeysSeen(const Op& op, const Batch& batch, int row) const {
  return EndOfKeys(batch, row) - FirstKey(batch.rows[static_cast<size_t>(row)].position, op.window);
}

void Executor::AttendRow(const Op& op, const Batch& batch, int row, int first, int last,
                         int thread) {
  const int heads_per_kv = config_.n_heads / config_.n_kv_heads;
  const BatchRow& place = batch.rows[static_cast<size_t>(row)];
  const int n_keys = EndOfKeys(batch, row);
  const int own = shard_.heads.begin * config_.head_dim;  // heads here, in rows of all
  float* out = attended_.x + static_cast<size_t>(row) * attended_.width + own;
  for (int h = first; h < last;) {
    const int n = std::min(last, (h / heads_per_kv + 1) * heads_per_kv) - h;
    const size_t head = static_cast<size_t>(h) * config_.head_dim;
    kernels_.attend({.shape = kv_,
                     .pages = place.kv->pages.data(),
                     .layer_offset = op.kv_offset,
                     .kv_head = h / heads_per_kv,
                     .n_heads = n,
                     .first_key = FirstKey(place.position, op.window),
                     .n_keys = n_keys,
                     .scale = config_.attention_scale,
                     .cap = config_.attention_cap,
                     .q = qkv_ + static_cast<size_t>(row) * QkvWidth() + head,
                     .out = out + head,
                     .scores = scores_ + static_cast<size_t>(thread) * kHeadsAtOnce * kSpan});
    h += n;
  }
  RoundRange(attended_, op.rounding, row, own + first * config_.head_dim,
             own + last * config_.head_dim);
}

}  // namespace mortar
