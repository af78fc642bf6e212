#include "cli/ready_wait.h"

#include <chrono>
#include <string>

#include "cli/console.h"

namespace mortar {
namespace {

// Workers read their layers once from the file; whatever disk it lies on, longer is a hang.
constexpr Duration kReadyWaitMax = std::chrono::minutes(10);

}  // namespace

absl::Status WaitUntilReady(const Coordinator& coordinator, const RouteRequest& probe,
                            const Clock& clock, const std::function<absl::Status()>& turn) {
  const Time start = clock.Now();
  while (true) {
    RETURN_IF_ERROR(CheckInterrupted());
    absl::Status status = RouteStatus(coordinator.state(), probe);
    if (status.ok() || !absl::IsUnavailable(status)) return status;
    if (clock.Now() - start > kReadyWaitMax) {
      return WithContext(status, "not ready within " + InSeconds(kReadyWaitMax));
    }
    RETURN_IF_ERROR(turn());
  }
}

}  // namespace mortar
