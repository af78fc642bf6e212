#include "cli/muster_thread.h"

#include <chrono>
#include <optional>

namespace mortar {
namespace {

// Between two looks: nothing here is in a hurry, and a prompt may take minutes to type.
constexpr auto kLookEvery = std::chrono::milliseconds(1);

}  // namespace

std::string WhyAbsent(const AbsentRank& absent, const std::string& name) {
  return absent.silent
             ? name + " has shown no sign of life for " + InSeconds(kMusterSilenceMax)
             : name + " lives, but has not read its model within " + InSeconds(kMusterReadyMax);
}

MusterThread::MusterThread(const MpiWorld& world, const Clock& clock)
    : muster_(world.mpi(), world.job(), world.rank(), world.size(), clock),
      thread_([this](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          {
            const std::scoped_lock lock(mutex_);
            muster_.Turn();
          }
          std::this_thread::sleep_for(kLookEvery);
        }
      }) {}

MusterThread::~MusterThread() { Stop(); }

void MusterThread::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

absl::StatusOr<std::vector<std::byte>> MusterThread::Round(
    std::span<const std::byte> mine, bool last,
    const std::function<std::string(int rank)>& describe,
    const std::function<absl::Status()>& check) {
  std::optional<AbsentRank> absent;
  {
    const std::scoped_lock lock(mutex_);
    muster_.Say(mine, last);
  }
  while (true) {
    {
      const std::scoped_lock lock(mutex_);
      RETURN_IF_ERROR(muster_.failure());
      if (muster_.complete()) return muster_.all();
      absent = muster_.absent();
    }
    if (absent) return Unavailable(WhyAbsent(*absent, describe(absent->rank)));
    RETURN_IF_ERROR(check());
    std::this_thread::sleep_for(kLookEvery);
  }
}

}  // namespace mortar
