#include "engine/model/weights.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "common/check.h"
#include "common/finite.h"
#include "engine/kernels/pack.h"
#include "engine/model/tensor_names.h"

namespace mortar {
namespace {

constexpr uint64_t kAlignment = 64;  // of each tensor: a cache line

WeightType PackedTypeOf(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return WeightType::kF32;
    case TensorType::kF16:
      return WeightType::kF16;
    case TensorType::kBF16:
      return WeightType::kBF16;
    case TensorType::kQ4_0:
      return WeightType::kQ4_0;
    case TensorType::kQ4_1:
      return WeightType::kQ4_1;
    case TensorType::kQ5_0:
      return WeightType::kQ5_0;
    case TensorType::kQ5_1:
      return WeightType::kQ5_1;
    case TensorType::kQ8_0:
      return WeightType::kQ8_0;
    case TensorType::kQ4_K:
      return WeightType::kQ4_K;
    case TensorType::kQ5_K:
      return WeightType::kQ5_K;
    case TensorType::kQ6_K:
      return WeightType::kQ6_K;
    case TensorType::kIQ4_NL:
      return WeightType::kIQ4_NL;
    case TensorType::kIQ4_XS:
      return WeightType::kIQ4_XS;
    case TensorType::kQ2_K:
      return WeightType::kQ2_K;
    case TensorType::kQ3_K:
      return WeightType::kQ3_K;
  }
  CHECK(false);
}

std::string ShapeText(const TensorInfo& t) {
  std::string text = "[";
  for (int i = 0; i < t.n_dims; ++i) text += (i ? ", " : "") + std::to_string(t.shape[i]);
  return text + "]";
}

}  // namespace

// Two passes over the same list of tensors: the first places them, the second packs them.
class WeightLoader {
 public:
  WeightLoader(const GgufFile& file, ThreadPool& pool, const std::atomic<bool>* stop)
      : file_(file), pool_(pool), stop_(stop) {}

  // y = W x with W of n_out rows and n_in columns. `outliers`: as of ActivationOf.
  absl::Status AddMatrix(const std::string& name, int n_out, int n_in, PackedMatrix* to,
                         bool outliers = false) {
    return AddRows(name, n_out, 0, n_out, n_in, to, outliers);
  }

  // Rows [first_row, first_row + n_out) of a tensor of n_rows: one of several that it holds.
  absl::Status AddRows(const std::string& name, int n_rows, int first_row, int n_out, int n_in,
                       PackedMatrix* to, bool outliers = false) {
    ASSIGN_OR_RETURN(const TensorInfo* tensor, Find(name, n_rows, n_in));
    const WeightType type = PackedTypeOf(tensor->type);
    // The file's reader and the kernels each have a table of blocks; a tensor's size is by the
    // first.
    CHECK(FormatOf(type).inputs == BlockElements(tensor->type) &&
          FormatOf(type).bytes() == BlockBytes(tensor->type));
    *to = {type, ActivationOf(type, outliers), n_out, n_in, nullptr};
    const uint64_t row_bytes = tensor->bytes / static_cast<uint64_t>(n_rows);
    items_.push_back({tensor, static_cast<uint64_t>(first_row) * row_bytes, to, nullptr,
                      Place(to->bytes()), to->bytes()});
    return absl::OkStatus();
  }

  absl::Status AddVector(const std::string& name, int n, const float** to) {
    return AddElements(name, n, {0, n}, to);
  }

  // Elements [part.begin, part.end) of a vector of n.
  absl::Status AddElements(const std::string& name, int n, Share part, const float** to) {
    ASSIGN_OR_RETURN(const TensorInfo* tensor, Find(name, 1, n));
    if (tensor->type != TensorType::kF32) {
      return InvalidArgument("tensor '" + name + "': expected F32, got " + Name(tensor->type));
    }
    const uint64_t bytes = sizeof(float) * static_cast<uint64_t>(SizeOf(part));
    items_.push_back({tensor, sizeof(float) * static_cast<uint64_t>(part.begin), nullptr, to,
                      Place(bytes), bytes});
    return absl::OkStatus();
  }

  absl::Status Fill(Weights& weights) {
    weights.bytes_ = bytes_;
    void* memory = mmap(nullptr, bytes_ ? bytes_ : 1, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      return ErrnoStatus(errno, "map " + std::to_string(bytes_) + " bytes for weights");
    }
    weights.memory_ = static_cast<uint8_t*>(memory);
    // Weights may be private: they stay out of core dumps. Large pages are a wish.
    madvise(memory, bytes_, MADV_DONTDUMP);
    madvise(memory, bytes_, MADV_HUGEPAGE);
    for (const Item& item : items_) {
      if (stop_ != nullptr && *stop_) return Cancelled("loading was given up");
      RETURN_IF_ERROR(file_.CheckUnchanged());
      RETURN_IF_ERROR(FillOne(item, weights.memory_ + item.offset));
    }
    // What was packed is what the bricks' digests speak of.
    return file_.CheckUnchanged();
  }

 private:
  struct Item {
    const TensorInfo* tensor;
    uint64_t first_byte;   // of the tensor's
    PackedMatrix* matrix;  // or
    const float** vector;
    uint64_t offset;
    uint64_t bytes;  // packed
  };

  absl::StatusOr<const TensorInfo*> Find(const std::string& name, int n_out, int n_in) {
    const TensorInfo* t = file_.FindTensor(name);
    if (t == nullptr) return InvalidArgument("tensor '" + name + "' is missing");
    if (t->part == kNoPart) {
      return FailedPrecondition("tensor '" + name + "' is not here: its brick was not fetched");
    }
    if (t->shape[0] != static_cast<uint64_t>(n_in) || t->shape[1] != static_cast<uint64_t>(n_out) ||
        t->shape[2] != 1 || t->shape[3] != 1) {
      return InvalidArgument("tensor '" + name + "': expected shape [" + std::to_string(n_in) +
                             ", " + std::to_string(n_out) + "], got " + ShapeText(*t));
    }
    return t;
  }

  // A norm or a bias meets every row of its layer, so that one bad element would spoil them all.
  static absl::Status CheckFinite(const Item& item, const float* values) {
    for (uint64_t i = 0; i < item.bytes / sizeof(float); ++i) {
      if (IsFinite(values[i])) continue;
      return InvalidArgument("tensor '" + item.tensor->name + "': element " +
                             std::to_string(item.first_byte / sizeof(float) + i) +
                             " is not finite");
    }
    return absl::OkStatus();
  }

  uint64_t Place(uint64_t bytes) {
    const uint64_t offset = bytes_;
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return offset;
  }

  absl::Status FillOne(const Item& item, uint8_t* dst) {
    const uint8_t* src = file_.Data(*item.tensor).data() + item.first_byte;
    if (item.vector != nullptr) {
      std::memcpy(dst, src, item.bytes);
      *item.vector = reinterpret_cast<const float*>(dst);
      RETURN_IF_ERROR(CheckFinite(item, *item.vector));
    } else {
      item.matrix->data = dst;
      const PackedMatrix& w = *item.matrix;
      pool_.Run([&](int thread) {
        const Share share = ShareOf(w.n_groups(), 1, thread, pool_.n_threads());
        PackGroups(w, src, share.begin, share.end, dst);
      });
    }
    file_.DropPages(*item.tensor);
    return absl::OkStatus();
  }

  const GgufFile& file_;
  ThreadPool& pool_;
  const std::atomic<bool>* const stop_;  // may be null
  std::vector<Item> items_;
  uint64_t bytes_ = 0;
};

namespace {

absl::Status AddNorm(WeightLoader& loader, const ModelConfig& c, const std::string& name, int n,
                     NormWeights* to) {
  RETURN_IF_ERROR(loader.AddVector(name + kWeight, n, &to->scale));
  return c.traits.layer_norm ? loader.AddVector(name + kBias, n, &to->bias) : absl::OkStatus();
}

absl::Status AddEmbedding(WeightLoader& loader, const ModelConfig& c, EmbeddingWeights& w) {
  RETURN_IF_ERROR(loader.AddMatrix(kEmbeddingTensor, c.n_vocab, c.n_embd, &w.tokens));
  if (c.traits.token_types) {
    RETURN_IF_ERROR(
        loader.AddRows(kTokenTypesTensor, c.n_token_types, 0, 1, c.n_embd, &w.token_type));
  }
  if (c.traits.learned_positions) {
    RETURN_IF_ERROR(loader.AddMatrix(kPositionsTensor, c.n_ctx_train, c.n_embd, &w.positions));
  }
  if (!c.traits.embedding_norm) return absl::OkStatus();
  return AddNorm(loader, c, kEmbeddingNormTensor, c.n_embd, &w.norm);
}

// The outputs of some heads.
Share WidthsOf(Share heads, const ModelConfig& c) {
  return {heads.begin * c.head_dim, heads.end * c.head_dim};
}

absl::Status AddQkv(WeightLoader& loader, const ModelConfig& c, const ShardShape& shard,
                    const std::string& blk, LayerWeights& w) {
  const int q_width = c.n_heads * c.head_dim;
  const int kv_width = c.n_kv_heads * c.head_dim;
  const Share q = WidthsOf(shard.heads, c);
  const Share kv = WidthsOf(shard.kv_heads, c);
  // `own` rows of a tensor of n_rows, or of those of its rows that begin at `first`.
  const auto add = [&](const char* name, int n_rows, int first, Share own, PackedMatrix* to) {
    return loader.AddRows(blk + name, n_rows, first + own.begin, SizeOf(own), c.n_embd, to);
  };
  if (c.traits.fused_qkv) {
    const int n_rows = q_width + 2 * kv_width;
    RETURN_IF_ERROR(add(kAttnQkvTensor, n_rows, 0, q, &w.q));
    RETURN_IF_ERROR(add(kAttnQkvTensor, n_rows, q_width, kv, &w.k));
    RETURN_IF_ERROR(add(kAttnQkvTensor, n_rows, q_width + kv_width, kv, &w.v));
  } else {
    RETURN_IF_ERROR(add(kAttnQTensor, q_width, 0, q, &w.q));
    RETURN_IF_ERROR(add(kAttnKTensor, kv_width, 0, kv, &w.k));
    RETURN_IF_ERROR(add(kAttnVTensor, kv_width, 0, kv, &w.v));
  }
  if (c.traits.qkv_bias) {
    RETURN_IF_ERROR(loader.AddElements(blk + kAttnQBiasTensor, q_width, q, &w.q_bias));
    RETURN_IF_ERROR(loader.AddElements(blk + kAttnKBiasTensor, kv_width, kv, &w.k_bias));
    RETURN_IF_ERROR(loader.AddElements(blk + kAttnVBiasTensor, kv_width, kv, &w.v_bias));
  }
  return absl::OkStatus();
}

absl::Status AddAttention(WeightLoader& loader, const ModelConfig& c, const ShardShape& shard,
                          const std::string& blk, LayerWeights& w) {
  const Architecture& t = c.traits;
  if (!t.norms_of_sums) {
    RETURN_IF_ERROR(AddNorm(loader, c, blk + kAttnNormTensor, c.n_embd, &w.attn_norm));
  }
  RETURN_IF_ERROR(AddQkv(loader, c, shard, blk, w));
  if (t.qk_norm) {
    RETURN_IF_ERROR(AddNorm(loader, c, blk + kAttnQNormTensor, c.head_dim, &w.q_norm));
    RETURN_IF_ERROR(AddNorm(loader, c, blk + kAttnKNormTensor, c.head_dim, &w.k_norm));
  }
  RETURN_IF_ERROR(loader.AddRows(blk + kAttnOutputTensor, c.n_embd, shard.embd.begin,
                                 SizeOf(shard.embd), c.n_heads * c.head_dim, &w.o));
  if (t.branch_bias) {
    RETURN_IF_ERROR(loader.AddVector(blk + kAttnOutputBiasTensor, c.n_embd, &w.o_bias));
  }
  if (!t.norms_after && !t.norms_of_sums) return absl::OkStatus();
  const char* norm = t.norms_of_sums ? kAttnSumNormTensor : kAttnPostNormTensor;
  return AddNorm(loader, c, blk + norm, c.n_embd, &w.attn_post_norm);
}

absl::Status AddFeedForward(WeightLoader& loader, const ModelConfig& c, const ShardShape& shard,
                            const std::string& blk, LayerWeights& w) {
  const Architecture& t = c.traits;
  if (!t.norms_of_sums) {
    RETURN_IF_ERROR(AddNorm(loader, c, blk + kFfnNormTensor, c.n_embd, &w.ffn_norm));
  }
  const auto add = [&](const char* name, int n_rows, int first, PackedMatrix* to) {
    return loader.AddRows(blk + name, n_rows, first + shard.hidden.begin, SizeOf(shard.hidden),
                          c.n_embd, to);
  };
  if (t.fused_gate_up) {
    RETURN_IF_ERROR(add(kFfnUpTensor, 2 * c.n_ff, 0, &w.gate));
    RETURN_IF_ERROR(add(kFfnUpTensor, 2 * c.n_ff, c.n_ff, &w.up));
  } else {
    if (t.gate != Gate::kNone) RETURN_IF_ERROR(add(kFfnGateTensor, c.n_ff, 0, &w.gate));
    RETURN_IF_ERROR(add(kFfnUpTensor, c.n_ff, 0, &w.up));
  }
  // The product of two activations, gate and up: where both are large it stands far out.
  RETURN_IF_ERROR(loader.AddRows(blk + kFfnDownTensor, c.n_embd, shard.embd.begin,
                                 SizeOf(shard.embd), c.n_ff, &w.down, /*outliers=*/true));
  if (t.branch_bias) {
    RETURN_IF_ERROR(loader.AddElements(blk + kFfnUpBiasTensor, c.n_ff, shard.hidden, &w.up_bias));
    RETURN_IF_ERROR(loader.AddVector(blk + kFfnDownBiasTensor, c.n_embd, &w.down_bias));
  }
  if (!t.norms_after && !t.norms_of_sums) return absl::OkStatus();
  const char* norm = t.norms_of_sums ? kFfnSumNormTensor : kFfnPostNormTensor;
  return AddNorm(loader, c, blk + norm, c.n_embd, &w.ffn_post_norm);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Weights>> Weights::Load(const GgufFile& file,
                                                       const ModelConfig& config,
                                                       const WeightSelection& selection,
                                                       ThreadPool& pool,
                                                       const std::atomic<bool>* stop) {
  std::unique_ptr<Weights> weights(new Weights());
  weights->layers_.resize(static_cast<size_t>(config.n_layers));
  WeightLoader loader(file, pool, stop);
  const bool tied = selection.head && config.tied_head;
  if (selection.embedding || tied) {
    RETURN_IF_ERROR(AddEmbedding(loader, config, weights->embedding_));
  }
  const ShardShape shard = ShapeOf(config, selection.shard);
  for (int i = 0; i < config.n_layers; ++i) {
    if (!selection.layers[static_cast<size_t>(i)]) continue;
    LayerWeights& layer = weights->layers_[static_cast<size_t>(i)];
    RETURN_IF_ERROR(AddAttention(loader, config, shard, LayerPrefix(i), layer));
    RETURN_IF_ERROR(AddFeedForward(loader, config, shard, LayerPrefix(i), layer));
  }
  if (selection.head || selection.output_norm) {
    RETURN_IF_ERROR(
        AddNorm(loader, config, kOutputNormTensor, config.n_embd, &weights->output_norm_));
  }
  if (selection.head && !tied) {
    RETURN_IF_ERROR(loader.AddMatrix(kHeadTensor, config.n_vocab, config.n_embd, &weights->head_));
  }
  RETURN_IF_ERROR(loader.Fill(*weights));
  if (tied) weights->head_ = weights->embedding_.tokens;
  return weights;
}

Weights::~Weights() {
  if (memory_ != nullptr) munmap(memory_, bytes_ ? bytes_ : 1);
}

}  // namespace mortar
