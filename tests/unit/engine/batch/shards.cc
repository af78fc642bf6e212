#include "tests/unit/engine/batch/shards.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>

#include "common/check.h"
#include "tests/support/compare.h"

namespace mortar {
namespace {

constexpr int kSessionsMax = 4;

}  // namespace

AllGather LocalGather::Of(int shard) {
  return [this, shard](std::span<std::byte> all, std::span<const size_t> ends) {
    const auto i = static_cast<size_t>(shard);
    CHECK(static_cast<int>(ends.size()) == count_ && ends.back() == all.size());
    if (shard == 0) {
      all_.resize(all.size());
      bytes_sent_ += ends[0];
    }
    barrier_.arrive_and_wait();
    CHECK(all_.size() == all.size());
    const size_t begin = shard == 0 ? 0 : ends[i - 1];
    std::memcpy(all_.data() + begin, all.data() + begin, ends[i] - begin);
    barrier_.arrive_and_wait();
    std::memcpy(all.data(), all_.data(), all.size());
    barrier_.arrive_and_wait();
    return true;
  };
}

ShardedEngine::ShardedEngine(const TinyEngineOptions& options, int count) : gather_(count) {
  for (int i = 0; i < count; ++i) {
    TinyEngineOptions own = options;
    own.engine.sharding = {.shard = {i, count}, .all_gather = gather_.Of(i)};
    shards_.push_back(std::make_unique<TinyEngine>(own));
    tables_.emplace_back(kSessionsMax);
  }
}

std::vector<float> ShardedEngine::Run(const std::vector<Rows>& rows,
                                      const std::vector<float>& rows_in) {
  std::vector<std::vector<float>> out(shards_.size(), std::vector<float>(rows_in.size()));
  std::vector<std::thread> threads;
  for (size_t s = 0; s < shards_.size(); ++s) {
    std::vector<BatchRow> batch;
    for (const Rows& row : rows) {
      KvTable& table = tables_[s][static_cast<size_t>(row.session)];
      CHECK(shards_[s]->engine->kv().Reserve(table, row.position, row.position + 1).ok());
      batch.push_back({&table, row.position});
    }
    threads.emplace_back([this, s, batch = std::move(batch), &rows_in, &out] {
      shards_[s]->engine->Run(
          0, {.rows = batch, .rows_in = rows_in.data(), .rows_out = out[s].data()});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t s = 1; s < out.size(); ++s) EXPECT_TRUE(SameBits(out[0], out[s])) << "shard " << s;
  return out[0];
}

std::vector<float> LogitsThroughShards(TinyEngineOptions options, LayerRange cloud, int count,
                                       const std::vector<int32_t>& tokens, int chunk) {
  const size_t n = tokens.size();
  const auto n_embd = static_cast<size_t>(options.model.n_embd);
  TinyEngineOptions of_edge = options;
  of_edge.parts = {{true, {0, cloud.begin}, false},
                   {false, {cloud.end, options.model.n_layers}, true}};
  TinyEngine edge(of_edge);
  options.parts = {{false, cloud, false}};
  ShardedEngine shards(options, count);
  KvTable kv;
  const std::vector<BatchRow> all_rows = RowsFromStart(*edge.engine, &kv, n);
  const auto n_vocab = static_cast<size_t>(edge.engine->config().n_vocab);
  std::vector<float> logits(n * n_vocab);
  for (size_t at = 0; at < n; at += static_cast<size_t>(chunk)) {
    const size_t length = std::min(static_cast<size_t>(chunk), n - at);
    const std::span<const BatchRow> rows = std::span(all_rows).subspan(at, length);
    std::vector<float> up(length * n_embd);
    edge.engine->Run(
        0, {.rows = rows, .tokens = std::span(tokens).subspan(at, length), .rows_out = up.data()});
    std::vector<ShardedEngine::Rows> places;
    for (const BatchRow& row : rows) places.push_back({.session = 0, .position = row.position});
    const std::vector<float> down = shards.Run(places, up);
    std::vector<int> wanted(length);
    std::iota(wanted.begin(), wanted.end(), 0);
    edge.engine->Run(1, {.rows = rows,
                         .rows_in = down.data(),
                         .logit_rows = wanted,
                         .logits = logits.data() + at * n_vocab});
  }
  return logits;
}

}  // namespace mortar
