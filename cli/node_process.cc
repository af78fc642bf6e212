#include "cli/node_process.h"

#include <unistd.h>

#include <array>

#include "cli/console.h"
#include "protocol/limits.h"

namespace mortar {
namespace {

constexpr std::string_view kScheme = "tcp://";

// The address of "tcp://ADDRESS:PORT", or nothing when it is not of that form.
std::string AddressOf(const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with(kScheme) || colon <= kScheme.size() || colon + 1 >= endpoint.size()) {
    return "";
  }
  return endpoint.substr(kScheme.size(), colon - kScheme.size());
}

// Only what cannot leave this machine, whatever a resolver says.
bool IsLoopback(const std::string& address) {
  return address == "localhost" || address.starts_with("127.") || address == "[::1]";
}

}  // namespace

absl::StatusOr<std::string> ReadEndpoint(const CommandContext& context, std::string_view flag) {
  std::string endpoint = context.settings.String(flag);
  const std::string where = context.settings.Where(flag);
  const std::string address = AddressOf(endpoint);
  if (address.empty() || endpoint.size() > kEndpointBytesMax) {
    return UsageError(where + ": \"" + endpoint + "\" is no endpoint; give tcp://ADDRESS:PORT");
  }
  if (IsLoopback(address)) return endpoint;
  if (!context.settings.Bool("insecure")) {
    return UsageError(where + ": " + address +
                      " is not loopback, and nothing between nodes is encrypted yet; give "
                      "tcp://127.0.0.1:PORT, or --insecure on your own risk");
  }
  context.console.Note("mortar: warning: --insecure: whoever can reach " + endpoint +
                       " can read and send hidden states");
  return endpoint;
}

std::string NodeName(const Settings& settings) {
  if (const auto name = settings.OptionalString("name")) return name->substr(0, kNameBytesMax);
  std::array<char, 48> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return std::string(host.data()) + "-" + std::to_string(getpid());
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
    if (clock.Now() - start > kDialMax) {
      return Unavailable(Message(status) + " (waited " +
                         std::to_string(static_cast<int>(Seconds(kDialMax))) + " s)");
    }
  }
}

absl::Status RunUntilSignal(ZmqTransport& transport, const std::function<void()>& turn,
                            const std::function<absl::Status()>& refused) {
  while (InterruptSignal() == 0) {
    turn();
    RETURN_IF_ERROR(refused());
  }
  (void)transport.Send(kCoordinatorNode, Goodbye{Unavailable("it was stopped")});
  transport.Wait(std::chrono::milliseconds(50));  // for the I/O thread to hand it over
  return CheckInterrupted();
}

}  // namespace mortar
