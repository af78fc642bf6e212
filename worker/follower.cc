#include "worker/follower.h"

#include <string>

#include "protocol/messages.h"

namespace mortar {
namespace {

std::string Describe(const ShardLoad& load) {
  return "model " + ToHex(load.model).substr(0, 16) + "…, KV in " + Name(load.kv) +
         ", a context of " + std::to_string(load.context) + " and " +
         std::to_string(load.sessions) + " sessions";
}

}  // namespace

absl::Status Follower::Load(const ShardLoad& wanted) {
  engine_.reset();
  tables_.assign(static_cast<size_t>(own_.sessions), {});
  ShardLoad own = own_;
  own.layers = wanted.layers;
  if (!(own == wanted)) {
    return FailedPrecondition("shares layers with a rank that has " + Describe(wanted) +
                              ", and was started with " + Describe(own));
  }
  ASSIGN_OR_RETURN(engine_, load_(wanted.layers));
  return absl::OkStatus();
}

absl::Status Follower::CheckPlace(int place) const {
  if (engine_ == nullptr) return FailedPrecondition("an order for shards before layers are loaded");
  if (place >= 0 && place < own_.sessions) return absl::OkStatus();
  return InvalidArgument("an order for shards names place " + std::to_string(place) + " of " +
                         std::to_string(own_.sessions));
}

absl::Status Follower::CheckBatch(std::span<const ShardFrame> frames) const {
  int64_t rows = 0;
  for (const ShardFrame& frame : frames) {
    RETURN_IF_ERROR(CheckPlace(frame.place));
    if (frame.base < 0 || frame.n < 1 || frame.n > own_.context - frame.base) {
      return InvalidArgument("an order for shards runs " + std::to_string(frame.n) +
                             " positions from " + std::to_string(frame.base) + " of a context of " +
                             std::to_string(own_.context));
    }
    rows += frame.n;
  }
  const int rows_max = engine_ == nullptr ? 0 : engine_->options().rows_max;
  if (rows > 0 && rows <= rows_max) return absl::OkStatus();
  return InvalidArgument("an order for shards runs " + std::to_string(rows) +
                         " rows, expected 1 to " + std::to_string(rows_max));
}

absl::Status Follower::Run(std::span<const ShardFrame> frames, const float* rows_in) {
  RETURN_IF_ERROR(CheckBatch(frames));
  rows_.clear();
  for (const ShardFrame& frame : frames) {
    KvTable& table = tables_[static_cast<size_t>(frame.place)];
    RETURN_IF_ERROR(engine_->kv().Reserve(table, frame.base, frame.base + frame.n));
    for (int i = 0; i < frame.n; ++i) rows_.push_back({.kv = &table, .position = frame.base + i});
  }
  engine_->Run(0, {.rows = rows_, .rows_in = rows_in});
  return absl::OkStatus();
}

absl::Status Follower::Release(std::span<const int> places) {
  for (const int place : places) {
    RETURN_IF_ERROR(CheckPlace(place));
    engine_->kv().Release(tables_[static_cast<size_t>(place)]);
  }
  return absl::OkStatus();
}

}  // namespace mortar
