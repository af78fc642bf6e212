// What an edge has its engine do: its front layers, its back layers with head and sampler, and
// giving pages back. The first two say how long they took. Each job is kept and submitted again and
// again. While one is submitted the loop touches neither the engine, nor the tables of pages, nor
// the samplers it uses.
#pragma once

#include <vector>

#include "common/clock.h"
#include "common/job_queue.h"
#include "edge/middle.h"
#include "edge/state.h"
#include "engine/batch/engine.h"
#include "protocol/rows.h"

namespace mortar {

// The parts of an edge's engine.
inline constexpr int kFrontPart = 0;  // embedding, layers [0, front)
inline constexpr int kBackPart = 1;   // layers [n_layers - back, n_layers), head

// Tokens to rows: rows_out [n, n_embd] of every item, behind the front layers, or behind the middle
// of sessions that are alone.
class FrontJob final : public Job {
 public:
  FrontJob(Engine& engine, MiddleEngine& middle, RowsPool& pool, const Clock& clock)
      : engine_(engine), middle_(middle, pool), pool_(pool), clock_(clock) {}

  Duration time{};  // out
  void Prepare(std::vector<EdgeItem>& items, const std::vector<EdgeSlot>& slots,
               const std::vector<KvTable>& tables);
  void Run() override {
    const Time start = clock_.Now();
    Compute();
    middle_.Compute();
    time = clock_.Now() - start;
  }

 private:
  void Compute();

  Engine& engine_;
  MiddleStep middle_;
  RowsPool& pool_;
  const Clock& clock_;
  std::vector<EdgeItem>* items_ = nullptr;
  std::vector<BatchRow> rows_;
  std::vector<Token> tokens_;
  Rows all_out_;  // [total rows, n_embd], when there are several items
};

// Rows to tokens: `drawn` of every item that samples.
class BackJob final : public Job {
 public:
  BackJob(Engine& engine, RowsPool& pool, const Clock& clock);

  Duration time{};  // out
  void Prepare(std::vector<EdgeItem>& items, std::vector<EdgeSlot>& slots,
               const std::vector<KvTable>& tables);
  void Run() override {
    const Time start = clock_.Now();
    Compute();
    time = clock_.Now() - start;
  }

 private:
  void Compute();

  struct Draw {
    EdgeItem* item;
    EdgeSlot* slot;
    size_t logits;  // row of the first token's; those of its guesses follow
  };
  void DrawTokens(const Draw& draw);

  Engine& engine_;
  RowsPool& pool_;
  const Clock& clock_;
  std::vector<EdgeItem>* items_ = nullptr;
  std::vector<BatchRow> rows_;
  std::vector<int> logit_rows_;
  std::vector<Draw> draws_;    // one for each item that samples
  std::vector<float> logits_;  // [logit_rows_.size(), n_vocab], or what it once was
  Rows all_in_;                // [total rows, n_embd], when there are several items
};

class EdgeReleaseJob final : public Job {
 public:
  EdgeReleaseJob(Engine& engine, MiddleEngine& middle, std::vector<KvTable>& tables)
      : engine_(engine), middle_(middle), tables_(tables) {}
  std::vector<int> slots;  // in

  void Run() override;

 private:
  Engine& engine_;
  MiddleEngine& middle_;
  std::vector<KvTable>& tables_;
};

}  // namespace mortar
