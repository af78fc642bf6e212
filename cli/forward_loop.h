// The bare forward loop: one engine with the whole model, and nothing around it. What bench
// measures, and what the path through the three roles is measured against.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/status.h"
#include "engine/batch/engine.h"

namespace mortar {

class ForwardLoop {
 public:
  struct Options {
    KvType kv_type = KvType::kF16;
    int positions = 0;  // of one session
    int sessions = 1;   // that decode together
    int ubatch_size = 512;
  };
  // `kernels` and `pool` outlive the loop.
  static absl::StatusOr<std::unique_ptr<ForwardLoop>> Create(const GgufFile& file,
                                                             const Options& options,
                                                             const KernelTable& kernels,
                                                             ThreadPool& pool);

  const ModelConfig& config() const { return engine_->config(); }
  // Bytes of weights that one step reads, whatever its rows.
  uint64_t weight_bytes() const { return engine_->touched_bytes(0); }
  uint64_t kv_bytes_per_position() const;

  // Gives all KV back; every session is empty.
  void Clear();
  // Sessions that hold more than `positions` forget the rest.
  void Rewind(int positions);
  int positions(int session) const { return positions_[static_cast<size_t>(session)]; }
  // Positions are taken before they are computed, so that steps cannot fail.
  absl::Status Reserve(int sessions, int positions);

  // Appends `tokens` to a session, in steps of ubatch_size; the logits of the last token stand in
  // mutable_logits().
  void Prefill(int session, std::span<const int32_t> tokens);
  // Appends one token to each of the first tokens.size() sessions, in one step, with logits.
  void Decode(std::span<const int32_t> tokens);

  // Of the newest token of the first session, [n_vocab]; samplers may change them.
  std::span<float> mutable_logits();

 private:
  ForwardLoop(std::unique_ptr<Engine> engine, const Options& options);

  std::unique_ptr<Engine> engine_;
  Options options_;
  std::vector<KvTable> kv_;      // [sessions]
  std::vector<int> positions_;   // [sessions], how many each holds
  std::vector<BatchRow> rows_;   // [max(ubatch_size, sessions)]
  std::vector<int> logit_rows_;  // [sessions]
  std::vector<float> logits_;    // [sessions, n_vocab]
};

}  // namespace mortar
