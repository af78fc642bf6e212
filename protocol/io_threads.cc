#include "protocol/io_threads.h"

#include <sched.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace mortar {
namespace {

// libzmq's name for them (src/ctx.cpp of 4.3.4).
constexpr const char* kNameBegins = "ZMQbg/IO";

std::vector<pid_t> FindIoThreads() {
  std::vector<pid_t> ids;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (name.starts_with(kNameBegins)) ids.push_back(std::stoi(task.path().filename()));
  }
  return ids;
}

// Nanoseconds that threads were ready and did not run, since they began: the second number of
// /proc/PID/schedstat (the kernel's Documentation/scheduler/sched-stats.rst). Nothing where the
// system does not say.
std::optional<uint64_t> WaitedNs(const std::vector<pid_t>& ids) {
  uint64_t sum = 0;
  for (const pid_t id : ids) {
    std::ifstream file("/proc/self/task/" + std::to_string(id) + "/schedstat");
    uint64_t ran = 0, waited = 0;
    if (!(file >> ran >> waited)) return std::nullopt;
    sum += waited;
  }
  return sum;
}

void SetPolicy(const std::vector<pid_t>& ids, int policy) {
  const sched_param priority{};
  for (const pid_t id : ids) (void)sched_setscheduler(id, policy, &priority);
}

}  // namespace

void IoThreads::NoteStream(bool goes_on) {
  if (!goes_on || clock_.Now() < impatient_until_) return Stop();
  if (!patient_) return Start();
  if (++jobs_ >= next_look_) LookAtWaiting();
}

void IoThreads::Start() {
  if (ids_.empty()) ids_ = FindIoThreads();
  const std::optional<uint64_t> waited = WaitedNs(ids_);
  if (ids_.empty() || !waited || sched_getscheduler(0) != SCHED_OTHER) {
    impatient_until_ = clock_.Now() + kImpatientFor;
    return;
  }
  SetPolicy(ids_, SCHED_BATCH);
  patient_ = true;
  jobs_ = 0;
  next_look_ = kJobsBeforeFirstLook;
  waited_ns_ = *waited;
}

void IoThreads::Stop() {
  if (!patient_) return;
  SetPolicy(ids_, SCHED_OTHER);
  patient_ = false;
}

void IoThreads::LookAtWaiting() {
  const uint64_t waited = WaitedNs(ids_).value_or(waited_ns_);
  if (std::chrono::nanoseconds(waited - waited_ns_) > jobs_ * kIoWaitMax) {
    Stop();
    impatient_until_ = clock_.Now() + kImpatientFor;
  }
  waited_ns_ = waited;
  jobs_ = 0;
  next_look_ = kJobsBetweenLooks;
}

}  // namespace mortar
