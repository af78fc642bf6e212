#include "cli/call_limit.h"

#include <chrono>
#include <utility>

#include "protocol/waited.h"

namespace mortar {
namespace {

// Well within what Waited takes for standing still.
constexpr auto kLookEvery = std::chrono::milliseconds(100);

}  // namespace

CallLimit::CallLimit(Duration limit, const Clock& clock, std::function<void()> over)
    : thread_([this, limit, &clock, over = std::move(over)](const std::stop_token& stop) {
        Waited waited;
        std::unique_lock lock(mutex_);
        while (waited.At(clock.Now()) <= limit) {
          gone_.wait_for(lock, stop, kLookEvery, [] { return false; });
          if (stop.stop_requested()) return;
        }
        over();
      }) {}

CallLimit::~CallLimit() = default;

}  // namespace mortar
