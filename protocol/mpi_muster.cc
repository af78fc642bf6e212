#include "protocol/mpi_muster.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/check.h"
#include "protocol/limits.h"
#include "protocol/mpi_world.h"

namespace mortar {

MpiMuster::MpiMuster(const MpiFunctions& mpi, void* job, int rank, int size, const Clock& clock)
    : mpi_(mpi),
      job_(job),
      rank_(rank),
      clock_(clock),
      peers_(static_cast<size_t>(size)),
      looked_(clock.Now()) {
  CHECK(size >= 1 && rank >= 0 && rank < size);
  for (int i = 0; i < size; ++i) {
    Peer& peer = peers_[static_cast<size_t>(i)];
    peer.met = i != rank && (i == 0 || rank == 0);
    peer.heard = looked_;
  }
}

void MpiMuster::Say(std::span<const std::byte> mine, bool last) {
  CHECK(complete_ && !closing_ && !mine.empty() && mine.size() <= kMusterBytesMax);
  mine_.assign(mine.begin(), mine.end());
  saying_ = true;
  last_ = last;
  complete_ = false;
  said_at_ = clock_.Now();
  if (rank_ != 0 && failure_.ok()) failure_ = Send(0, kMusterSaid, mine_);
}

void MpiMuster::Turn() {
  if (!failure_.ok() || (complete_ && closing_)) return;
  const Time now = clock_.Now();
  const Duration stood_still = now - looked_;
  looked_ = now;
  if (stood_still > kStallMax) {  // what the others sent meanwhile is still to be taken
    for (Peer& peer : peers_) peer.heard = now;
    said_at_ += stood_still;
  }
  failure_ = Look(now);
  absent_ = Judge(now);
}

absl::Status MpiMuster::Look(Time now) {
  for (int i = 0; i < static_cast<int>(peers_.size()); ++i) {
    if (!peers_[static_cast<size_t>(i)].met) continue;
    RETURN_IF_ERROR(Take(i, now));
    if (!closing_) RETURN_IF_ERROR(ShowLife(i, now));
  }
  if (rank_ == 0 && saying_) RETURN_IF_ERROR(HandOn());
  for (Peer& peer : peers_) RETURN_IF_ERROR(Flush(peer));
  // Between rounds a sign of life may be on its way: that holds nobody up.
  const auto over = [](const Peer& peer) {
    return !peer.met || (peer.done && peer.sending.empty());
  };
  complete_ = complete_ || (!saying_ && (!closing_ || std::ranges::all_of(peers_, over)));
  return absl::OkStatus();
}

// --- Inwards ---

absl::Status MpiMuster::Take(int from, Time now) {
  Peer& peer = peers_[static_cast<size_t>(from)];
  while (!peer.done) {
    bool begun = peer.in_request != nullptr;
    if (!begun) {
      RETURN_IF_ERROR(Begin(from, begun));
      if (!begun) return absl::OkStatus();
    }
    if (peer.in_request != nullptr) {
      RETURN_IF_ERROR(MpiError(mpi_, mpi_.test(&peer.in_request), "receiving"));
      if (peer.in_request != nullptr) return absl::OkStatus();
    }
    peer.heard = now;
    RETURN_IF_ERROR(Understand(from));
  }
  return absl::OkStatus();
}

absl::Status MpiMuster::Begin(int from, bool& begun) {
  Peer& peer = peers_[static_cast<size_t>(from)];
  MpiArrival arrival;
  RETURN_IF_ERROR(MpiError(mpi_, mpi_.probe(job_, from, &arrival), "receiving"));
  begun = arrival.message != nullptr;
  if (!begun) return absl::OkStatus();
  peer.in_tag = arrival.tag;
  if (arrival.bytes > kMusterBytesMax * peers_.size()) {
    return InvalidArgument("rank " + std::to_string(from) + " sent " +
                           std::to_string(arrival.bytes) + " bytes before the job began");
  }
  peer.in.resize(arrival.bytes);
  const int error = mpi_.receive(arrival.message, peer.in.data(), arrival.bytes, &peer.in_request);
  return MpiError(mpi_, error, "receiving");
}

absl::Status MpiMuster::Unexpected(int from) const {
  const Peer& peer = peers_[static_cast<size_t>(from)];
  return InvalidArgument("rank " + std::to_string(from) + " sent " +
                         std::to_string(peer.in.size()) + " bytes with tag " +
                         std::to_string(peer.in_tag) +
                         " before the job began; is it another version of mortar?");
}

absl::Status MpiMuster::Understand(int from) {
  Peer& peer = peers_[static_cast<size_t>(from)];
  const size_t n = peer.in.size();
  if (peer.in_tag == kMusterLife && n == 0) return absl::OkStatus();
  if (rank_ == 0) {
    if (peer.in_tag == kMusterSaid && !peer.said && !closing_) {
      peer.said = peer.in;
      return absl::OkStatus();
    }
    if (peer.in_tag != kMusterDone || n != 0 || !closing_) return Unexpected(from);
    peer.done = true;
    return absl::OkStatus();
  }
  if (peer.in_tag != kMusterAll || !saying_ || n != mine_.size() * peers_.size()) {
    return Unexpected(from);
  }
  all_ = peer.in;
  saying_ = false;
  if (!last_) return absl::OkStatus();
  peer.done = true;
  closing_ = true;
  return Send(0, kMusterDone, {});
}

// --- Outwards ---

absl::Status MpiMuster::HandOn() {
  const auto waits = [](const Peer& peer) { return peer.met && !peer.said; };
  if (std::ranges::any_of(peers_, waits)) return absl::OkStatus();
  all_ = mine_;
  for (int i = 1; i < static_cast<int>(peers_.size()); ++i) {
    Peer& peer = peers_[static_cast<size_t>(i)];
    if (peer.said->size() != mine_.size()) {
      return InvalidArgument("rank " + std::to_string(i) + " said " +
                             std::to_string(peer.said->size()) + " bytes, expected " +
                             std::to_string(mine_.size()) + "; is it another version of mortar?");
    }
    all_.insert(all_.end(), peer.said->begin(), peer.said->end());
    peer.said.reset();
  }
  saying_ = false;
  closing_ = last_;
  for (int i = 1; i < static_cast<int>(peers_.size()); ++i) {
    RETURN_IF_ERROR(Send(i, kMusterAll, all_));
  }
  return absl::OkStatus();
}

absl::Status MpiMuster::Send(int to, int tag, std::vector<std::byte> bytes) {
  Sending& kept = peers_[static_cast<size_t>(to)].sending.emplace_back(std::move(bytes));
  const int error = mpi_.send(job_, to, tag, kept.bytes.data(), kept.bytes.size(), &kept.request);
  return MpiError(mpi_, error, "sending");
}

absl::Status MpiMuster::ShowLife(int to, Time now) {
  Peer& peer = peers_[static_cast<size_t>(to)];
  // What is on its way shows life too.
  if (!peer.sending.empty() || (peer.life_shown && now - *peer.life_shown < kAliveInterval)) {
    return absl::OkStatus();
  }
  peer.life_shown = now;
  return Send(to, kMusterLife, {});
}

absl::Status MpiMuster::Flush(Peer& peer) {
  while (!peer.sending.empty()) {
    void*& request = peer.sending.front().request;
    if (request != nullptr) RETURN_IF_ERROR(MpiError(mpi_, mpi_.test(&request), "sending"));
    if (request != nullptr) break;
    peer.sending.pop_front();
  }
  return absl::OkStatus();
}

// --- Who is missing ---

std::optional<AbsentRank> MpiMuster::Judge(Time now) const {
  const Duration silence_max =
      kMusterSilenceMax + (rank_ > 0 ? (rank_ - 1) * kMusterTurn : Duration::zero());
  for (int i = 0; i < static_cast<int>(peers_.size()); ++i) {
    const Peer& peer = peers_[static_cast<size_t>(i)];
    if (!peer.met || peer.done) continue;
    if (now - peer.heard > silence_max) return AbsentRank{.rank = i, .silent = true};
    const bool due = rank_ == 0 && saying_ && !peer.said;
    if (due && now - said_at_ > kMusterReadyMax) return AbsentRank{.rank = i, .silent = false};
  }
  return std::nullopt;
}

}  // namespace mortar
