// relay: forwards frames between nodes that cannot dial one another, by their envelope alone.
#include "cli/node_keys.h"
#include "cli/node_process.h"
#include "cli/refusal_log.h"

namespace mortar {
namespace {

// Says Hello to its coordinators; everything else happens in the transport.
class RelayLoop final : public Loop {
 public:
  RelayLoop(ZmqTransport& transport, const Clock& clock, Hello card)
      : transport_(transport), clock_(clock), card_(std::move(card)) {}

  bool Step() override {
    const bool due = !hello_sent_ || clock_.Now() - *hello_sent_ >= kHelloInterval;
    if (due) SayHello();
    const bool any = transport_.Poll().has_value();  // nothing is for a relay itself
    return any;
  }

 private:
  // To those that have not answered.
  void SayHello() {
    for (int i = 0; i < transport_.coordinators(); ++i) {
      if (transport_.IsDirect(CoordinatorNode(i))) continue;
      hello_sent_ = clock_.Now();
      (void)transport_.Send(CoordinatorNode(i), card_);
    }
  }

  ZmqTransport& transport_;
  const Clock& clock_;
  const Hello card_;
  std::optional<Time> hello_sent_;
};

}  // namespace

absl::Status RelayCommand(const CommandContext& context) {
  RETURN_IF_ERROR(AllowManyLinks());
  ZmqOptions link{.forwards = true};
  ASSIGN_OR_RETURN(link.listen, ReadEndpoint(context, "listen", EndpointUse::kListen));
  ASSIGN_OR_RETURN(link.upstreams, ReadCoordinators(context));
  SystemRandom random;
  RowsPool pool;
  RETURN_IF_ERROR(ReadNodeKeys(context, link));
  link.card.role = Role::kRelay;
  ASSIGN_OR_RETURN(link.card.name, NodeName(context.settings));
  ChooseId(link, random);
  ASSIGN_OR_RETURN(const auto transport,
                   ZmqTransport::Create(link, {context.clock, context.log, pool}));
  RelayLoop relay(*transport, context.clock, link.card);
  LoopDriver driver(relay, nullptr, Idling{[&](Duration longest) { transport->Wait(longest); }},
                    context.clock);
  RefusalLog refusals(context.log, context.clock,
                      [&] { return RefusalsOf(transport->counters()); });
  const auto turn = [&] {
    driver.Turn(kIdleWaitMax);
    refusals.Tick();
  };
  RETURN_IF_ERROR(WaitForCoordinator(*transport, context.clock, turn));
  context.console.Note("mortar: relay at " + transport->endpoint());
  const absl::Status end = RunUntilSignal(turn, [&]() -> absl::Status {
    const absl::Status status = transport->UpstreamStatus();
    return absl::IsUnavailable(status) ? absl::OkStatus() : status;
  });
  SayGoodbye(*transport, "it was stopped");
  LogTraffic(*transport, context.log);
  refusals.End();
  return end;
}

}  // namespace mortar
