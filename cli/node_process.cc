#include "cli/node_process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "cli/console.h"
#include "common/check.h"
#include "protocol/endpoint.h"
#include "protocol/io_threads.h"
#include "protocol/limits.h"

namespace mortar {
namespace {

// What ZeroMQ needs for itself and a few links; with fewer files it ends the process.
constexpr rlim_t kFilesMin = 64;
// Links of a full cluster, four files each while they are dialled.
constexpr rlim_t kFilesMax = 4 * kNodesMax;

absl::Status CheckUse(const Endpoint& endpoint, EndpointUse use) {
  if (use == EndpointUse::kListen) return absl::OkStatus();
  if (endpoint.port == 0) return InvalidArgument("port 0 is nobody's; give the one listened at");
  if (IsAnyAddress(endpoint)) {
    return InvalidArgument("0.0.0.0 is no machine's address; give the one that others dial");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadOne(const CommandContext& context, std::string_view flag,
                                    const std::string& given, EndpointUse use) {
  const std::string where = context.settings.Where(flag) + ": ";
  const auto endpoint = ParseEndpoint(given);
  if (!endpoint.ok()) return UsageError(where + Message(endpoint.status()));
  std::string text = ToString(*endpoint);
  if (const absl::Status fits = CheckUse(*endpoint, use); !fits.ok()) {
    return UsageError(where + text + ": " + Message(fits));
  }
  if (IsLoopback(*endpoint)) return text;
  if (context.settings.Has("keys")) return text;
  if (!context.settings.Bool("insecure")) {
    return UsageError(where + text +
                      " is not loopback, and without keys nothing is encrypted; add --keys FILE "
                      "(mortar keys new), or --insecure on your own risk");
  }
  context.console.Note("mortar: warning: --insecure: whoever can reach " + text +
                       " can read and send hidden states");
  return text;
}

}  // namespace

absl::StatusOr<std::string> ReadEndpoint(const CommandContext& context, std::string_view flag,
                                         EndpointUse use) {
  return ReadOne(context, flag, context.settings.String(flag), use);
}

absl::StatusOr<std::vector<std::string>> ReadCoordinators(const CommandContext& context) {
  const std::vector<std::string> given = context.settings.Strings("coordinator");
  const std::string where = context.settings.Where("coordinator") + ": ";
  if (given.size() > static_cast<size_t>(kCoordinatorsMax)) {
    return UsageError(where + std::to_string(given.size()) + " are given, a cluster has at most " +
                      std::to_string(kCoordinatorsMax));
  }
  std::vector<std::string> endpoints;
  for (const std::string& text : given) {
    ASSIGN_OR_RETURN(std::string endpoint,
                     ReadOne(context, "coordinator", text, EndpointUse::kDial));
    if (std::ranges::find(endpoints, endpoint) != endpoints.end()) {
      return UsageError(where + endpoint + " is given twice; one coordinator is named once");
    }
    endpoints.push_back(std::move(endpoint));
  }
  return endpoints;
}

std::string CoordinatorsOf(const ZmqOptions& link) {
  std::string all;
  for (const std::string& endpoint : link.upstreams) all += (all.empty() ? "" : " and ") + endpoint;
  return all;
}

absl::Status AllowManyLinks() {
  rlimit files{};
  CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
  if (files.rlim_cur < kFilesMax) {
    files.rlim_cur = std::min(kFilesMax, files.rlim_max);
    (void)setrlimit(RLIMIT_NOFILE, &files);  // some systems allow less than they say
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
  }
  if (files.rlim_cur >= kFilesMin) return absl::OkStatus();
  return ResourceExhausted("this process may open " + std::to_string(files.rlim_cur) +
                           " files, a node needs " + std::to_string(kFilesMin) +
                           "; raise the limit (ulimit -n)");
}

absl::StatusOr<std::string> NodeName(const Settings& settings) {
  if (const auto name = settings.OptionalString("name")) {
    if (!name->empty() && name->size() <= kNameBytesMax) return *name;
    return UsageError(settings.Where("name") + ": a name has 1 to " +
                      std::to_string(kNameBytesMax) + " bytes, this one has " +
                      std::to_string(name->size()));
  }
  std::array<char, 48> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return std::string(host.data()) + "-" + std::to_string(getpid());
}

Duration AwakeMax(const Settings& settings) {
  return std::chrono::milliseconds(settings.Int("spin"));
}

Idling IdleOn(ZmqTransport& transport, Duration awake_max, const Clock& clock) {
  return {.sleep = [&transport](Duration longest) { transport.Wait(longest); },
          .awake_max = awake_max,
          .turn_max = kQuietTurnMax,
          .stream = [threads = std::make_shared<IoThreads>(clock)](
                        bool goes_on) { threads->NoteStream(goes_on); }};
}

absl::Status WaitForCoordinator(const ZmqTransport& transport, const Clock& clock,
                                const std::function<void()>& turn) {
  const Time start = clock.Now();
  while (true) {
    RETURN_IF_ERROR(CheckInterrupted());
    turn();
    absl::Status status = transport.UpstreamStatus();
    if (status.ok()) return status;
    if (!absl::IsUnavailable(status)) {
      return WithContext(status, "the coordinator refused this node");
    }
    if (absl::Status away = transport.TurnedAway(); !away.ok()) return away;
    if (clock.Now() - start > kDialMax) {
      return Unavailable(Message(status) + " (waited " + InSeconds(kDialMax) + ")");
    }
  }
}

absl::Status RunUntilSignal(const std::function<void()>& turn,
                            const std::function<absl::Status()>& refused) {
  while (InterruptSignal() == 0) {
    turn();
    RETURN_IF_ERROR(refused());
  }
  return CheckInterrupted();
}

void SayGoodbye(ZmqTransport& transport, const std::string& why) {
  // Its transport waits, when it goes, for what was said last to leave.
  for (int i = 0; i < transport.coordinators(); ++i) {
    (void)transport.Send(CoordinatorNode(i), Goodbye{Unavailable(why)});
  }
}

void LogTraffic(const ZmqTransport& transport, const Logger& log) {
  const ZmqCounters& n = transport.counters();
  log.Info("traffic", {{"forwarded", n.forwarded},
                       {"undeliverable", n.undeliverable},
                       {"malformed", n.malformed},
                       {"strangers", n.strangers},
                       {"impostors", n.impostors},
                       {"misdirected", n.misdirected},
                       {"not_allowed", n.not_allowed},
                       {"dialled", n.dialled},
                       {"links_lost", n.links_lost}});
}

}  // namespace mortar
