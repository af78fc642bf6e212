// An edge with several sessions at a time, for measuring: `edge_sessions SESSIONS edge FLAGS`, with
// the flags of `mortar edge`. Each line of the file SESSIONS is one session, `PROMPT_FILE TOKENS
// AFTER`: its prompt as it stands, the length of its greedy answer, and after how many tokens of
// the first session it begins.
//
// Says "ready" once it has joined, begins with the first line on standard input, and writes one
// JSON value: of each session its tokens, and when each came on the machine's steady clock, so that
// several of these programs can be compared.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/edge_process.h"
#include "cli/hosted_model.h"
#include "cli/model.h"
#include "cli/node_keys.h"
#include "cli/node_process.h"
#include "cli/prompt_tokens.h"
#include "cli/text_input.h"
#include "common/loop_driver.h"
#include "edge/loop.h"

namespace mortar {
namespace {

constexpr size_t kSessionsMax = 64;
constexpr size_t kPromptBytesMax = size_t{1} << 20;

struct MeasuredSession {
  GenerateRequest request;
  int after = 0;  // tokens of the first session
  std::optional<RequestId> id{};
  double submitted_ms = 0;
  std::vector<Token> tokens{};
  std::vector<double> at_ms{};
  std::optional<Finished> finished{};
};

absl::StatusOr<std::vector<MeasuredSession>> ReadSessions(const std::string& path,
                                                          const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kPromptBytesMax));
  std::vector<MeasuredSession> sessions;
  std::istringstream lines(text);
  std::string prompt_path;
  for (int n_tokens = 0, after = 0; lines >> prompt_path >> n_tokens >> after;) {
    ASSIGN_OR_RETURN(const std::string prompt, ReadWholeFile(prompt_path, kPromptBytesMax));
    MeasuredSession session;
    ASSIGN_OR_RETURN(session.request.prompt, RawPromptTokens(tokenizer, prompt));
    session.request.sampler.temperature = 0;
    session.request.n_predict = n_tokens;
    session.request.ignore_end = true;
    session.after = after;
    sessions.push_back(std::move(session));
  }
  if (!lines.eof() || sessions.empty() || sessions.size() > kSessionsMax) {
    return InvalidArgument(path + ": 1 to " + std::to_string(kSessionsMax) +
                           " lines `PROMPT_FILE TOKENS AFTER`");
  }
  return sessions;
}

class Measurement {
 public:
  Measurement(const CommandContext& context, std::vector<MeasuredSession> sessions)
      : context_(context), sessions_(std::move(sessions)) {}

  absl::Status Start(const HostedModel& model, const Compute& compute) {
    const Settings& settings = context_.settings;
    ASSIGN_OR_RETURN(const SessionOptions session, ReadSessionOptions(settings, model.config));
    ZmqOptions link;
    ASSIGN_OR_RETURN(link.upstreams, ReadCoordinators(context_));
    link.direct = settings.Bool("direct");
    RETURN_IF_ERROR(ReadNodeKeys(context_, link));
    const ModelId id = ModelIdOf(model, session.kv_type);
    link.card = {.role = Role::kEdge, .name = "measured", .model = id};
    ChooseId(link, random_);
    EdgeOptions options = EdgeOptionsOf(session, id, "measured");
    keys_ = link.keys;
    options.sealed = keys_.has_value();
    options.n_parallel = static_cast<int>(sessions_.size());
    ASSIGN_OR_RETURN(transport_,
                     ZmqTransport::Create(std::move(link), {context_.clock, context_.log, pool_}));
    ASSIGN_OR_RETURN(engine_,
                     LoadEdgeEngine({model, *compute.kernels, *compute.pool}, session.cut,
                                    {session.context, options.n_parallel, session.kv_type, 1}));
    ASSIGN_OR_RETURN(
        edge_, Edge::Create(options, {*transport_, context_.clock, jobs_, context_.log, *engine_,
                                      *model.tokenizer, keys_ ? &*keys_ : nullptr}));
    driver_ = std::make_unique<LoopDriver>(
        *edge_, &jobs_, IdleOn(*transport_, AwakeMax(settings), context_.clock), context_.clock);
    return WaitForCoordinator(*transport_, context_.clock, [this] { Turn(); });
  }

  void WaitForGo() {
    std::fputs("ready\n", stderr);
    pollfd input{STDIN_FILENO, POLLIN, 0};
    while (poll(&input, 1, 0) == 0) Turn();
  }

  absl::Status Run() {
    size_t left = sessions_.size();
    while (left > 0) {
      RETURN_IF_ERROR(CheckInterrupted());
      RETURN_IF_ERROR(SubmitDue());
      Turn();
      while (auto output = edge_->PollOutput()) left -= Take(*output) ? 1 : 0;
    }
    SayGoodbye(*transport_, "it has its answers");
    for (const MeasuredSession& session : sessions_) {
      if (session.finished->reason == FinishReason::kError) return session.finished->status;
    }
    return absl::OkStatus();
  }

  std::string Json() const {
    nlohmann::json all = nlohmann::json::array();
    for (const MeasuredSession& session : sessions_) {
      all.push_back({{"prompt_tokens", session.request.prompt.size()},
                     {"submitted_ms", session.submitted_ms},
                     {"tokens", session.tokens},
                     {"at_ms", session.at_ms},
                     {"retries", session.finished->timings.retries}});
    }
    return nlohmann::json{{"sessions", all}}.dump() + "\n";
  }

 private:
  void Turn() { driver_->Turn(kIdleWaitMax); }
  double NowMs() const { return Milliseconds(context_.clock.Now() - Time{}); }

  absl::Status SubmitDue() {
    const size_t n_first = sessions_.front().tokens.size();
    for (MeasuredSession& session : sessions_) {
      if (session.id || static_cast<size_t>(session.after) > n_first) continue;
      session.submitted_ms = NowMs();
      GenerateRequest request = session.request;
      ASSIGN_OR_RETURN(session.id, edge_->Submit(std::move(request)));
    }
    return absl::OkStatus();
  }

  // Whether it was the last of a session.
  bool Take(EdgeOutput& output) {
    for (MeasuredSession& session : sessions_) {
      if (session.id != output.request) continue;
      if (const auto* token = std::get_if<TokenOut>(&output.what)) {
        session.tokens.push_back(token->token);
        session.at_ms.push_back(NowMs());
      }
      auto* finished = std::get_if<Finished>(&output.what);
      if (finished == nullptr) return false;
      session.finished = std::move(*finished);
      return true;
    }
    return false;
  }

  const CommandContext& context_;
  std::vector<MeasuredSession> sessions_;
  SystemRandom random_;
  RowsPool pool_;
  PumpedJobs jobs_;
  std::unique_ptr<Engine> engine_;
  std::optional<KeyPair> keys_;
  std::unique_ptr<ZmqTransport> transport_;
  std::unique_ptr<Edge> edge_;
  std::unique_ptr<LoopDriver> driver_;
};

absl::Status Measure(const CommandContext& context, const std::string& path) {
  ASSIGN_OR_RETURN(const HostedModel model,
                   OpenHostedModel(context.settings, context.environment, context.log));
  ASSIGN_OR_RETURN(std::vector<MeasuredSession> sessions, ReadSessions(path, *model.tokenizer));
  ASSIGN_OR_RETURN(const Compute compute, MakeCompute(context.settings));
  Measurement measurement(context, std::move(sessions));
  RETURN_IF_ERROR(measurement.Start(model, compute));
  measurement.WaitForGo();
  RETURN_IF_ERROR(measurement.Run());
  return context.console.Write(measurement.Json());
}

int Main(const std::vector<std::string>& words) {
  Console console;
  if (words.size() < 2) {
    return console.Finish(UsageError("usage: edge_sessions SESSIONS edge FLAGS"));
  }
  const auto line = ParseCommandLine({words.begin() + 1, words.end()});
  if (!line.ok()) return console.Finish(UsageError(Message(line.status())));
  const char* home = std::getenv("HOME");  // where the default model and digests are
  const Environment environment = {{"HOME", home == nullptr ? "" : home}};
  const auto resolved = Resolve(*line, environment);
  if (!resolved.ok()) return console.Finish(UsageError(Message(resolved.status())));
  InstallSignalHandlers();
  const Logger log(LogLevel::kWarning, LogFormat::kText);
  const SteadyClock clock;
  return console.Finish(
      Measure({resolved->settings, environment, console, log, clock, clock.Now()}, words.front()));
}

}  // namespace
}  // namespace mortar

int main(int argc, char** argv) { return mortar::Main({argv + 1, argv + argc}); }
