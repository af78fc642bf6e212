#include "cli/cluster_launch.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "cli/cluster_shards.h"
#include "cli/console.h"
#include "cli/text_input.h"
#include "protocol/mpi_transport.h"

namespace mortar {
namespace {

constexpr char kHow[] = "mpirun -n 2 --bind-to none mortar cluster -f FILE";
constexpr size_t kBootBytesMax = 64;

template <size_t kSize>
void Put(std::string_view text, std::array<char, kSize>& out) {
  std::copy_n(text.data(), std::min(text.size(), kSize - 1), out.begin());
}

// The text as far as a zero: it came from another rank.
template <size_t kSize>
std::string Get(const std::array<char, kSize>& text) {
  return {text.begin(), std::ranges::find(text, '\0')};
}

static_assert(sizeof(RankCard) <= kMusterBytesMax);

bool SameMachine(const RankCard& a, const RankCard& b) {
  return a.host == b.host && a.boot == b.boot;
}

std::string GivenText(const Settings& settings) {
  for (const char* flag : {"prompt", "system", "stop"}) {
    const bool reads_input =
        std::string_view(flag) == "prompt" && settings.Has(flag) && settings.String(flag) == "-";
    if (settings.Has(flag) && !reads_input) return "--" + std::string(flag);
  }
  return "";
}

template <typename T>
std::span<const std::byte> BytesOf(const T& value) {
  return std::as_bytes(std::span<const T>(&value, 1));
}

}  // namespace

RankCard OwnCard(const Settings& settings) {
  RankCard card;
  if (gethostname(card.host.data(), card.host.size() - 1) != 0) Put("?", card.host);
  // Without one, the host's name must do.
  const auto boot = ReadWholeFile("/proc/sys/kernel/random/boot_id", kBootBytesMax);
  if (boot.ok()) Put(*boot, card.boot);
  Put(GivenText(settings), card.given);
  card.process = getpid();
  card.shards = HopRanksOf(settings).per_hop;
  card.distribute = settings.Bool("distribute") ? 1 : 0;
  Put(settings.String("place"), card.place);
  card.open = settings.Has("listen") ? 1 : 0;
  card.sealed = settings.Has("listen") && settings.Has("keys") ? 1 : 0;
  return card;
}

absl::Status CheckLaunched(const Environment& environment) {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK"}) {
    if (environment.contains(variable)) return absl::OkStatus();
  }
  return UsageError(
      "cluster runs as the ranks of an OpenMPI job, and this is none; start it with " +
      std::string(kHow));
}

namespace {

// Ranks are `shards` to each worker.
absl::Status CheckWholeWorkers(int ranks, const std::string& are, int shards) {
  if ((ranks - 1) % shards == 0 && ranks > 1) return absl::OkStatus();
  const std::string some = std::to_string(1 + shards) + ", " + std::to_string(1 + 2 * shards) +
                           ", " + std::to_string(1 + 3 * shards);
  return UsageError("this job has " + are + ", and --tp " + std::to_string(shards) +
                    " needs rank 0 and " + std::to_string(shards) + " for each worker: " + some +
                    " …");
}

}  // namespace

absl::Status CheckRanks(int ranks, int expected, int shards) {
  const std::string are = std::to_string(ranks) + (ranks == 1 ? " rank" : " ranks");
  if (expected > 0 && ranks != expected) {
    return FailedPrecondition("this job has " + are + ", --expect-ranks says " +
                              std::to_string(expected) +
                              "; is -n another number, or the mpirun that of another MPI?");
  }
  if (shards > 1) RETURN_IF_ERROR(CheckWholeWorkers(ranks, are, shards));
  if (ranks < 2) {
    return UsageError("this job has " + are + ", and needs one more for a worker; start it with " +
                      std::string(kHow));
  }
  const int ranks_max = kHopsMax * shards + 1;
  if (ranks > ranks_max) {
    return UsageError("this job has " + are + ", at most " + std::to_string(ranks_max) +
                      " are of use: a route has up to " + std::to_string(kHopsMax) + " workers");
  }
  return absl::OkStatus();
}

std::string WireWarning(const std::vector<RankCard>& cards) {
  const auto n = std::ranges::count_if(
      cards, [&](const RankCard& card) { return !SameMachine(card, cards[0]); });
  if (n == 0) return "";
  return std::to_string(n) +
         (n == 1 ? " rank is on another machine" : " ranks are on other machines") +
         ": MPI does not encrypt, so whoever can read that network can read hidden states";
}

absl::Status CheckText(const std::vector<RankCard>& cards) {
  for (size_t i = 1; i < cards.size(); ++i) {
    const RankCard& card = cards[i];
    if (SameMachine(card, cards[0]) || card.given[0] == '\0') continue;
    return UsageError(Get(card.given) + " reached rank " + std::to_string(i) + " on " +
                      OneLine(Get(card.host)) +
                      ": mpirun hands its arguments to every machine; give the text with -f FILE "
                      "or on standard input, which rank 0 alone reads");
  }
  return absl::OkStatus();
}

absl::Status CheckSameShards(const std::vector<RankCard>& cards) {
  for (size_t i = 1; i < cards.size(); ++i) {
    if (cards[i].shards == cards[0].shards) continue;
    return UsageError("--tp is " + std::to_string(cards[0].shards) + " at rank 0 and " +
                      std::to_string(cards[i].shards) + " at rank " + std::to_string(i) +
                      ": give all ranks the same");
  }
  return absl::OkStatus();
}

absl::Status CheckDistribute(const std::vector<RankCard>& cards) {
  for (size_t i = 1; i < cards.size(); ++i) {
    if (cards[i].distribute == cards[0].distribute) continue;
    return UsageError("rank 0 was started " +
                      std::string(cards[0].distribute == 1 ? "with" : "without") +
                      " --distribute and rank " + std::to_string(i) +
                      " was not like it: give it to all ranks or to none");
  }
  return absl::OkStatus();
}

absl::Status CheckSamePlace(const std::vector<RankCard>& cards) {
  for (size_t i = 1; i < cards.size(); ++i) {
    if (cards[i].place == cards[0].place) continue;
    return UsageError("--place is " + OneLine(Get(cards[0].place)) + " at rank 0 and " +
                      OneLine(Get(cards[i].place)) + " at rank " + std::to_string(i) +
                      ": give all ranks the same");
  }
  return absl::OkStatus();
}

absl::Status CheckListen(const std::vector<RankCard>& cards) {
  for (size_t i = 1; i < cards.size(); ++i) {
    if (cards[i].open <= cards[0].open) continue;
    return UsageError("rank " + std::to_string(i) +
                      " was started with --listen and rank 0, which alone listens, was not: give "
                      "it to rank 0");
  }
  return absl::OkStatus();
}

Launch::Launch(const MpiWorld& world, const Settings& settings, const Clock& clock)
    : world_(world),
      settings_(settings),
      cards_(static_cast<size_t>(world.size())),
      muster_(world, clock) {
  cards_[static_cast<size_t>(world.rank())] = OwnCard(settings);
}

absl::StatusOr<std::vector<std::byte>> Launch::Round(std::span<const std::byte> mine, bool last) {
  const auto describe = [this](int rank) { return Describe(rank); };
  auto all = muster_.Round(mine, last, describe, CheckInterrupted);
  if (last || !all.ok()) muster_.Stop();
  return all;
}

absl::Status Launch::Gather() {
  const RankCard mine = cards_[static_cast<size_t>(world_.rank())];
  ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, Round(BytesOf(mine), /*last=*/false));
  std::memcpy(cards_.data(), bytes.data(), bytes.size());
  return absl::OkStatus();
}

absl::Status Launch::Check() const {
  const int expected = static_cast<int>(settings_.OptionalInt("expect-ranks").value_or(0));
  RETURN_IF_ERROR(CheckSameShards(cards_));
  RETURN_IF_ERROR(CheckRanks(world_.size(), expected, cards_[0].shards));
  RETURN_IF_ERROR(CheckText(cards_));
  RETURN_IF_ERROR(CheckDistribute(cards_));
  RETURN_IF_ERROR(CheckSamePlace(cards_));
  return CheckListen(cards_);
}

absl::Status Launch::Agree(const absl::Status& mine) {
  const uint8_t failed = mine.ok() ? 0 : 1;
  ASSIGN_OR_RETURN(const std::vector<std::byte> all, Round(BytesOf(failed), /*last=*/true));
  const auto first = std::ranges::find(all, std::byte{1});
  if (first == all.end()) return absl::OkStatus();
  const auto rank = static_cast<int>(first - all.begin());
  tells_ = rank == world_.rank();
  return tells_ ? mine : Cancelled(Describe(rank) + " says why");
}

std::string Launch::Describe(int rank) const {
  const RankCard& card = cards_[static_cast<size_t>(rank)];
  if (card.process == 0) return "rank " + std::to_string(rank);
  return "rank " + std::to_string(rank) + " (process " + std::to_string(card.process) + " on " +
         OneLine(Get(card.host)) + ")";
}

}  // namespace mortar
