#include "tests/integration/recovery_cluster.h"

#include <algorithm>
#include <array>
#include <random>
#include <thread>
#include <utility>

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Moment = StreamedAnswer::Moment;

constexpr int kHops = 2;
constexpr int kSeeds = 5;  // answers that are sampled; each is computed once undisturbed
// The longest of all stated times, a route that nobody can give, and the program's own start.
constexpr seconds kAnswerMax{45};
// Of an answer that is hit while it comes: the last tenth may be over before the hit works.
constexpr double kShareMax = 0.9;

std::string EndpointIn(const std::string& line) {
  const size_t at = line.find("tcp://");
  EXPECT_NE(at, std::string::npos) << line;
  return at == std::string::npos ? "" : line.substr(at, line.find_first_of(", \n", at) - at);
}

Asked AskedBy(uint64_t number) { return static_cast<Asked>(number % 4); }

}  // namespace

const char* Name(HitKind kind) {
  constexpr std::array<const char*, 5> kNames = {"killed workers", "cut links", "relay restarts",
                                                 "coordinator restarts", "silent workers"};
  return kNames[static_cast<size_t>(kind)];
}

const char* Name(Asked asked) {
  constexpr std::array<const char*, 4> kNames = {"greedy", "sampled", "drafted", "prefill"};
  return kNames[static_cast<size_t>(asked)];
}

TokenDifference CompareTokens(const std::vector<int>& expected, const std::vector<int>& came) {
  // common[j]: of the tokens of `expected` so far and the first j of `came`.
  std::vector<int> common(came.size() + 1, 0);
  for (const int token : expected) {
    int diagonal = 0;
    for (size_t j = 0; j < came.size(); ++j) {
      const int above = common[j + 1];
      common[j + 1] = token == came[j] ? diagonal + 1 : std::max(above, common[j]);
      diagonal = above;
    }
  }
  return {.lost = static_cast<int>(expected.size()) - common.back(),
          .repeated = static_cast<int>(came.size()) - common.back()};
}

RecoveryCluster::RecoveryCluster(RecoveryModel model, HitKind kind)
    : model_(std::move(model)), kind_(kind) {
  MakeKeys();
  StartCoordinator("tcp://127.0.0.1:0");
  if (kind_ == HitKind::kRelay) StartRelay("tcp://127.0.0.1:0");
  const int spares = kind_ == HitKind::kWorker || kind_ == HitKind::kSilence ? 1 : 0;
  for (int i = 0; i < kHops + spares; ++i) StartWorker();
}

RecoveryCluster::~RecoveryCluster() {
  stopped_.clear();
  workers_.clear();  // they read the files
  relay_.reset();
  coordinator_.reset();
}

void RecoveryCluster::MakeKeys() {
  const std::pair<const char*, const char*> nodes[] = {
      {"coordinator", ""}, {"lab", "worker"}, {"desk", "edge"}, {"hut", "relay"}};
  for (const auto& [name, role] : nodes) {
    const Arguments list = {"--allow-list", folder_.Path("allowed")};
    const ProgramResult made =
        RunMortar(Arguments{"keys", "new", "--keys", folder_.Path(name)} + list);
    ASSERT_EQ(made.exit_code, 0) << made.err;
    public_[name] = made.out.substr(0, made.out.find('\n'));
    if (*role == '\0') continue;
    const ProgramResult allowed =
        RunMortar(Arguments{"keys", "allow", public_[name], "--role", role, "--name", name} + list);
    ASSERT_EQ(allowed.exit_code, 0) << allowed.err;
  }
}

Arguments RecoveryCluster::Dials(const std::string& name) const {
  return {"--keys",        folder_.Path(name), "--server-key", public_.at("coordinator"),
          "--coordinator", endpoint_};
}

Arguments RecoveryCluster::Listens(const std::string& name) const {
  return {"--keys", folder_.Path(name), "--allow-list", folder_.Path("allowed")};
}

void RecoveryCluster::StartCoordinator(const std::string& listen) {
  coordinator_ = std::make_unique<NodeProgram>(
      Arguments{"coordinator", "--listen", listen, "--workers", std::to_string(kHops)} +
      Listens("coordinator"));
  endpoint_ = EndpointIn(coordinator_->Line("coordinator at "));
}

void RecoveryCluster::StartRelay(const std::string& listen) {
  relay_ = std::make_unique<NodeProgram>(Arguments{"relay", "--listen", listen} + Dials("hut") +
                                         Arguments{"--allow-list", folder_.Path("allowed")});
  relay_endpoint_ = EndpointIn(relay_->Line("relay at "));
}

void RecoveryCluster::StartWorker() {
  const std::string name = "w" + std::to_string(++workers_started_);
  WorkerNode& worker = workers_[name];
  Arguments arguments = Arguments{"worker", "--name", name,   "-m",         model_.path, "-t",
                                  "1",      "-c",     "1024", "--parallel", "4"} +
                        Dials("lab");
  if (kind_ == HitKind::kRelay) {
    arguments = arguments + Arguments{"--listen",      "none",        "--relay",
                                      relay_endpoint_, "--relay-key", public_["hut"]};
  } else {
    arguments = arguments + Arguments{"--allow-list", folder_.Path("allowed")};
  }
  if (kind_ == HitKind::kLink) {
    // A free port: that of a relay which is gone again.
    NodeProgram probe(Arguments{"coordinator", "--listen", "tcp://127.0.0.1:0"} +
                      Listens("coordinator"));
    const std::string here = EndpointIn(probe.Line("coordinator at "));
    probe.Kill();
    worker.link = std::make_unique<LinkProxy>(here, LinkSpeed{});
    arguments = arguments + Arguments{"--listen", here, "--advertise", worker.link->endpoint()};
  }
  worker.program = std::make_unique<NodeProgram>(arguments);
  worker.program->Line("joined");
}

Arguments RecoveryCluster::EdgeArguments(Asked asked, uint64_t number) const {
  const bool prefill = asked == Asked::kPrefill;
  Arguments arguments = {"-m",    model_.path, "-t", "1",
                         "--raw", "--json",    "-n", std::to_string(kRecoveryTokens),
                         "-c",    "1024",      "-p", prefill ? model_.long_prompt : model_.prompt};
  arguments = arguments + model_.cut;
  if (asked == Asked::kDrafted) arguments = arguments + Arguments{"--draft", "lookup"};
  if (asked == Asked::kSampled) {
    return arguments + Arguments{"--temp", "1", "--seed", std::to_string(1 + number / 4 % kSeeds)};
  }
  return arguments + Arguments{"--temp", "0"};
}

const std::vector<int>& RecoveryCluster::Undisturbed(Asked asked, uint64_t number) {
  const Arguments arguments = EdgeArguments(asked, number);
  std::string key;
  for (const std::string& word : arguments) key += word + " ";
  const auto found = undisturbed_.find(key);
  if (found != undisturbed_.end()) return found->second;
  const ProgramResult result = RunMortar(Arguments{"run"} + arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return undisturbed_[key] = result.Json()["tokens"].get<std::vector<int>>();
}

std::string RecoveryCluster::StrikeWorker(const std::string& name) {
  WorkerNode worker = std::move(workers_.at(name));
  workers_.erase(name);
  if (kind_ == HitKind::kWorker) {
    worker.program->Kill();
    return "kill -9 of a worker";
  }
  worker.program->Suspend();
  stopped_.push_back(std::move(worker));
  return "SIGSTOP of a worker";
}

std::string RecoveryCluster::Strike(uint64_t number, const std::vector<std::string>& route) {
  std::mt19937_64 random(number * 7 + 3);
  switch (kind_) {
    case HitKind::kWorker:
    case HitKind::kSilence:
      return StrikeWorker(route.at(random() % route.size()));
    case HitKind::kLink: {
      cut_link_ = route.at(random() % route.size());
      const bool silent = random() % 2 == 0;
      workers_.at(cut_link_).link->Set(silent ? LinkState::kSilent : LinkState::kDown);
      return silent ? "a link falls silent" : "a link is reset";
    }
    case HitKind::kRelay:
      relay_->Kill();
      StartRelay(relay_endpoint_);
      return "kill -9 and restart of the relay";
    case HitKind::kCoordinator:
      coordinator_->Kill();
      StartCoordinator(endpoint_);
      return "kill -9 and restart of the coordinator";
  }
  return "";
}

void RecoveryCluster::Mend() {
  stopped_.clear();  // killed
  if (kind_ == HitKind::kWorker || kind_ == HitKind::kSilence) {
    while (workers_.size() < kHops + 1) StartWorker();
  }
  if (!cut_link_.empty()) workers_.at(cut_link_).link->Set(LinkState::kUp);
  cut_link_.clear();
}

HitResult RecoveryCluster::Hit(uint64_t number) {
  std::mt19937_64 random(number * 2 + 1);
  const double share = kShareMax * static_cast<double>(random() % 1000) / 1000;
  HitResult result{.asked = AskedBy(number), .what = {}, .errors = {}};
  const std::vector<int> expected = Undisturbed(result.asked, number);
  Arguments arguments = Arguments{"edge"} + EdgeArguments(result.asked, number) + Dials("desk") +
                        Arguments{"--json-events", "--take-over", "never"};
  if (kind_ == HitKind::kRelay) {
    arguments = arguments + Arguments{"--relay", relay_endpoint_, "--relay-key", public_["hut"]};
  }
  // Every other coordinator that is restarted had forwarded the frames.
  const bool relayed = kind_ == HitKind::kCoordinator && number / 4 % 2 == 1;
  if (relayed) arguments = arguments + Arguments{"--no-direct"};
  StreamedAnswer answer(arguments, kAnswerMax);
  answer.ReadUntil([&] { return !answer.routes().empty(); });
  if (result.asked == Asked::kPrefill) {
    const Moment until = std::chrono::steady_clock::now() +
                         milliseconds(static_cast<int>(share * model_.prefill_max.count()));
    answer.ReadUntil([&] { return std::chrono::steady_clock::now() >= until; });
  } else {
    const auto enough = static_cast<size_t>(share * static_cast<double>(expected.size()));
    answer.ReadUntil([&] { return answer.tokens().size() >= enough; });
  }
  if (answer.routes().empty()) {
    answer.Finish();
    result.errors = answer.Errors();
    return result;
  }
  result.token = static_cast<int>(answer.tokens().size());
  result.too_late = answer.tokens().size() >= expected.size();
  const Moment hit = std::chrono::steady_clock::now();
  result.what = Strike(number, answer.routes().front().workers);
  result.ended = answer.Finish() == 0;
  if (!result.ended) result.errors = answer.Errors();
  std::vector<int> came;
  Moment before = hit;
  std::chrono::steady_clock::duration pause{0};
  for (const StreamedAnswer::Token& token : answer.tokens()) {
    if (!came.empty() || result.token == 0) pause = std::max(pause, token.at - before);
    before = token.at;
    came.push_back(token.token);
  }
  result.pause = std::chrono::duration_cast<milliseconds>(pause);
  const TokenDifference difference = CompareTokens(expected, came);
  result.lost = difference.lost;
  result.repeated = difference.repeated;
  result.routes = static_cast<int>(answer.routes().size());
  if (result.ended) {
    EXPECT_EQ(answer.report()["tokens"].get<std::vector<int>>(), came) << "the report says others";
  }
  Mend();
  return result;
}

std::string RecoveryCluster::Said() const {
  std::string text = "the coordinator: " + coordinator_->Errors();
  if (relay_ != nullptr) text += "the relay: " + relay_->Errors();
  for (const auto& [name, worker] : workers_) text += name + ": " + worker.program->Errors();
  return text;
}

}  // namespace mortar
