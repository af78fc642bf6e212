// What the programs of one role share: endpoints from flags, the link to the coordinator, and a
// life until a signal.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "common/loop_driver.h"
#include "common/random.h"
#include "common/status.h"
#include "protocol/zmq_transport.h"

namespace mortar {

// How long an idle loop sleeps: its clocks are looked at so often.
inline constexpr Duration kIdleWaitMax = std::chrono::milliseconds(10);

// --listen and --coordinator as endpoints. UsageError: not tcp://ADDRESS:PORT; or an address off
// this machine without --insecure, which lifts it with a warning: nothing is encrypted yet.
absl::StatusOr<std::string> ReadEndpoint(const CommandContext& context, std::string_view flag);

// This node's name for people: --name, else the host's name and the process id.
std::string NodeName(const Settings& settings);

// Turns the driver until the coordinator has answered, for kDialMax. The error says what stands in
// the way.
absl::Status WaitForCoordinator(const ZmqTransport& transport, const Clock& clock,
                                const std::function<void()>& turn);

// Turns until a signal comes, which is a good end, or `refused()` gives an error. After a signal
// the coordinator is told.
absl::Status RunUntilSignal(ZmqTransport& transport, const std::function<void()>& turn,
                            const std::function<absl::Status()>& refused);

}  // namespace mortar
