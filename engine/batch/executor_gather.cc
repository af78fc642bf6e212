// Shards hand one another what each has computed: the inputs of o and down as the blocks that the
// products read, their outputs in f32.
//
// A shard's bytes of a gather are its elements of row 0, of row 1, and so on; of a row in blocks
// all its integers, then a scale for each 32 of them. Sums of blocks are not handed on: whoever
// reads the integers has them again, exactly.
#include <cstring>

#include "common/check.h"
#include "engine/batch/executor.h"

namespace mortar {
namespace {

enum class Form { kFloats, kInt8, kInt16 };

Form FormOf(Rounding rounding) {
  CHECK(!rounding.to_int8 || !rounding.to_int16);  // of one matrix
  if (rounding.to_int8) return Form::kInt8;
  return rounding.to_int16 ? Form::kInt16 : Form::kFloats;
}

size_t BytesOf(Form form, int n) {
  const auto elements = static_cast<size_t>(n);
  if (form == Form::kFloats) return sizeof(float) * elements;
  return elements * (form == Form::kInt8 ? 1 : 2) + sizeof(float) * (elements / kBlock);
}

template <typename Quant>
void PackBlocks(const RoundedRows<Quant>& from, int n, std::byte* to) {
  const size_t bytes = sizeof(Quant) * static_cast<size_t>(n);
  std::memcpy(to, from.q, bytes);
  std::memcpy(to + bytes, from.d, sizeof(float) * static_cast<size_t>(n / kBlock));
}

// The rest of a rounded block follows from its integers and its scale, as where it was rounded.
template <typename Quant>
void UnpackBlocks(const std::byte* from, int n, const RoundedRows<Quant>& to) {
  const size_t bytes = sizeof(Quant) * static_cast<size_t>(n);
  std::memcpy(to.q, from, bytes);
  std::memcpy(to.d, from + bytes, sizeof(float) * static_cast<size_t>(n / kBlock));
  for (int b = 0; b < n / kBlock; ++b) {
    const Quant* q = to.q + b * kBlock;
    int32_t halves[2] = {0, 0};
    for (int i = 0; i < kBlock / 2; ++i) {
      halves[0] += q[i];
      halves[1] += q[kBlock / 2 + i];
    }
    to.low[b] = halves[0];
    to.sum[b] = halves[0] + halves[1];
    to.s[b] = to.d[b] * static_cast<float>(to.sum[b]);
  }
}

void Pack(const ScratchRows& rows, Form form, size_t at, int n, std::byte* to) {
  if (form == Form::kInt8) return PackBlocks(rows.narrow.From(at), n, to);
  if (form == Form::kInt16) return PackBlocks(rows.wide.From(at), n, to);
  std::memcpy(to, rows.x + at, BytesOf(form, n));
}

void Unpack(const std::byte* from, const ScratchRows& rows, Form form, size_t at, int n) {
  if (form == Form::kInt8) return UnpackBlocks(from, n, rows.narrow.From(at));
  if (form == Form::kInt16) return UnpackBlocks(from, n, rows.wide.From(at));
  std::memcpy(rows.x + at, from, BytesOf(form, n));
}

}  // namespace

ScratchRows Executor::GatheredRows(OpKind kind) const {
  if (kind == OpKind::kGatherAttended) return attended_;
  if (kind == OpKind::kGatherHidden) return hidden_;
  ScratchRows rows;
  rows.width = config_.n_embd;
  rows.x = BranchRows();
  return rows;
}

Share Executor::GatheredElements(OpKind kind, int shard) const {
  const ShardShape& shape = shards_[static_cast<size_t>(shard)];
  if (kind == OpKind::kGatherHidden) return shape.hidden;
  if (kind == OpKind::kGatherBranch) return shape.embd;
  return {shape.heads.begin * config_.head_dim, shape.heads.end * config_.head_dim};
}

void Executor::Gather(const Op& op, int n_rows, int thread) {
  const ScratchRows rows = GatheredRows(op.kind);
  const Form form = FormOf(op.rounding);
  const Share share = ShareOf(n_rows, 1, thread, n_threads_);
  const int own = sharding_.shard.index;
  // Calls visit(first element, elements, place in the buffer) for this thread's rows of each shard
  // that is wanted, and notes where each shard's bytes end.
  const auto for_rows = [&](const auto& wanted, const auto& visit, std::vector<size_t>* ends) {
    size_t end = 0;
    for (int shard = 0; shard < sharding_.shard.count; ++shard) {
      const Share elements = GatheredElements(op.kind, shard);
      const size_t row_bytes = BytesOf(form, SizeOf(elements));
      for (int row = share.begin; row < share.end && wanted(shard); ++row) {
        const size_t at = static_cast<size_t>(row) * static_cast<size_t>(rows.width) +
                          static_cast<size_t>(elements.begin);
        visit(at, SizeOf(elements), gathered_ + end + row_bytes * static_cast<size_t>(row));
      }
      end += row_bytes * static_cast<size_t>(n_rows);
      if (ends != nullptr) (*ends)[static_cast<size_t>(shard)] = end;
    }
  };
  for_rows([own](int shard) { return shard == own; },
           [&](size_t at, int n, std::byte* place) { Pack(rows, form, at, n, place); },
           thread == 0 ? &gather_ends_ : nullptr);
  pool_.Barrier();
  if (thread == 0) {
    gather_failed_ = !sharding_.all_gather({gathered_, gather_ends_.back()}, gather_ends_);
  }
  pool_.Barrier();
  if (gather_failed_) return;
  for_rows([own](int shard) { return shard != own; },
           [&](size_t at, int n, const std::byte* place) { Unpack(place, rows, form, at, n); },
           nullptr);
}

}  // namespace mortar
