#include "protocol/io_threads.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace mortar {
namespace {

constexpr const char* kTasks = "/proc/self/task/";
// libzmq's name for them (src/ctx.cpp of 4.3.4).
constexpr std::string_view kNameBegins = "ZMQbg/IO";

std::vector<IoThread> FindIoThreads() {
  std::vector<IoThread> threads;
  const std::unique_ptr<DIR, int (*)(DIR*)> tasks(opendir(kTasks), &closedir);
  while (const dirent* task = tasks == nullptr ? nullptr : readdir(tasks.get())) {
    const std::string_view digits = task->d_name;
    pid_t id = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    if (end.ec != std::errc{}) continue;  // "." and ".."
    std::ifstream file(std::string(kTasks).append(digits).append("/comm"));
    std::string name;
    if (std::getline(file, name) && name.starts_with(kNameBegins)) threads.emplace_back(id);
  }
  return threads;
}

}  // namespace

IoThread::IoThread(pid_t id)
    : id_(id),
      schedstat_(open((kTasks + std::to_string(id) + "/schedstat").c_str(), O_RDONLY | O_CLOEXEC)) {
}

IoThread::~IoThread() {
  if (schedstat_ >= 0) close(schedstat_);
}

IoThread::IoThread(IoThread&& other) noexcept
    : id_(other.id_), schedstat_(std::exchange(other.schedstat_, -1)) {}

// The second of three numbers in /proc/PID/schedstat (the kernel's
// Documentation/scheduler/sched-stats.rst). The third, how often the thread ran, is 0 where the
// kernel does not count.
std::optional<uint64_t> IoThread::WaitedNs() const {
  std::array<char, 80> text{};
  if (pread(schedstat_, text.data(), text.size() - 1, 0) <= 0) return std::nullopt;
  unsigned long long ran = 0, waited = 0, times = 0;
  const int n = std::sscanf(text.data(), "%llu %llu %llu", &ran, &waited, &times);
  if (n != 3 || times == 0) return std::nullopt;
  return waited;
}

std::optional<uint64_t> IoThreads::WaitedNs() const {
  uint64_t sum = 0;
  for (const IoThread& thread : threads_) {
    const std::optional<uint64_t> waited = thread.WaitedNs();
    if (!waited) return std::nullopt;
    sum += *waited;
  }
  return sum;
}

bool IoThreads::SetPolicy(int policy) {
  const sched_param priority{};
  bool all = true;
  for (const IoThread& thread : threads_) {
    all = sched_setscheduler(thread.id(), policy, &priority) == 0 && all;
  }
  return all;
}

void IoThreads::NoteStream(bool goes_on) {
  if (!patient_) {
    if (goes_on && clock_.Now() >= impatient_until_) Start();
    return;
  }
  ++jobs_;
  if (!goes_on || jobs_ >= next_look_) LookAtWaiting();
  if (!goes_on && patient_) Stop();
}

void IoThreads::Start() {
  std::optional<uint64_t> waited = WaitedNs();
  if (threads_.empty() || !waited) {
    threads_ = FindIoThreads();
    waited = WaitedNs();
  }
  if (threads_.empty() || !waited || sched_getscheduler(0) != SCHED_OTHER) {
    impatient_until_ = clock_.Now() + kImpatientFor;  // and what policy they have stays theirs
    return;
  }
  if (!SetPolicy(SCHED_BATCH)) return LosePatience();
  patient_ = true;
  jobs_ = 0;
  next_look_ = kJobsBeforeFirstLook;
  waited_ns_ = *waited;
}

void IoThreads::Stop() {
  (void)SetPolicy(SCHED_OTHER);  // as far as the system lets it
  patient_ = false;
}

void IoThreads::LosePatience() {
  Stop();
  impatient_until_ = clock_.Now() + kImpatientFor;
}

void IoThreads::LookAtWaiting() {
  const std::optional<uint64_t> waited = WaitedNs();
  if (!waited || std::chrono::nanoseconds(*waited - waited_ns_) > jobs_ * kIoWaitMax) {
    return LosePatience();
  }
  waited_ns_ = *waited;
  jobs_ = 0;
  next_look_ = kJobsBetweenLooks;
}

}  // namespace mortar
