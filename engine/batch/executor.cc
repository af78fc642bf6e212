#include "engine/batch/executor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "common/check.h"

namespace mortar {
namespace {

constexpr size_t kAlignment = 64;

LinearInput InputOf(const ScratchRows& rows, int n_rows) {
  return {rows.x, rows.narrow, rows.wide, n_rows};
}

std::vector<ShardShape> ShapesOf(const ModelConfig& config, int count) {
  std::vector<ShardShape> shapes;
  for (int i = 0; i < count; ++i) shapes.push_back(ShapeOf(config, {i, count}));
  return shapes;
}

void Add(const float* from, int n, float* to) {
  for (int i = 0; i < n; ++i) to[i] += from[i];
}

}  // namespace

Executor::Executor(const ModelConfig& config, const KvShape& kv, int rows_max, int logit_rows_max,
                   const Sharding& sharding, const KernelTable& kernels, ThreadPool& pool)
    : config_(config),
      kv_(kv),
      rows_max_(rows_max),
      logit_rows_max_(logit_rows_max),
      sharding_(sharding),
      shards_(ShapesOf(config, sharding.shard.count)),
      shard_(shards_[static_cast<size_t>(sharding.shard.index)]),
      kernels_(kernels),
      pool_(pool),
      gather_ends_(static_cast<size_t>(sharding.shard.count)) {}

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(
    const ModelConfig& config, const KvShape& kv, int rows_max, int logit_rows_max,
    int positions_max, const Sharding& sharding, const KernelTable& kernels, ThreadPool& pool) {
  std::unique_ptr<Executor> executor(
      new Executor(config, kv, rows_max, logit_rows_max, sharding, kernels, pool));
  ASSIGN_OR_RETURN(executor->rope_, MakeRopeTable(positions_max, config.rope));
  if (!(config.local_rope == config.rope)) {
    ASSIGN_OR_RETURN(executor->local_rope_, MakeRopeTable(positions_max, config.local_rope));
  }
  executor->PlaceAll();
  const size_t bytes = executor->placed_bytes_;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return ErrnoStatus(errno, "map " + std::to_string(bytes) + " bytes for batches of " +
                                  std::to_string(rows_max) + " rows");
  }
  madvise(memory, bytes, MADV_DONTDUMP);
  executor->memory_ = static_cast<uint8_t*>(memory);
  executor->memory_bytes_ = bytes;
  executor->PlaceAll();
  return executor;
}

uint64_t Executor::ScratchBytes(const ModelConfig& config, const KvShape& kv, int rows_max,
                                int logit_rows_max, const KernelTable& kernels, ThreadPool& pool) {
  Executor counting(config, kv, rows_max, logit_rows_max, Sharding{}, kernels, pool);
  counting.PlaceAll();
  return counting.placed_bytes_;
}

Executor::~Executor() {
  if (memory_ != nullptr) munmap(memory_, memory_bytes_);
}

void Executor::PlaceAll() {
  placed_bytes_ = 0;
  x_ = PlaceFloats(rows_max_, config_.n_embd);
  branch_ = PlaceFloats(BranchesAside() ? rows_max_ : 0, config_.n_embd);
  normed_ = PlaceRows(rows_max_, config_.n_embd);
  qkv_ = PlaceFloats(rows_max_, QkvWidth());
  attended_ = PlaceRows(rows_max_, config_.n_heads * config_.head_dim);
  hidden_ = PlaceRows(rows_max_, config_.n_ff);
  up_ = PlaceFloats(config_.traits.gate != Gate::kNone ? rows_max_ : 0, config_.n_ff);
  head_ = PlaceRows(logit_rows_max_, config_.n_embd);
  scores_ = PlaceFloats(pool_.n_threads(), kHeadsAtOnce * kSpan);
  // No form takes more than floats do.
  const int widest = std::max({config_.n_embd, attended_.width, hidden_.width});
  gathered_ =
      reinterpret_cast<std::byte*>(PlaceFloats(sharding_.shard.count > 1 ? rows_max_ : 0, widest));
}

uint8_t* Executor::PlaceBytes(size_t bytes) {
  uint8_t* at = memory_ == nullptr ? nullptr : memory_ + placed_bytes_;
  placed_bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return at;
}

float* Executor::PlaceFloats(int n_rows, int width) {
  return reinterpret_cast<float*>(
      PlaceBytes(sizeof(float) * static_cast<size_t>(n_rows) * static_cast<size_t>(width)));
}

template <typename Quant>
RoundedRows<Quant> Executor::PlaceRounded(int n_rows, int width) {
  const size_t elements = static_cast<size_t>(n_rows) * static_cast<size_t>(width);
  RoundedRows<Quant> rows;
  rows.q = reinterpret_cast<Quant*>(PlaceBytes(sizeof(Quant) * elements));
  rows.d = PlaceFloats(n_rows, width / kBlock);
  rows.s = PlaceFloats(n_rows, width / kBlock);
  rows.sum = reinterpret_cast<int32_t*>(PlaceFloats(n_rows, width / kBlock));
  rows.low = reinterpret_cast<int32_t*>(PlaceFloats(n_rows, width / kBlock));
  return rows;
}

ScratchRows Executor::PlaceRows(int n_rows, int width) {
  ScratchRows rows;
  rows.width = width;
  rows.x = PlaceFloats(n_rows, width);
  rows.narrow = PlaceRounded<int8_t>(n_rows, width);
  rows.wide = PlaceRounded<int16_t>(n_rows, width);
  return rows;
}

void Executor::Run(const Program& program, const Batch& batch) {
  CHECK(static_cast<int>(batch.rows.size()) <= rows_max_);
  CHECK(static_cast<int>(batch.logit_rows.size()) <= logit_rows_max_);
  n_threads_ = pool_.ThreadsFor(static_cast<int>(batch.rows.size()));
  const auto work = [&](int thread) {
    for (const Op& op : program.ops) {
      if (gather_failed_) return;
      Execute(op, batch, thread);
      pool_.Barrier();
    }
  };
  pool_.Run(n_threads_, std::ref(work));  // a reference: a copy would be allocated
}

void Executor::Execute(const Op& op, const Batch& batch, int thread) {
  const int n = static_cast<int>(batch.rows.size());
  switch (op.kind) {
    case OpKind::kEmbed:
      return Embed(op, batch, thread);
    case OpKind::kTakeRows:
      return CopyRows(batch.rows_in, x_, n, thread);
    case OpKind::kNormRows:
      return NormRows(op, n, thread);
    case OpKind::kNorm:
      return Norm(op, n, thread);
    case OpKind::kQkv:
      return Qkv(op, n, thread);
    case OpKind::kRotate:
      return Rotate(op, batch, thread);
    case OpKind::kAttention:
      return Attention(op, batch, thread);
    case OpKind::kOutput:
      return Branch(op.layer->o, attended_, n, thread);
    case OpKind::kGateUp:
      return GateUp(op, n, thread);
    case OpKind::kDown:
      return Branch(op.layer->down, hidden_, n, thread);
    case OpKind::kGatherAttended:
    case OpKind::kGatherHidden:
    case OpKind::kGatherBranch:
      return Gather(op, n, thread);
    case OpKind::kAddNormed:
      return AddNormed(op, n, thread);
    case OpKind::kNormSum:
      return NormSum(op, n, thread);
    case OpKind::kGiveRows:
      return batch.rows_out == nullptr ? void() : CopyRows(x_, batch.rows_out, n, thread);
    case OpKind::kHeadNorm:
      return HeadNorm(op, batch, thread);
    case OpKind::kLogits:
      return Product(*op.matrix, head_, {batch.logits, op.matrix->n_out, false},
                     static_cast<int>(batch.logit_rows.size()), thread);
    case OpKind::kCapLogits:
      return CapLogits(batch, thread);
  }
}

void Executor::Embed(const Op& op, const Batch& batch, int thread) {
  const EmbeddingWeights& w = *op.embedding;
  const Share share = ShareOf(static_cast<int>(batch.rows.size()), 1, thread, n_threads_);
  for (int row = share.begin; row < share.end; ++row) {
    const int32_t token = batch.tokens[static_cast<size_t>(row)];
    DCHECK(token >= 0 && token < config_.n_vocab);
    float* x = x_ + static_cast<size_t>(row) * config_.n_embd;
    kernels_.unpack_row(w.tokens, token, x);
    float* more = normed_.x + static_cast<size_t>(row) * config_.n_embd;  // not in use yet
    if (config_.traits.token_types) {
      kernels_.unpack_row(w.token_type, 0, more);
      Add(more, config_.n_embd, x);
    }
    if (config_.traits.learned_positions) {
      kernels_.unpack_row(w.positions, batch.rows[static_cast<size_t>(row)].position, more);
      Add(more, config_.n_embd, x);
    }
    if (config_.embedding_scale == 1) continue;
    for (int i = 0; i < config_.n_embd; ++i) x[i] *= config_.embedding_scale;
  }
}

void Executor::CopyRows(const float* from, float* to, int n_rows, int thread) {
  const Share share = ShareOf(n_rows, 1, thread, n_threads_);
  const size_t begin = static_cast<size_t>(share.begin) * config_.n_embd;
  const size_t end = static_cast<size_t>(share.end) * config_.n_embd;
  if (begin < end) std::memcpy(to + begin, from + begin, (end - begin) * sizeof(float));
}

void Executor::RoundRange(const ScratchRows& rows, Rounding rounding, int row, int begin, int end) {
  const size_t at = static_cast<size_t>(row) * rows.width + begin;
  if (rounding.to_int8) kernels_.quantize(rows.x + at, end - begin, rows.narrow.From(at));
  if (rounding.to_int16) kernels_.quantize_wide(rows.x + at, end - begin, rows.wide.From(at));
}

void Executor::NormTo(const NormWeights& w, const float* x, int n, float* y) {
  if (config_.traits.layer_norm) {
    kernels_.layer_norm(x, w.scale, w.bias, n, config_.norm_eps, y);
  } else {
    kernels_.rms_norm(x, w.scale, n, config_.norm_eps, y);
  }
}

void Executor::NormRow(const Op& op, const float* x, const ScratchRows& to, int row) {
  const int width = config_.n_embd;
  float* y = to.x + static_cast<size_t>(row) * width;
  if (op.norm.scale != nullptr) {
    NormTo(op.norm, x, width, y);
  } else {
    std::memcpy(y, x, sizeof(float) * static_cast<size_t>(width));
  }
  RoundRange(to, op.rounding, row, 0, width);
}

void Executor::NormRows(const Op& op, int n_rows, int thread) {
  const Share share = ShareOf(n_rows, 1, thread, n_threads_);
  for (int row = share.begin; row < share.end; ++row) {
    float* x = x_ + static_cast<size_t>(row) * config_.n_embd;
    NormTo(op.norm, x, config_.n_embd, x);
  }
}

void Executor::Norm(const Op& op, int n_rows, int thread) {
  const Share share = ShareOf(n_rows, 1, thread, n_threads_);
  for (int row = share.begin; row < share.end; ++row) {
    NormRow(op, x_ + static_cast<size_t>(row) * config_.n_embd, normed_, row);
  }
}

// The groups of q, k and v stand in one line and are shared out as one matrix.
void Executor::Qkv(const Op& op, int n_rows, int thread) {
  const PackedMatrix* matrices[] = {&op.layer->q, &op.layer->k, &op.layer->v};
  int n_groups = 0;
  for (const PackedMatrix* w : matrices) n_groups += w->n_groups();
  const Share share = ShareOf(n_groups, 1, thread, n_threads_);
  const LinearInput in = InputOf(normed_, n_rows);
  int first_group = 0;
  int first_output = 0;
  for (const PackedMatrix* w : matrices) {
    const int begin = std::max(share.begin - first_group, 0);
    const int end = std::min(share.end - first_group, w->n_groups());
    if (begin < end) {
      kernels_.linear(*w, begin, end, in, {qkv_ + first_output, QkvWidth(), false});
    }
    first_group += w->n_groups();
    first_output += w->n_out;
  }
}

void Executor::BiasAndNormHeads(const LayerWeights& w, float* qkv) {
  const int q_width = Heads() * config_.head_dim;
  const int kv_width = KvHeads() * config_.head_dim;
  if (w.q_bias != nullptr) {
    Add(w.q_bias, q_width, qkv);
    Add(w.k_bias, kv_width, qkv + q_width);
    Add(w.v_bias, kv_width, qkv + q_width + kv_width);
  }
  if (w.q_norm.scale == nullptr) return;
  for (int h = 0; h < Heads() + KvHeads(); ++h) {
    float* head = qkv + static_cast<size_t>(h) * config_.head_dim;
    NormTo(h < Heads() ? w.q_norm : w.k_norm, head, config_.head_dim, head);
  }
}

void Executor::RotateHeads(const RopeTable& rope, int position, int n_heads, float* heads) {
  DCHECK(position >= 0 && position < rope.n_positions);
  const size_t at = static_cast<size_t>(position) * rope.n_pairs;
  const auto rotate =
      config_.traits.pairing == RopePairing::kHalves ? kernels_.rope_halves : kernels_.rope;
  for (int h = 0; h < n_heads; ++h) {
    rotate(heads + static_cast<size_t>(h) * config_.head_dim, rope.cos.get() + at,
           rope.sin.get() + at, rope.n_pairs);
  }
}

void Executor::Rotate(const Op& op, const Batch& batch, int thread) {
  const int n_rows = static_cast<int>(batch.rows.size());
  const bool local = op.window != 0 && local_rope_.n_positions != 0;
  const Share share = ShareOf(n_rows, 1, thread, n_threads_);
  for (int row = share.begin; row < share.end; ++row) {
    const BatchRow& place = batch.rows[static_cast<size_t>(row)];
    float* q = qkv_ + static_cast<size_t>(row) * QkvWidth();
    BiasAndNormHeads(*op.layer, q);
    RotateHeads(local ? local_rope_ : rope_, place.position, Heads() + KvHeads(),
                q);  // v does not rotate
    const float* k = q + static_cast<size_t>(Heads()) * config_.head_dim;
    const float* v = k + static_cast<size_t>(KvHeads()) * config_.head_dim;
    uint8_t* page = place.kv->pages[static_cast<size_t>(place.position / kKvPagePositions)];
    kernels_.store_kv(kv_, page + op.kv_offset, place.position % kKvPagePositions, k, v);
  }
}

void Executor::Product(const PackedMatrix& w, const ScratchRows& in, const LinearOutput& y,
                       int n_rows, int thread) {
  if (n_rows == 0) return;
  const Share share = ShareOf(w.n_groups(), 1, thread, n_threads_);
  kernels_.linear(w, share.begin, share.end, InputOf(in, n_rows), y);
}

bool Executor::BranchesAside() const {
  return config_.traits.norms_after || config_.traits.norms_of_sums;
}

void Executor::Branch(const PackedMatrix& w, const ScratchRows& in, int n_rows, int thread) {
  Product(w, in, {BranchRows() + shard_.embd.begin, config_.n_embd, !BranchesAside()}, n_rows,
          thread);
}

void Executor::AddNormed(const Op& op, int n_rows, int thread) {
  const int width = config_.n_embd;
  const Share share = ShareOf(n_rows, 1, thread, n_threads_);
  for (int row = share.begin; row < share.end; ++row) {
    float* x = x_ + static_cast<size_t>(row) * width;
    float* branch = branch_ + static_cast<size_t>(row) * width;
    NormTo(op.norm, branch, width, branch);
    Add(branch, width, x);
  }
}

void Executor::NormSum(const Op& op, int n_rows, int thread) {
  const int width = config_.n_embd;
  const Share share = ShareOf(n_rows, 1, thread, n_threads_);
  for (int row = share.begin; row < share.end; ++row) {
    float* x = x_ + static_cast<size_t>(row) * width;
    float* branch = branch_ + static_cast<size_t>(row) * width;
    if (op.bias != nullptr) Add(op.bias, width, branch);
    Add(branch, width, x);
    NormTo(op.norm, x, width, x);
  }
}

// A thread makes whole blocks of 32 outputs, so that it can quantise them itself.
void Executor::GateUp(const Op& op, int n_rows, int thread) {
  const Share share = ShareOf(SizeOf(shard_.hidden), kBlock, thread, n_threads_);
  if (share.begin >= share.end) return;
  const int group_begin = share.begin / kLanes;
  const int group_end = (share.end + kLanes - 1) / kLanes;
  const int n = share.end - share.begin;
  const LinearInput in = InputOf(normed_, n_rows);
  const Architecture& traits = config_.traits;
  const bool gated = traits.gate != Gate::kNone;
  float* hidden = hidden_.x + shard_.hidden.begin;  // outputs here, in rows of all
  float* up = gated ? up_ + shard_.hidden.begin : hidden;
  if (gated) {
    kernels_.linear(op.layer->gate, group_begin, group_end, in, {hidden, config_.n_ff, false});
  }
  kernels_.linear(op.layer->up, group_begin, group_end, in, {up, config_.n_ff, false});
  const auto gate_mul = traits.gate == Gate::kGeluTanh ? kernels_.gelu_mul : kernels_.silu_mul;
  for (int row = 0; row < n_rows; ++row) {
    const size_t at = static_cast<size_t>(row) * config_.n_ff + share.begin;
    if (op.layer->up_bias != nullptr) Add(op.layer->up_bias + share.begin, n, up + at);
    if (gated) {
      gate_mul(hidden + at, up + at, n, hidden + at);
    } else {
      kernels_.gelu(hidden + at, n);
    }
    RoundRange(hidden_, op.rounding, row, shard_.hidden.begin + share.begin,
               shard_.hidden.begin + share.end);
  }
}

void Executor::HeadNorm(const Op& op, const Batch& batch, int thread) {
  const int n = static_cast<int>(batch.logit_rows.size());
  const Share share = ShareOf(n, 1, thread, n_threads_);
  for (int i = share.begin; i < share.end; ++i) {
    const size_t row = static_cast<size_t>(batch.logit_rows[static_cast<size_t>(i)]);
    NormRow(op, x_ + row * config_.n_embd, head_, i);
  }
}

void Executor::CapLogits(const Batch& batch, int thread) {
  const Share share = ShareOf(config_.n_vocab, 1, thread, n_threads_);
  for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
    float* logits = batch.logits + i * static_cast<size_t>(config_.n_vocab) + share.begin;
    kernels_.soft_cap(logits, share.end - share.begin, config_.logit_cap);
  }
}

}  // namespace mortar
