// coordinator: who is there, who hosts what, which route a session takes; and a relay for nodes
// that cannot dial one another.
#include "cli/cut.h"
#include "cli/node_keys.h"
#include "cli/node_process.h"
#include "cli/refusal_log.h"
#include "coordinator/loop.h"

namespace mortar {
namespace {

CoordinatorOptions ReadOptions(const Settings& settings) {
  CoordinatorOptions options;
  options.workers_expected = static_cast<int>(settings.Int("workers"));
  for (const int64_t size : settings.OptionalInts("layers")) {
    options.sizes.push_back(static_cast<int>(size));
  }
  options.measured = settings.String("place") == "measured";
  return options;
}

}  // namespace

absl::Status CoordinatorCommand(const CommandContext& context) {
  const CoordinatorOptions options = ReadOptions(context.settings);
  if (!options.sizes.empty() &&
      options.sizes.size() != static_cast<size_t>(options.workers_expected)) {
    return UsageError("--layers names " + std::to_string(options.sizes.size()) +
                      " workers, --workers " + std::to_string(options.workers_expected));
  }
  const int index = static_cast<int>(context.settings.Int("index"));
  ZmqOptions link{.self = CoordinatorNode(index - 1),
                  .card = {.role = Role::kCoordinator, .name = "coordinator"},
                  .forwards = true,
                  .members = true};
  ASSIGN_OR_RETURN(link.listen, ReadEndpoint(context, "listen", EndpointUse::kListen));
  RETURN_IF_ERROR(ReadNodeKeys(context, link));
  RETURN_IF_ERROR(AllowManyLinks());
  RowsPool pool;
  ASSIGN_OR_RETURN(const auto transport,
                   ZmqTransport::Create(link, {context.clock, context.log, pool}));
  SystemRandom random;
  Coordinator coordinator(
      options, {*transport, context.clock, random, context.log, link.keys ? &*link.keys : nullptr});
  LoopDriver driver(coordinator, nullptr,
                    Idling{[&](Duration longest) { transport->Wait(longest); }}, context.clock);
  context.console.Note("mortar: " + ToString(link.self) + " at " + transport->endpoint() +
                       ", waits for " + std::to_string(options.workers_expected) +
                       (options.workers_expected == 1 ? " worker" : " workers"));
  RefusalLog refusals(context.log, context.clock, [&] {
    return Joined(RefusalsOf(transport->counters()), {{"not_joined", coordinator.state().refused}});
  });
  PublicKey signs = link.keys ? link.keys->public_key : PublicKey{};
  const auto turn = [&] {
    driver.Turn(kIdleWaitMax);
    if (const KeyPair* keys = transport->keys(); keys != nullptr && keys->public_key != signs) {
      signs = keys->public_key;
      coordinator.SignWith(*keys);
    }
    refusals.Tick();
  };
  const absl::Status end = RunUntilSignal(turn, [] { return absl::OkStatus(); });
  LogTraffic(*transport, context.log);
  refusals.End();
  return end;
}

}  // namespace mortar
