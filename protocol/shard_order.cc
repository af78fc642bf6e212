#include "protocol/shard_order.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "common/check.h"

namespace mortar {
namespace {

constexpr size_t kDigestWords = sizeof(Digest) / sizeof(uint32_t);
constexpr size_t kLoadWords = 5 + kDigestWords;
constexpr size_t kFrameWords = 3;
static_assert(1 + kLoadWords <= kShardOrderWordsMax);
static_assert(sizeof(Digest) % sizeof(uint32_t) == 0);

absl::Status Wrong(const std::string& what) {
  return InvalidArgument("an order for shards " + what);
}

uint32_t Word(int value) {
  CHECK(value >= 0);
  return static_cast<uint32_t>(value);
}

absl::Status ReadLoad(std::span<const uint32_t> words, ShardLoad& load) {
  if (words.size() != kLoadWords) {
    return Wrong("to load has " + std::to_string(words.size()) + " words, expected " +
                 std::to_string(kLoadWords));
  }
  if (words[2] > static_cast<uint32_t>(KvFormat::kQ80)) {
    return Wrong("to load has KV format " + std::to_string(words[2]));
  }
  load.layers = {static_cast<int>(words[0]), static_cast<int>(words[1])};
  load.kv = static_cast<KvFormat>(words[2]);
  load.context = static_cast<int>(words[3]);
  load.sessions = static_cast<int>(words[4]);
  std::memcpy(load.model.bytes.data(), words.data() + 5, sizeof(Digest));
  return absl::OkStatus();
}

absl::Status ReadFrames(std::span<const uint32_t> words, std::vector<ShardFrame>& frames) {
  if (words.empty() || words.size() % kFrameWords != 0) {
    return Wrong("to run a batch has " + std::to_string(words.size()) +
                 " words, expected a multiple of " + std::to_string(kFrameWords));
  }
  for (size_t i = 0; i < words.size(); i += kFrameWords) {
    frames.push_back({static_cast<int>(words[i]), static_cast<int>(words[i + 1]),
                      static_cast<int>(words[i + 2])});
    if (frames.back().n < 1) return Wrong("to run a batch has a frame without rows");
  }
  return absl::OkStatus();
}

}  // namespace

void WriteShardOrder(const ShardOrder& order, std::vector<uint32_t>& words) {
  words.assign(1, static_cast<uint32_t>(order.kind));
  if (order.kind == ShardOrderKind::kLoad) {
    const ShardLoad& load = order.load;
    words.push_back(Word(load.layers.begin));
    words.push_back(Word(load.layers.end));
    words.push_back(static_cast<uint32_t>(load.kv));
    words.push_back(Word(load.context));
    words.push_back(Word(load.sessions));
    words.resize(1 + kLoadWords);
    std::memcpy(words.data() + 1 + kLoadWords - kDigestWords, load.model.bytes.data(),
                sizeof(Digest));
  } else if (order.kind == ShardOrderKind::kBatch) {
    for (const ShardFrame& frame : order.frames) {
      for (const int value : {frame.place, frame.base, frame.n}) words.push_back(Word(value));
    }
  } else if (order.kind == ShardOrderKind::kRelease) {
    for (const int place : order.places) words.push_back(Word(place));
  }
  CHECK(words.size() <= kShardOrderWordsMax);
}

absl::Status ReadShardOrder(std::span<const uint32_t> words, ShardOrder& order) {
  order.frames.clear();
  order.places.clear();
  if (words.empty() || words.size() > kShardOrderWordsMax) {
    return Wrong("has " + std::to_string(words.size()) + " words, expected 1 to " +
                 std::to_string(kShardOrderWordsMax));
  }
  order.kind = static_cast<ShardOrderKind>(words[0]);
  const std::span<const uint32_t> rest = words.subspan(1);
  constexpr uint32_t kMax = std::numeric_limits<int32_t>::max();
  const bool digest_follows = order.kind == ShardOrderKind::kLoad && rest.size() == kLoadWords;
  const auto numbers = digest_follows ? rest.first(kLoadWords - kDigestWords) : rest;
  if (std::ranges::any_of(numbers, [](uint32_t word) { return word > kMax; })) {
    return Wrong("has a number that is too large");
  }
  switch (order.kind) {
    case ShardOrderKind::kLoad:
      return ReadLoad(rest, order.load);
    case ShardOrderKind::kBatch:
      return ReadFrames(rest, order.frames);
    case ShardOrderKind::kRelease:
      order.places.assign(rest.begin(), rest.end());
      return rest.empty() ? Wrong("to release names no place") : absl::OkStatus();
    case ShardOrderKind::kEnd:
      return rest.empty() ? absl::OkStatus() : Wrong("to end has more words");
  }
  return Wrong("is of kind " + std::to_string(words[0]));
}

int64_t RowsOf(const ShardOrder& order) {
  int64_t rows = 0;
  for (const ShardFrame& frame : order.frames) rows += frame.n;
  return rows;
}

}  // namespace mortar
