// One thread that drives several loops, and the jobs that they submit: the embedded program
// and the simulation. A process with one role drives its one loop by itself.
#pragma once

#include <functional>
#include <vector>

#include "common/clock.h"
#include "common/job_queue.h"

namespace mortar {

// A role: poll -> apply -> plan -> execute, once. Returns whether anything was done.
class Loop {
 public:
  virtual ~Loop() = default;
  virtual bool Step() = 0;
  // How long it may be left alone after a step that did nothing, when nothing comes: it waits for
  // something to come, and goes on without it.
  virtual Duration Patience() const { return Duration::max(); }
};

class Pump {
 public:
  // Both outlive the pump. `jobs` is the queue of this loop, and may be null.
  void Add(Loop* loop, PumpedJobs* jobs) { driven_.push_back({loop, jobs}); }

  // Steps every loop once, then runs at most one job of each. Returns whether anything was done.
  bool RunOnce() {
    bool worked = false;
    for (const Driven& driven : driven_) {
      if (driven.loop->Step()) worked = true;
    }
    for (const Driven& driven : driven_) {
      if (driven.jobs != nullptr && driven.jobs->RunOne()) worked = true;
    }
    return worked;
  }

  // Until `done()`, which is asked after each round. `idle()` is called after a round in which
  // nothing was done: it sleeps, or moves a simulated clock.
  void RunUntil(const std::function<bool()>& done, const std::function<void()>& idle) {
    while (!done()) {
      if (!RunOnce()) idle();
    }
  }

 private:
  struct Driven {
    Loop* loop;
    PumpedJobs* jobs;
  };
  std::vector<Driven> driven_;
};

}  // namespace mortar
