// What the programs of one role share: endpoints from flags, the link to the coordinator, and a
// life until a signal.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "common/loop_driver.h"
#include "common/random.h"
#include "common/status.h"
#include "protocol/zmq_transport.h"

namespace mortar {

// How long an idle loop sleeps: its clocks are looked at so often.
inline constexpr Duration kIdleWaitMax = std::chrono::milliseconds(10);

enum class EndpointUse { kListen, kDial };

// The endpoint that a flag gives, as tcp://A.B.C.D:PORT. UsageError: another form; one that nobody
// can dial, for kDial; or an address off this machine without --keys or --insecure, which lifts it
// with a warning.
absl::StatusOr<std::string> ReadEndpoint(const CommandContext& context, std::string_view flag,
                                         EndpointUse use);

// The same of --coordinator, which may be given for each of a cluster's. UsageError also for one
// too many, or the same twice.
absl::StatusOr<std::vector<std::string>> ReadCoordinators(const CommandContext& context);
// For people: where they are.
std::string CoordinatorsOf(const ZmqOptions& link);

// Raises the number of files that this process may open, of which each link takes some, as far as
// the system allows. ResourceExhausted when that is too few for ZeroMQ to work at all.
absl::Status AllowManyLinks();

// This node's name for people: --name, else the host's name and the process id. UsageError for one
// that is empty or too long.
absl::StatusOr<std::string> NodeName(const Settings& settings);
// --spin: how long a node stays awake between jobs (common/loop_driver.h).
Duration AwakeMax(const Settings& settings);
// What a node with jobs does between them. The transport and the clock outlive it.
Idling IdleOn(ZmqTransport& transport, Duration awake_max, const Clock& clock);

// Turns the driver until a coordinator has answered or all have turned this node away, for
// kDialMax. The error says what stands in the way.
absl::Status WaitForCoordinator(const ZmqTransport& transport, const Clock& clock,
                                const std::function<void()>& turn);

// Turns until a signal comes, which is a good end, or `refused()` gives an error.
absl::Status RunUntilSignal(const std::function<void()>& turn,
                            const std::function<absl::Status()>& refused);

// Tells its coordinators that this node leaves, as the last thing that a node does; not a
// coordinator, whose members notice that it is gone.
void SayGoodbye(ZmqTransport& transport, const std::string& why);

// What was dropped, forwarded and lost, for the operator: at the end of a node.
void LogTraffic(const ZmqTransport& transport, const Logger& log);

}  // namespace mortar
