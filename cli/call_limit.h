// A limit for a call that cannot be asked to come back, such as MPI's beginning and end, which wait
// for all ranks.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "common/clock.h"

namespace mortar {

class CallLimit {
 public:
  // Unless this object is gone within `limit`, `over` is called once, on another thread; it ends
  // the process. Time in which the process itself stood still does not count. The clock outlives
  // it.
  CallLimit(Duration limit, const Clock& clock, std::function<void()> over);
  ~CallLimit();
  CallLimit(const CallLimit&) = delete;
  CallLimit& operator=(const CallLimit&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable_any gone_;
  std::jthread thread_;
};

}  // namespace mortar
