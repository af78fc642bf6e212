// Embeddings: one row for a whole text, pooled from the rows of its positions.
//
// The rows are those that the last layer gives, in a decoder behind the norm that stands before its
// head. Sums over positions and over elements follow rule 5 of the numeric contract, so that an
// embedding is the same number for number on every machine.
// Sources: Reimers and Gurevych 2019 (Sentence-BERT) for mean and cls; GGUF's pooling_type.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "common/status.h"
#include "engine/batch/engine.h"

namespace mortar {

// The part that an embedder runs: the whole model without its head.
PartSpec EmbeddingPart(const ModelConfig& config);

// The longest text that the model can embed: its context, and of an encoder what one batch takes,
// since every position sees the whole text.
int EmbeddingTokensMax(const ModelConfig& config);

// Borrows an engine whose part `part` is EmbeddingPart(). One thread at a time.
class Embedder {
 public:
  // ResourceExhausted when there is no memory for the rows of one batch.
  static absl::StatusOr<std::unique_ptr<Embedder>> Create(Engine& engine, int part);
  ~Embedder();
  Embedder(const Embedder&) = delete;
  Embedder& operator=(const Embedder&) = delete;

  // The longest text, EmbeddingTokensMax() as far as the engine has room for it.
  int tokens_max() const;

  // The row of `tokens`, [n_embd]; of length 1 where `normalised`. Needs: a pooling that is not
  // kNone. Errors: InvalidArgument for no tokens, more than tokens_max(), or one outside the
  // vocabulary; ResourceExhausted when others hold the engine's KV; DataLoss when the row is not
  // finite, or is 0 and has no direction.
  absl::StatusOr<std::vector<float>> Embed(std::span<const int32_t> tokens, Pooling pooling,
                                           bool normalised);

  // The rows of all positions, [tokens.size(), n_embd], batch by batch: `visit` gets the first
  // position of each and its rows, valid during the call. Errors as Embed().
  using Visit = std::function<void(int position, std::span<const float> rows)>;
  absl::Status Run(std::span<const int32_t> tokens, const Visit& visit);

  // From now on Run asks before each batch, and ends with Cancelled where the answer is yes.
  void StopWhen(std::function<bool()> stop) { stop_ = std::move(stop); }

 private:
  Embedder(Engine& engine, int part);
  absl::Status Check(std::span<const int32_t> tokens) const;
  absl::Status Walk(std::span<const int32_t> tokens, const Visit& visit);

  Engine& engine_;
  const int part_;
  std::function<bool()> stop_;
  KvTable kv_;
  std::vector<BatchRow> rows_;       // [rows_max]
  std::unique_ptr<float[]> hidden_;  // [rows_max, n_embd]
};

}  // namespace mortar
