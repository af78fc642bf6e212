// Runs a program over the rows of a batch: scratch memory, and one function per kind of op.
//
// All threads execute the same list. Inside an op each takes its share, of rows where an op
// works on rows, of outputs where it is a product, so that no sum is ever cut (the numeric
// contract, rule 8).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/status.h"
#include "engine/batch/kv_pages.h"
#include "engine/batch/sharding.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/thread_pool.h"
#include "engine/model/config.h"
#include "engine/model/program.h"
#include "engine/model/rope.h"

namespace mortar {

// One row of a batch: position `position` of the session whose pages are `kv`.
struct BatchRow {
  const KvTable* kv = nullptr;
  int position = 0;
};

// One step of a part, for rows of one or many sessions. Rows of a session stand together in
// ascending positions below the engine's context, with every earlier position already stored or
// in this batch; its pages reach its last position. An encoder's rows of a session are its whole
// text, from position 0: every one of them sees them all.
struct Batch {
  std::span<const BatchRow> rows{};   // n rows, at most rows_max
  std::span<const int32_t> tokens{};  // n, when the part has the embedding
  const float* rows_in = nullptr;     // [n, n_embd] otherwise
  float* rows_out = nullptr;          // [n, n_embd], when the part has no head; null: unwanted
  std::span<const int> logit_rows{};  // rows whose logits are wanted (may be empty)
  float* logits = nullptr;            // [logit_rows.size(), n_vocab]
};

// Rows of `width` floats, and the same rows rounded for products.
struct ScratchRows {
  int width = 0;
  float* x = nullptr;  // [rows, width]
  RoundedRows<int8_t> narrow;
  RoundedRows<int16_t> wide;
};

class Executor {
 public:
  // Scratch for `rows_max` rows and `logit_rows_max` rows of logits is allocated here, once, and
  // the rotation table of `positions_max` positions. ResourceExhausted says how much was wanted.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(
      const ModelConfig& config, const KvShape& kv, int rows_max, int logit_rows_max,
      int positions_max, const Sharding& sharding, const KernelTable& kernels, ThreadPool& pool);
  // What Create() would allocate for them, without the tables, of a node that is no shard.
  static uint64_t ScratchBytes(const ModelConfig& config, const KvShape& kv, int rows_max,
                               int logit_rows_max, const KernelTable& kernels, ThreadPool& pool);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Total: shapes and sizes were checked before. Allocates nothing.
  void Run(const Program& program, const Batch& batch);

 private:
  Executor(const ModelConfig& config, const KvShape& kv, int rows_max, int logit_rows_max,
           const Sharding& sharding, const KernelTable& kernels, ThreadPool& pool);
  // Gives every piece of scratch its place; before there is memory this only counts.
  void PlaceAll();

  void Execute(const Op& op, const Batch& batch, int thread);

  void Embed(const Op& op, const Batch& batch, int thread);
  void CopyRows(const float* from, float* to, int n_rows, int thread);
  void NormRows(const Op& op, int n_rows, int thread);
  void Norm(const Op& op, int n_rows, int thread);
  void Qkv(const Op& op, int n_rows, int thread);
  void Rotate(const Op& op, const Batch& batch, int thread);
  // Row of q, k and v: biases, then norms of heads.
  void BiasAndNormHeads(const LayerWeights& w, float* qkv);
  void RotateHeads(const RopeTable& rope, int position, int n_heads, float* heads);

  // --- Attention (executor_attention.cc) ---
  void Attention(const Op& op, const Batch& batch, int thread);
  void AttendInTurn(const Op& op, const Batch& batch, int thread);
  void AttendShare(const Op& op, const Batch& batch, int thread);
  // Heads [first, last) of one row.
  void AttendRow(const Op& op, const Batch& batch, int row, int first, int last, int thread);
  // At least one: a position sees itself.
  int KeysSeen(const Op& op, const Batch& batch, int row) const;
  // The keys that a row sees are those before this position.
  int EndOfKeys(const Batch& batch, int row) const;

  // --- Shards (executor_gather.cc) ---
  void Gather(const Op& op, int n_rows, int thread);
  // The rows that such an op gathers, and which of a row's elements a shard has made.
  ScratchRows GatheredRows(OpKind kind) const;
  Share GatheredElements(OpKind kind, int shard) const;

  void Product(const PackedMatrix& w, const ScratchRows& in, const LinearOutput& y, int n_rows,
               int thread);
  // Whether a branch is put aside before it is added, since a norm stands behind it.
  bool BranchesAside() const;
  float* BranchRows() const { return BranchesAside() ? branch_ : x_; }
  // A product that ends a branch: added to x, or put aside where a norm follows.
  void Branch(const PackedMatrix& w, const ScratchRows& in, int n_rows, int thread);
  void AddNormed(const Op& op, int n_rows, int thread);
  void NormSum(const Op& op, int n_rows, int thread);
  void GateUp(const Op& op, int n_rows, int thread);
  void HeadNorm(const Op& op, const Batch& batch, int thread);
  void CapLogits(const Batch& batch, int thread);

  // y = norm(x), which it may be, of n elements.
  void NormTo(const NormWeights& w, const float* x, int n, float* y);
  void NormRow(const Op& op, const float* x, const ScratchRows& to, int row);
  // Rounds elements [begin, end) of a row, whole blocks, to the forms asked for.
  void RoundRange(const ScratchRows& rows, Rounding rounding, int row, int begin, int end);
  // Places in scratch: `n` floats, and rows with their quantised form.
  uint8_t* PlaceBytes(size_t bytes);
  float* PlaceFloats(int n_rows, int width);
  template <typename Quant>
  RoundedRows<Quant> PlaceRounded(int n_rows, int width);
  ScratchRows PlaceRows(int n_rows, int width);

  // Heads here: of a shard its own.
  int Heads() const { return SizeOf(shard_.heads); }
  int KvHeads() const { return SizeOf(shard_.kv_heads); }
  // Of one row of q, k and v.
  int QkvWidth() const { return (Heads() + 2 * KvHeads()) * config_.head_dim; }

  const ModelConfig config_;
  const KvShape kv_;
  const int rows_max_;
  const int logit_rows_max_;
  const Sharding sharding_;
  std::vector<ShardShape> shards_;  // of all
  const ShardShape shard_;          // this one's
  const KernelTable& kernels_;
  ThreadPool& pool_;
  int n_threads_ = 1;           // of this Run
  bool gather_failed_ = false;  // written by thread 0 between two barriers; it stays
  RopeTable rope_;
  RopeTable local_rope_;  // of layers with a window; empty where it is the same

  uint8_t* memory_ = nullptr;
  size_t memory_bytes_ = 0;
  size_t placed_bytes_ = 0;
  float* x_ = nullptr;               // [rows, n_embd]
  float* branch_ = nullptr;          // [rows, n_embd], where a norm stands behind it
  ScratchRows normed_;               // of n_embd
  float* qkv_ = nullptr;             // [rows, QkvWidth()]
  ScratchRows attended_;             // of n_heads * head_dim
  ScratchRows hidden_;               // of n_ff; x holds the gate, then f(gate) * up
  float* up_ = nullptr;              // [rows, n_ff]
  ScratchRows head_;                 // [logit rows] of n_embd
  float* scores_ = nullptr;          // [threads, kHeadsAtOnce, kSpan]
  std::byte* gathered_ = nullptr;    // of shards: what each has, one shard after the other
  std::vector<size_t> gather_ends_;  // [shards]
};

}  // namespace mortar
