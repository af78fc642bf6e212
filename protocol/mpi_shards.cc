#include "protocol/mpi_shards.h"

#include <algorithm>
#include <thread>

#include "common/check.h"
#include "protocol/mpi_transport.h"
#include "protocol/mpi_world.h"
#include "protocol/shard_order.h"
#include "protocol/waited.h"

namespace mortar {
MpiShards::MpiShards(int first, int count, int rank, Parts parts)
    : first_(first), count_(count), rank_(rank), parts_(std::move(parts)) {
  CHECK(count >= 2 && count <= kShardsMax && rank >= first && rank < first + count);
  outgoing_.reserve(static_cast<size_t>(2 * count));
  incoming_.reserve(static_cast<size_t>(count));
}

bool MpiShards::AllGather(std::span<std::byte> all, std::span<const size_t> ends) {
  if (!failure_.ok()) return false;
  CHECK(static_cast<int>(ends.size()) == count_ && ends.back() == all.size());
  Clear();
  const auto share = [&](int shard) {
    const size_t begin = shard == 0 ? 0 : ends[static_cast<size_t>(shard) - 1];
    return all.subspan(begin, ends[static_cast<size_t>(shard)] - begin);
  };
  const std::span<std::byte> own = share(index());
  for (int shard = 0; shard < count_; ++shard) {
    if (shard == index()) continue;
    const std::span<std::byte> theirs = share(shard);
    Send(first_ + shard, kShardGather, own.data(), own.size());
    incoming_.push_back({.rank = first_ + shard,
                         .tag = kShardGather,
                         .data = theirs.data(),
                         .bytes = theirs.size()});
    bytes_sent_ += own.size();
  }
  ++gathers_;
  return Exchange(kShardSilenceMax + index() * kShardTurn);
}

// --- The leader ---

bool MpiShards::Tell(std::span<const uint32_t> order, std::span<const std::byte> rows) {
  CHECK(leads());
  if (!failure_.ok()) return false;
  Clear();
  for (int rank = first_ + 1; rank < first_ + count_; ++rank) {
    Send(rank, kShardOrder, order.data(), order.size_bytes());
    if (!rows.empty()) Send(rank, kShardRows, rows.data(), rows.size());
  }
  return Exchange(kShardSilenceMax);
}

absl::Status MpiShards::Answers() {
  CHECK(leads());
  absl::Status first;
  for (int rank = first_ + 1; rank < first_ + count_ && failure_.ok(); ++rank) {
    Waited waited_so_far;
    while (!TakeAny(rank, kShardAnswer, kShardAnswerBytesMax)) {
      const Duration waited = waited_so_far.At(parts_.clock.Now());
      const absl::Status check = parts_.check();
      if (failure_.ok() && !check.ok()) failure_ = check;
      if (failure_.ok() && waited > kShardLoadMax) {
        Fail(rank, Unavailable("has not loaded its layers within " + InSeconds(kShardLoadMax)));
      }
      RETURN_IF_ERROR(failure_);
      std::this_thread::sleep_for(MpiNap(waited));
    }
    RETURN_IF_ERROR(failure_);
    if (any_.empty() || !first.ok()) continue;
    const std::string why(reinterpret_cast<const char*>(any_.data()), any_.size());
    first = WithContext(FailedPrecondition(why), parts_.describe(rank));
  }
  return failure_.ok() ? first : failure_;
}

// --- The others ---

bool MpiShards::Hear(std::vector<uint32_t>& order) {
  CHECK(!leads());
  if (!TakeAny(first_, kShardOrder, kShardOrderWordsMax * sizeof(uint32_t))) return false;
  if (failure_.ok() && any_.size() % sizeof(uint32_t) != 0) {
    Fail(first_, InvalidArgument("sent an order of " + std::to_string(any_.size()) +
                                 " bytes, expected whole words"));
  }
  order.resize(any_.size() / sizeof(uint32_t));
  std::copy_n(any_.begin(), order.size() * sizeof(uint32_t),
              reinterpret_cast<std::byte*>(order.data()));
  return true;
}

bool MpiShards::HearRows(std::span<std::byte> rows) {
  CHECK(!leads());
  if (!failure_.ok()) return false;
  Clear();
  incoming_.push_back(
      {.rank = first_, .tag = kShardRows, .data = rows.data(), .bytes = rows.size()});
  return Exchange(kShardSilenceMax + index() * kShardTurn);
}

bool MpiShards::Answer(const absl::Status& loaded) {
  CHECK(!leads());
  if (!failure_.ok()) return false;
  const std::string why = Message(loaded).substr(0, kShardAnswerBytesMax);
  CHECK(loaded.ok() || !why.empty());
  Clear();
  Send(first_, kShardAnswer, why.data(), why.size());
  return Exchange(kShardLoadMax);  // the leader may load for longer
}

// --- Messages ---

void MpiShards::Fail(int with, const absl::Status& why) {
  if (failure_.ok()) failure_ = WithContext(why, parts_.describe(with));
}

void MpiShards::Clear() {
  outgoing_.clear();
  incoming_.clear();
}

void MpiShards::Send(int to, int tag, const void* data, size_t bytes) {
  outgoing_.push_back({.rank = to, .tag = tag, .data = const_cast<void*>(data), .bytes = bytes});
}

bool MpiShards::Exchange(Duration longest) {
  Waited waited_so_far;
  while (!Look()) {
    if (!failure_.ok()) return false;
    failure_ = parts_.check();
    if (!failure_.ok()) return false;
    const Duration waited = waited_so_far.At(parts_.clock.Now());
    if (waited > longest) {
      const std::vector<int> missing = Missing();
      const Duration of_several = longest + count_ * kShardTurn;
      if (missing.size() == 1 || waited > of_several) {
        Blame(missing, missing.size() == 1 ? longest : of_several);
        return false;
      }
    }
    if (waited < kShardAwakeMax) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(MpiNap(waited));
    }
  }
  return failure_.ok();
}

bool MpiShards::Look() {
  const std::lock_guard lock(parts_.calls);
  for (Part& part : outgoing_) LookAt(part, /*incoming=*/false);
  for (Part& part : incoming_) LookAt(part, /*incoming=*/true);
  return std::ranges::all_of(outgoing_, &Part::done) && std::ranges::all_of(incoming_, &Part::done);
}

void MpiShards::LookAt(Part& part, bool incoming) {
  if (part.done() || !failure_.ok()) return;
  absl::Status status;
  if (part.begun) {
    status =
        MpiError(parts_.mpi, parts_.mpi.test(&part.request), incoming ? "receiving" : "sending");
  } else if (incoming) {
    status = Begin(part);
  } else {
    part.begun = true;
    status = MpiError(
        parts_.mpi,
        parts_.mpi.send(parts_.line, part.rank, part.tag, part.data, part.bytes, &part.request),
        "sending");
  }
  if (!status.ok()) Fail(part.rank, status);
}

absl::Status MpiShards::Begin(Part& part) {
  MpiArrival arrival;
  RETURN_IF_ERROR(
      MpiError(parts_.mpi, parts_.mpi.probe(parts_.line, part.rank, &arrival), "receiving"));
  if (arrival.message == nullptr) return absl::OkStatus();
  if (arrival.tag != part.tag || arrival.bytes != part.bytes) {
    return InvalidArgument("sent " + std::to_string(arrival.bytes) + " bytes with tag " +
                           std::to_string(arrival.tag) + " to a shard, expected " +
                           std::to_string(part.bytes) + " with " + std::to_string(part.tag));
  }
  part.begun = true;
  const int error = parts_.mpi.receive(arrival.message, part.data, part.bytes, &part.request);
  return MpiError(parts_.mpi, error, "receiving");
}

std::vector<int> MpiShards::Missing() const {
  std::vector<int> ranks;
  for (const std::vector<Part>* parts : {&incoming_, &outgoing_}) {
    for (const Part& part : *parts) {
      if (!part.done() && !std::ranges::count(ranks, part.rank)) ranks.push_back(part.rank);
    }
  }
  return ranks;
}

void MpiShards::Blame(const std::vector<int>& missing, Duration longest) {
  if (missing.size() == 1) {
    return Fail(missing[0], Unavailable("shares layers, and has stood still for " +
                                        InSeconds(longest) + " amid a step"));
  }
  std::string names;
  for (const int rank : missing) names += (names.empty() ? "" : ", ") + parts_.describe(rank);
  failure_ = Unavailable(names + ": they share layers, and one of them has stood still for " +
                         InSeconds(longest) + " amid a step");
}

bool MpiShards::TakeAny(int from, int tag, size_t bytes_max) {
  if (!failure_.ok()) return true;
  Clear();
  {
    const std::lock_guard lock(parts_.calls);
    MpiArrival arrival;
    const absl::Status probed =
        MpiError(parts_.mpi, parts_.mpi.probe(parts_.line, from, &arrival), "receiving");
    if (!probed.ok()) {
      Fail(from, probed);
      return true;
    }
    if (arrival.message == nullptr) return false;
    if (arrival.tag != tag || arrival.bytes > bytes_max) {
      Fail(from, InvalidArgument("sent " + std::to_string(arrival.bytes) + " bytes with tag " +
                                 std::to_string(arrival.tag) + " to a shard, expected at most " +
                                 std::to_string(bytes_max) + " with " + std::to_string(tag)));
      return true;
    }
    any_.resize(arrival.bytes);
    Part part = {
        .rank = from, .tag = tag, .data = any_.data(), .bytes = arrival.bytes, .begun = true};
    const int error = parts_.mpi.receive(arrival.message, part.data, part.bytes, &part.request);
    if (error != 0) Fail(from, MpiError(parts_.mpi, error, "receiving"));
    incoming_.push_back(part);
  }
  (void)Exchange(kShardSilenceMax);
  return true;
}

}  // namespace mortar
